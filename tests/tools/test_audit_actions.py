"""``edgectl audit --actions`` on a real log, and on one that was altered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgectl.cli import main
from edged.assembly.acting import FOLDER
from edged.update.disk import LocalDisk
from edged.update.journal import JOURNAL, Journal
from fakes.clock import FakeClock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    journal = Journal(tmp_path / FOLDER, LocalDisk(), FakeClock())
    about = {"pipeline": "gate", "rule": "at-the-gate", "phase": "start"}
    journal.note(action="horn", kind="serial", what="does", **about)
    journal.note(action="stop", kind="command", what="refused", **about, why="interlock /run/plc/armed is not there")
    return tmp_path


def test_the_log_is_shown_with_why(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")

    assert main(["audit", "--actions", "--state", str(state)]) == 0

    shown = capsys.readouterr().out
    assert "interlock /run/plc/armed is not there" in shown
    assert "the log's 2 lines follow each other" in shown


def test_what_a_program_said_is_shown_as_it_stands_and_steers_no_terminal(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = "it ends with 1 ([/foo] [red]x\x1b]0;gone\x07), expected 0"
    Journal(state / FOLDER, LocalDisk(), FakeClock()).note(action="stop", kind="command", what="failed", why=said)

    assert main(["audit", "--actions", "--state", str(state)]) == 0

    shown = capsys.readouterr().out
    assert "([/foo] [red]x?]0;gone?)" in shown
    assert "\x1b" not in shown


def test_as_json_every_line_has_its_moment(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--actions", "--json", "--state", str(state)]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [line["action"] for line in told["actions"]] == ["horn", "stop"]
    assert told["actions"][0]["at"].endswith("Z")
    assert told["journal"] == {"lines": 2, "whole": True, "broken": []}


def test_a_line_that_was_altered_is_named(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = state / FOLDER / JOURNAL
    file.write_bytes(file.read_bytes().replace(b"horn", b"corn"))

    assert main(["audit", "--actions", "--state", str(state)]) == 1
    assert "journal.ndjson line 2: it does not follow the line before it" in " ".join(capsys.readouterr().out.split())


def test_before_anything_was_done_the_page_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--actions", "--state", str(tmp_path)]) == 0
    assert "docs/actions.md" in capsys.readouterr().out
