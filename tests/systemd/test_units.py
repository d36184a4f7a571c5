"""The unit files as text: what systemd itself says of them, and what must be alike in both."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from edgectl.setup.program import Program, unit_text
from edged.config.share import shipped

UNITS = ("edged.service", "edged-safe.service")
DROP_INS = ("cpu-only", "jetson", "cloud-broker", "credentials", "gpio", "polite")
CORAL_IDS = (("1a6e", "089a"), ("18d1", "9302"))
NOT_HARDENING = {"ExecStart", "ExecStopPost", "Restart", "RestartSec", "RestartPreventExitStatus", "SuccessExitStatus"}
BY_NATURE_OTHER = {
    "SupplementaryGroups",
    "PrivateDevices",
    "RestrictAddressFamilies",
    "DevicePolicy",
    "DeviceAllow",
    "OOMPolicy",
}
SMALLER = {"MemoryHigh", "MemoryMax", "TasksMax", "LimitNOFILE", "CPUWeight"}

slow = pytest.mark.slow


@pytest.fixture
def folder() -> Path:
    """Give the shipped folder."""
    return shipped("systemd")


@pytest.fixture
def analyze() -> str:
    """Give the path of systemd-analyze with a release that knows offline analysis, or skip."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("needs systemd-analyze: it is not on PATH")
    words = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.split()
    if int(words[1]) < 250:
        pytest.skip(f"needs systemd-analyze 250 or newer: this is {words[1]}")
    return found


def section(file: Path, wanted: str = "Service") -> dict[str, list[str]]:
    """Give a section's values by key, in order."""
    values, now = defaultdict[str, list[str]](list), ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            now = line.strip("[]")
        elif now == wanted and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values[key].append(value)
    return dict(values)


def place(folder: Path, there: Path, *drop_ins: str) -> Path:
    """Copy both units, with a program that exists, and drop-ins for each; gives the folder."""
    for unit in UNITS:
        text = (folder / unit).read_text(encoding="utf-8").replace("/opt/edged/bin/edged", "/bin/true")
        (there / unit).write_text(text, encoding="utf-8")
        for name in drop_ins:
            (there / f"{unit}.d").mkdir(exist_ok=True)
            shutil.copy(folder / "drop-ins" / f"{name}.conf", there / f"{unit}.d")
    return there


def exposure(analyze: str, file: Path, at_most: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", f"--threshold={at_most * 10:.0f}", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


@slow
@pytest.mark.parametrize("drop_in", ["", *DROP_INS])
def test_every_directive_of_units_and_drop_ins_is_known_to_systemd(
    analyze: str, folder: Path, tmp_path: Path, drop_in: str
) -> None:
    placed = place(folder, tmp_path, *filter(None, [drop_in]))
    files = [str(placed / unit) for unit in UNITS]
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=one", *files], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "edged" in line]
    assert (said, done.returncode) == ([], 0)


@slow
@pytest.mark.parametrize(
    ("unit", "drop_ins", "at_most"),
    [
        ("edged.service", (), 1.2),
        ("edged.service", ("cpu-only",), 1.0),
        ("edged-safe.service", (), 1.0),
        ("edged.service", ("credentials",), 1.2),
        ("edged.service", ("cloud-broker",), 1.3),
        ("edged.service", ("polite",), 1.3),
        ("edged.service", ("gpio",), 1.2),
        ("edged.service", ("cpu-only", "polite"), 1.1),
    ],
)
def test_the_units_exposure_is_bounded(
    analyze: str, folder: Path, tmp_path: Path, unit: str, drop_ins: tuple[str, ...], at_most: float
) -> None:
    done = exposure(analyze, place(folder, tmp_path, *drop_ins) / unit, at_most)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@slow
@pytest.mark.parametrize(("unit", "at_most"), [("edged.service", 1.2), ("edged-safe.service", 1.0)])
def test_a_program_below_a_home_costs_no_exposure(
    analyze: str, folder: Path, tmp_path: Path, unit: str, at_most: float
) -> None:
    home = Path("/home/pi/.local/share/pipx/venvs/edged")
    text = unit_text((folder / unit).read_text(encoding="utf-8"), Program(home / "bin" / "edged", (home,)))
    (tmp_path / unit).write_text(text, encoding="utf-8")
    done = exposure(analyze, tmp_path / unit, at_most)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@slow
def test_a_unit_without_hardening_would_fail_that_test(analyze: str, tmp_path: Path) -> None:
    (tmp_path / "bare.service").write_text("[Service]\nExecStart=/bin/true\n", encoding="utf-8")
    assert exposure(analyze, tmp_path / "bare.service", 1.2).returncode != 0


def test_a_child_that_memory_costs_does_not_cost_the_daemon(folder: Path) -> None:
    assert section(folder / "edged.service")["OOMPolicy"] == ["continue"]


def test_safe_mode_is_confined_like_the_daemon(folder: Path) -> None:
    daemon, safe = (section(folder / unit) for unit in UNITS)
    told_apart = NOT_HARDENING | BY_NATURE_OTHER | SMALLER
    assert {key: daemon[key] for key in daemon.keys() - told_apart} == {
        key: safe[key] for key in safe.keys() - told_apart
    }


def test_the_daemon_gives_way_to_safe_mode_and_safe_mode_to_the_daemon(folder: Path) -> None:
    daemon, safe = (section(folder / unit, "Unit") for unit in UNITS)
    assert daemon["OnFailure"] == ["edged-safe.service"]
    assert safe["Conflicts"] == ["edged.service"]
    assert "OnFailure" not in safe
    assert "edged.service" in safe["After"][0]
    assert "Install" not in (folder / "edged-safe.service").read_text(encoding="utf-8")


def test_a_wrong_configuration_is_not_tried_again(folder: Path) -> None:
    daemon, safe = (section(folder / unit) for unit in UNITS)
    assert daemon["RestartPreventExitStatus"] == ["2"]
    assert safe["RestartPreventExitStatus"] == ["2"]


def test_every_group_that_the_unit_names_is_made(folder: Path) -> None:
    lines = (folder / "sysusers.d" / "edged.conf").read_text(encoding="utf-8").splitlines()
    made = {line.split()[1] for line in lines if line.startswith(("g ", "u "))}
    named = section(folder / "edged.service")
    gpio = section(folder / "drop-ins" / "gpio.conf")["SupplementaryGroups"]
    assert {*named["SupplementaryGroups"][0].split(), *gpio, *named["User"], *named["Group"]} == made


def test_the_udev_rules_name_a_coral_stick_before_and_after_its_firmware(folder: Path) -> None:
    rules = (folder / "udev" / "rules.d" / "60-edged.rules").read_text(encoding="utf-8").splitlines()
    for vendor, product in CORAL_IDS:
        (rule,) = [line for line in rules if f'ATTR{{idVendor}}=="{vendor}", ATTR{{idProduct}}=="{product}"' in line]
        assert 'GROUP="plugdev"' in rule
