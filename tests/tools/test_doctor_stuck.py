"""A disk that does not answer holds up nobody: not the doctor's first look, and not its last word."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl import doctor
from edgectl.cli import main
from edgectl.doctor import examine
from edgectl.doctor_screen import is_command
from fakes.stuck import StuckFile

AWAY_S = 20.0


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "edged.toml"
    file.write_text(f'[device]\nid = "press-07"\n[state]\ndirectory = "{tmp_path}"\n', "utf-8")
    return file


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.LOOK_S < AWAY_S
    monkeypatch.setattr(doctor, "LOOK_S", 0.5)


@pytest.fixture
def stuck(config: Path) -> Iterator[StuckFile]:
    made = StuckFile(config)
    yield made
    made.close()


@pytest.mark.usefixtures("soon", "stuck")
def test_a_configuration_on_a_disk_that_hangs_is_told_and_what_needs_none_is_checked(config: Path) -> None:
    began_s = time.monotonic()
    rows = examine(config, ["configuration", "heat", "broker"]).rows
    assert time.monotonic() - began_s < AWAY_S
    (row,) = (row for row in rows if row.group == "configuration")
    assert (row.status, row.evidence) == ("fail", f"{config}: no answer within 0.5 s")
    assert is_command(row.remedy)
    assert [row.check for row in rows if row.group == "heat"] == ["temperature", "throttling", "under-voltage"]
    assert [row.evidence for row in rows if row.group == "broker"] == ["the configuration cannot be used"]


@pytest.mark.usefixtures("soon")
def test_a_report_that_the_disk_does_not_take_is_told(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "report.json"
    record.touch()
    held = StuckFile(record)
    try:
        assert main(["doctor", "heat", "--config", str(config), "--record", str(record)]) in {0, 1}
        assert (
            f"not recorded in {record}: no answer within 0.5 s; --record names another place" in capsys.readouterr().out
        )
    finally:
        held.close()


def test_a_report_is_written_through_no_link_that_lies_in_its_place(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "shadow"
    precious.write_text("root", "utf-8")
    (tmp_path / doctor.RECORD).symlink_to(precious)

    assert main(["doctor", "heat", "--config", str(config)]) in {0, 1}

    assert precious.read_text("utf-8") == "root"
    assert f"not recorded in {tmp_path / doctor.RECORD}: Too many levels of symbolic links" in capsys.readouterr().out
