"""A configuration with relative paths, looked at from another folder than the one in which its daemon was started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.checks.rows import Row
from edgectl.doctor import examine
from edgectl.doctor_screen import is_command

TEXT = '[device]\nid = "press-07"\n[state]\ndirectory = "state"\n[models]\ndirectories = ["models"]\n'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give a folder with a configuration and what it names."""
    folder = tmp_path / "site"
    (folder / "models").mkdir(parents=True)
    (folder / "edged.toml").write_text(TEXT, "utf-8")
    return folder


@pytest.fixture
def daemon(site: Path) -> Iterator[None]:
    """Start what looks like a daemon there, by its command alone."""
    program = site / "edged"
    program.write_text("import sys\nsys.stdin.read()\n", "utf-8")
    command = [sys.executable, str(program), "run", "--config", "edged.toml"]
    with subprocess.Popen(command, cwd=site, stdin=subprocess.PIPE):
        yield


def relative(file: Path) -> list[Row]:
    return [row for row in examine(file, ["configuration"]).rows if row.check == "relative paths"]


@pytest.mark.usefixtures("daemon")
def test_from_another_folder_the_command_that_sees_what_the_daemon_sees_is_told(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (row,) = relative(site / "edged.toml")
    assert (row.status, row.evidence) == ("warn", f"models, state: looked for from {tmp_path} on, expected {site}")
    assert row.remedy == f"cd {site} && edgectl doctor --config {site / 'edged.toml'}"
    assert is_command(row.remedy)


@pytest.mark.usefixtures("daemon")
def test_from_the_daemons_folder_nothing_is_amiss(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site)
    assert relative(Path("edged.toml")) == []


def test_without_a_daemon_nobody_knows_from_where_they_will_count(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site)
    (row,) = relative(site / "edged.toml")
    assert (row.status, row.remedy) == ("warn", "write them from / on")
    assert "expected the folder that edged is started in" in row.evidence


def test_paths_from_the_root_on_are_the_same_everywhere(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = TEXT.replace('"state"', f'"{site}/state"').replace('"models"', f'"{site}/models"')
    (site / "edged.toml").write_text(text, "utf-8")
    monkeypatch.chdir("/")
    assert relative(site / "edged.toml") == []
