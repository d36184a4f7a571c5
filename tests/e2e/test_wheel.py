"""The wheel, installed elsewhere, and the editable install: both find what travels with edged."""

from __future__ import annotations

import json
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.sensor import pipeline
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until
from fakes.wheel import CHECKOUT, build_wheel, sealed

pytestmark = pytest.mark.slow

TRAVELS = ("models", "device-profiles", "systemd")
SHOW = (
    "import json; from edged.config.share import shipped;"
    f"print(json.dumps([str(shipped(name)) for name in {TRAVELS!r}]))"
)


def environment(folder: Path) -> Path:
    """Make an environment that sees the dependencies of this one, but not its edged; gives its interpreter."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python*/site-packages")
    # What a .pth file adds is searched behind the environment's own folder, and .pth files in there are not followed.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and install it into an environment of its own; gives the interpreter."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(folder / "dist")
    python = environment(folder / "venv")
    sealed([*pip_install(python), wheel])
    return python


def pip_install(python: Path) -> list[str | Path]:
    # The pip is this environment's; it sees the edged there too, which must not count as installed.
    return [python, "-m", "pip", "install", "--quiet", "--no-deps", "--ignore-installed"]


def program(python: Path) -> tuple[str]:
    return (str(python.with_name("edged")),)


def shown(python: Path) -> list[Path]:
    done = subprocess.run([python, "-c", SHOW], cwd="/", capture_output=True, text=True, check=True)
    return [Path(place) for place in json.loads(done.stdout)]


def files_below(folder: Path) -> set[Path]:
    return {
        file.relative_to(folder)
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith(".")
    }


def test_the_wheel_carries_models_profiles_and_unit_files(installed: Path) -> None:
    for name, folder in zip(TRAVELS, shown(installed), strict=True):
        assert folder.is_relative_to(installed.parents[1])
        assert files_below(folder)
        assert files_below(folder) == files_below(CHECKOUT / name)


def test_the_wheels_program_knows_the_box_by_a_shipped_profile(installed: Path) -> None:
    said = edged("hardware", "--json", program=program(installed))
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out)["profile"] in {file.stem for file in (CHECKOUT / "device-profiles").glob("*.toml")}


def test_the_wheels_program_lists_and_explains_the_shipped_models(installed: Path) -> None:
    listed = edged("models", "--json", program=program(installed))
    found = {model["name"]: model["found"][0]["folder"] for model in json.loads(listed.out)["models"]}
    assert Path(found["vibration"]).is_relative_to(installed.parents[1])

    for name in found:
        explained = edged("explain", name, "--json", program=program(installed))
        assert (explained.status, explained.err) == (0, "")
        verdicts = [variant["verdict"] for variant in json.loads(explained.out)["variants"]]
        assert verdicts.count("chosen") == 1


def test_the_wheels_program_runs_a_shipped_model_on_its_shipped_recording(
    installed: Path, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    recording = shown(installed)[0] / "vibration" / "demo" / "fan.csv"
    source = f'[[source]]\nname = "fan"\nkind = "csv"\npath = "{recording}"\ncolumns = ["x", "y", "z"]\ntime = "t"\n'
    bearing = pipeline("bearing", source="fan", model="vibration", more="calibrate_s = 11")
    config = write_config(tmp_path, broker.port, source + bearing)

    daemon = run(config, program=program(installed))

    assert daemon.wait() == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    told = fleet.of("result/bearing")
    samples = len(recording.read_text().splitlines()) - 1
    assert numbers(told) == list(range(1, (samples - 128) // 64 + 2))
    assert {result["anomaly"]["is_anomaly"] for result in told if result["status"] == "ok"} == {True, False}


def test_an_editable_install_finds_them_in_the_checkout(tmp_path: Path) -> None:
    pytest.importorskip("editables", reason="needs editables, with which hatchling installs what lies in two folders")
    python = environment(tmp_path / "venv")
    sealed([*pip_install(python), "--no-build-isolation", "--editable", CHECKOUT])

    assert shown(python) == [CHECKOUT / name for name in TRAVELS]
    assert edged("models", "--json", program=program(python)).status == 0
