"""Where edged lies, and the units that start it from there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgectl.setup import program
from edgectl.setup.program import Program, find, unit_text
from edged.config.share import shipped
from edged.domain.errors import DeviceError

UNITS = ("edged.service", "edged-safe.service")
HOME = Path("/home/pi/.local/share/pipx/venvs/edged")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give an environment with edged in it, as pip leaves one."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "edged").touch()
    (tmp_path / "lib" / "edged").mkdir(parents=True)
    return tmp_path


def unit(name: str, started: Program) -> str:
    return unit_text((shipped("systemd") / name).read_text(encoding="utf-8"), started)


@pytest.mark.parametrize("name", UNITS)
def test_a_program_in_opt_needs_nothing_but_its_path(name: str) -> None:
    text = unit(name, Program(Path("/opt/other/bin/edged")))
    assert re.findall("^ExecStart=(.*?) run", text, re.MULTILINE) == ["/opt/other/bin/edged"]
    assert text.replace("/opt/other", "/opt/edged") == (shipped("systemd") / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", UNITS)
def test_of_a_home_the_unit_sees_the_programs_folders_alone(name: str) -> None:
    text = unit(name, Program(HOME / "bin" / "edged", (HOME, Path("/home/pi/.pyenv"))))
    assert "ProtectHome=tmpfs\n" in text
    assert "ProtectHome=yes" not in text
    assert f"BindReadOnlyPaths={HOME} /home/pi/.pyenv\n" in text
    assert "/opt/edged" not in text


def test_a_path_with_blanks_and_percent_signs_stays_one_path() -> None:
    odd = Path("/home/a b%c")
    text = unit("edged.service", Program(odd / "edged", (odd,)))
    assert 'ExecStart="/home/a b%%c/edged" run' in text
    assert 'BindReadOnlyPaths="/home/a b%%c"' in text


def test_quotes_and_backslashes_in_a_path_are_its_own() -> None:
    text = unit("edged.service", Program(Path('/opt/a "b\\c/edged')))
    assert r'ExecStart="/opt/a \"b\\c/edged" run' in text


def test_a_temporary_environment_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "OWN", (place.parent,))
    with pytest.raises(DeviceError, match="the unit has a /tmp of its own"):
        find(place, Path("/usr"), place / "lib" / "edged")


def test_an_environment_without_edged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot find the program edged"):
        find(tmp_path, Path("/usr"), tmp_path)


def test_an_environment_that_others_may_not_read_is_refused_with_the_command_that_opens_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "OWN", ())
    place.chmod(0o700)
    with pytest.raises(DeviceError) as refused:
        find(place, Path("/usr"), place / "lib" / "edged")
    # pytest closes the folders above it as well, which counts as little as a home does.
    assert refused.value.remedy == f"sudo chmod o+rx {place}"


def test_what_an_editable_install_and_its_python_need_is_seen_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "OWN", ())
    monkeypatch.setattr(program, "HIDDEN", (place.parent,))
    place.chmod(0o700)
    environment, checkout, python = place / "venv", place / "checkout", place / "python"
    for folder in (environment / "bin", checkout / "edged", python):
        folder.mkdir(parents=True)
    (environment / "bin" / "edged").touch()
    found = find(environment, python, checkout / "edged")
    assert (found.file, found.needs) == (environment / "bin" / "edged", (environment, python, checkout))
