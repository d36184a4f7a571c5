"""``edgectl audit`` on the state of a box."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgectl.cli import main
from edged.update.probation import COMMIT
from fakes.site import Air, box


@pytest.fixture
def air(tmp_path: Path) -> Air:
    """Give a box on which an order was carried out a minute after the first install."""
    air = box(tmp_path)
    air.clock.advance(60)
    air.knobs.verdict = COMMIT
    air.carry(air.order("2.0.0", campaign="spring"))
    return air


def test_it_names_the_digests_that_were_live_and_who_ordered_them(air: Air, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--state", str(air.state), "--at", "2027-01-15T08:01:00Z", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    (model,) = told["models"]
    assert (model["version"], model["order"]["by"], model["since"]) == ("2.0.0", "someone", "2027-01-15T08:01:00.000Z")
    assert told["journal"]["whole"]


def test_a_minute_earlier_it_was_the_folder_s(air: Air, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--state", str(air.state), "--at", "2027-01-15T08:00:59Z"]) == 0

    said = capsys.readouterr().out
    assert "1.0.0" in said
    assert "2.0.0" not in said
    assert "nobody" in said


def test_another_model_s_rows_are_left_out(air: Air, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--state", str(air.state), "--model", "other", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["models"] == []


def test_a_journal_that_was_altered_is_told_and_is_a_fault(air: Air, capsys: pytest.CaptureFixture[str]) -> None:
    file = air.state / "journal.ndjson"
    file.write_text(file.read_text().replace('"by":"someone"', '"by":"nobody"'))

    assert main(["audit", "--state", str(air.state)]) == 1

    assert "it does not follow the line before it" in " ".join(capsys.readouterr().out.split())


def test_a_moment_that_is_none_is_a_wrong_request(air: Air, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--state", str(air.state), "--at", "yesterday"]) == 2

    assert "expected RFC 3339" in capsys.readouterr().err
