from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from edged.config.share import shipped
from edged.control.possible import ACCELERATOR_HARDWARE
from edged.control.profile import AcceleratorName, Match, Preference, Profile, closeness, load_profiles, match_profile
from edged.domain.device import Accelerator, AcceleratorKind, Cpu, Inventory, Memory
from edged.domain.errors import ConfigError
from edged.hardware.inventory import take_inventory
from fakes.devicetree import plant

CPU_ONLY = (Preference(accelerator="cpu"),)
MINIMAL = 'name = "{name}"\nprefer = [{{ accelerator = "cpu" }}]\n'


def _profile(name: str, match: Match | None = None) -> Profile:
    return Profile(name=name, match=match or Match(), prefer=CPU_ONLY)


def _box(
    compatible: tuple[str, ...] = (),
    *,
    board: str | None = None,
    soc: str | None = None,
    arch: str | None = None,
    int8: tuple[str, ...] = (),
    usable: tuple[AcceleratorKind, ...] = (),
    unusable: tuple[AcceleratorKind, ...] = (),
) -> Inventory:
    found = [Accelerator(kind, "pci", kind in usable, "ready", "", kind, ()) for kind in (*usable, *unusable)]
    return Inventory(board, soc, arch, compatible, Cpu(None, None, int8), Memory(None, None), tuple(found), ())


def _shipped() -> tuple[Profile, ...]:
    return load_profiles([shipped("device-profiles")])


def _write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("match", "box", "fits"),
    [
        (Match(), _box(), True),
        (Match(compatible=("a,b",)), _box(("a,b", "c,d")), True),
        (Match(compatible=("x", "c,*")), _box(("a,b", "c,d")), True),
        (Match(compatible=("a",)), _box(("a,b",)), False),
        (Match(compatible=("a,b",)), _box(), False),
        (Match(soc=("intel n[0-9]*",)), _box(soc="Intel N100"), True),
        (Match(soc=("Intel N*",)), _box(), False),
        (Match(board=("*orange*",)), _box(board="Orange Pi 5"), True),
        (Match(arch=("aarch64",)), _box(arch="x86_64"), False),
        (Match(arch=("aarch64",)), _box(), False),
        (Match(int8=("i8mm", "asimddp")), _box(int8=("asimddp",)), True),
        (Match(int8=("i8mm",)), _box(int8=("asimddp",)), False),
        (Match(accelerators=("hailo",)), _box(usable=("hailo",)), True),
        (Match(accelerators=("hailo",)), _box(unusable=("hailo",)), False),
        (Match(arch=("aarch64",), int8=("i8mm",)), _box(arch="aarch64"), False),
    ],
)
def test_a_profile_fits_when_every_key_that_it_gives_holds(match: Match, box: Inventory, fits: bool) -> None:
    assert (closeness(_profile("p", match), box) is not None) == fits


def test_an_early_entry_of_compatible_is_closer_than_a_late_one() -> None:
    chip = _profile("chip", Match(compatible=("brcm,bcm2712",)))
    board = _profile("board", Match(compatible=("raspberrypi,5-model-b",)))

    assert match_profile([chip, board], _box(("raspberrypi,5-model-b", "brcm,bcm2712"))) == board


def test_the_strongest_instruction_set_is_closest() -> None:
    profiles = [_profile("avx2", Match(int8=("avx2",))), _profile("vnni", Match(int8=("avx_vnni",)))]

    assert match_profile(profiles, _box(int8=("avx2", "avx_vnni"))).name == "vnni"


def test_a_ready_accelerator_is_closer_than_the_chip() -> None:
    profiles = [_profile("soc", Match(soc=("*",))), _profile("gpu", Match(accelerators=("nvidia-gpu",)))]

    assert match_profile(profiles, _box(soc="Intel Core Ultra 7 155H", usable=("nvidia-gpu",))).name == "gpu"


def test_of_two_that_fit_alike_the_first_stands() -> None:
    assert match_profile([_profile("first"), _profile("second")], _box()).name == "first"


def test_the_configuration_may_name_a_profile_that_does_not_fit() -> None:
    profiles = [_profile("generic"), _profile("arm", Match(arch=("aarch64",)))]

    assert match_profile(profiles, _box(arch="x86_64"), "arm").name == "arm"


def test_an_unknown_name_is_the_operators_fault_and_the_nearest_is_named() -> None:
    with pytest.raises(ConfigError, match="'rasberry-pi-5': did you mean 'raspberry-pi-5'"):
        match_profile(_shipped(), _box(), "rasberry-pi-5")


def test_a_box_that_no_profile_fits_is_an_error() -> None:
    with pytest.raises(ConfigError, match="cannot find a device profile for this box: none of 1 fits"):
        match_profile([_profile("arm", Match(arch=("aarch64",)))], _box())


def test_the_shipped_generic_profile_fits_a_box_of_which_nothing_is_known() -> None:
    assert match_profile(_shipped(), _box()).name == "generic"


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("raspberry-pi-5-hailo-no-driver", "raspberry-pi-5"),
        ("raspberry-pi-4-coral-usb3", "raspberry-pi-4"),
        ("zero-2-w-32bit-userland", "raspberry-pi-zero-2-w"),
        ("jetson-orin-nx-third-party-carrier", "jetson-orin-nx"),
        ("jetson-agx-xavier", "jetson-agx-xavier"),
        ("jetson-thor", "jetson-thor"),
        ("rk3576-vendor-kernel", "rockchip-rk3576"),
        ("rk3566-no-render-node", "rockchip-rk356x"),
        ("core-ultra-no-npu-firmware", "intel-core-ultra"),
        ("pc-geforce", "nvidia-gpu"),
        ("pc-geforce-nouveau", "x86-64-avx2"),
        ("pc-dual-coral", "x86-64-avx2"),
        ("container-cgroup2", "generic"),
    ],
)
def test_a_machine_gets_its_boards_profile(machine: str, name: str, tmp_path: Path) -> None:
    assert match_profile(_shipped(), take_inventory(plant(machine, tmp_path))).name == name


@pytest.mark.parametrize(
    ("compatible", "name"),
    [
        (("nvidia,p3448-0000-b00", "nvidia,tegra210"), "jetson-nano"),
        (("nvidia,p3509-0000+p3636-0001", "nvidia,tegra186"), "jetson-tx2"),
        (("nvidia,p3509-0000+p3668-0001", "nvidia,tegra194"), "jetson-xavier-nx"),
        (("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"), "jetson-orin-nano"),
        (("nvidia,p3768-0000+p3767-0000-super", "nvidia,tegra234"), "jetson-orin-nx"),
        (("nvidia,p3737-0000+p3701-0005", "nvidia,tegra234"), "jetson-agx-orin"),
        (("raspberrypi,3-model-b-plus", "brcm,bcm2837"), "raspberry-pi-3"),
        (("raspberrypi,4-compute-module", "brcm,bcm2711"), "raspberry-pi-4"),
        (("raspberrypi,500", "brcm,bcm2712"), "raspberry-pi-5"),
        (("fsl,imx8mq-phanbell", "fsl,imx8mq"), "coral-dev-board"),
        (("xunlong,orangepi-5", "rockchip,rk3588s"), "rockchip-rk3588"),
    ],
)
def test_a_boards_compatible_list_finds_its_profile(compatible: tuple[str, ...], name: str) -> None:
    assert match_profile(_shipped(), _box(compatible, arch="aarch64", int8=("asimddp",))).name == name


@pytest.mark.parametrize("profile", _shipped(), ids=lambda profile: profile.name)
def test_every_shipped_profile_ends_on_the_processor_and_bounds_heat(profile: Profile) -> None:
    assert profile.prefer[-1].accelerator == "cpu"
    assert profile.limits.temperature_c is not None


@pytest.mark.parametrize("file", sorted(shipped("device-profiles").glob("*.toml")), ids=lambda file: file.stem)
def test_every_limit_of_a_shipped_profile_says_where_it_is_from(file: Path) -> None:
    lines = file.read_text().splitlines()

    for number, line in enumerate(lines):
        if line.startswith(("memory_mb", "temperature_c")):
            above = lines[number - 1]
            assert "#" in line or above.startswith("# ")


def test_the_accelerators_of_profiles_are_those_of_the_choice() -> None:
    assert set(get_args(AcceleratorName)) == set(ACCELERATOR_HARDWARE)


def test_an_earlier_folder_stands_over_a_later_one(tmp_path: Path) -> None:
    text = MINIMAL.format(name="a")
    folders = [
        _write(tmp_path / "mine", "a", f"{text}limits.memory_mb = 100"),
        _write(tmp_path / "shipped", "a", f"{text}limits.memory_mb = 200"),
    ]

    assert [profile.limits.memory_mb for profile in load_profiles(folders)] == [100]


def test_a_folder_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert load_profiles([tmp_path / "absent"]) == ()


def test_other_files_and_hidden_ones_are_left_alone(tmp_path: Path) -> None:
    _write(tmp_path, "a", MINIMAL.format(name="a"))
    (tmp_path / ".a.toml").write_text("x")
    (tmp_path / "README.md").write_text("x")

    assert [profile.name for profile in load_profiles([tmp_path])] == ["a"]


def test_every_fault_is_told_at_once_with_file_and_key_path(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    _write(folder, "a", 'name = "a"\nprefer = [{ accelerator = "gpu" }]\nlimit = 1\n')
    _write(folder, "b", 'name = "b"\nprefer = []\n[limits]\ntemperature_c = { soft = 90, hard = 80 }\n')
    _write(folder, "c", "name = ")
    _write(folder, "d", MINIMAL.format(name="other"))
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError) as caught:
        load_profiles([folder, tmp_path / "file"])

    message = str(caught.value)
    for part in (
        f"{folder / 'a.toml'}: prefer[0].accelerator: cannot use 'gpu'",
        f"{folder / 'a.toml'}: limit: cannot use unknown key 'limit': did you mean 'limits'?",
        f"{folder / 'b.toml'}: prefer: ",
        f"{folder / 'b.toml'}: limits.temperature_c: cannot use soft 90 with hard 80, expected soft below hard",
        f"{folder / 'c.toml'}: cannot read the file",
        f"{folder / 'd.toml'}: name: cannot use 'other': expected the file's own name, 'd'",
        f"{tmp_path / 'file'}: cannot read the folder",
    ):
        assert part in message
    assert "\n" not in message


DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", (DOCS / "profiles.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_reference_is_a_profile(example: str, tmp_path: Path) -> None:
    name = example.split('"')[1]

    assert load_profiles([_write(tmp_path, name, example)])[0].name == name
