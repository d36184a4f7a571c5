"""What ``edged explain`` and ``edged check`` find out by opening a file in a child, and what they leave to the daemon."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from edged.assembly import opening
from edged.assembly.box import Box, survey
from edged.assembly.opening import Opening
from edged.assembly.trying import TrialResult
from edged.config.schema import Objective
from edged.domain.bundle import Bundle
from edged.update.manifest import read_bundle
from fakes.sensor import sensor_bundle


@pytest.fixture
def box() -> Box:
    return survey(Path("/"), "auto", ())


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read_bundle(sensor_bundle(tmp_path / "level"))


def verdicts(found: Opening, bundle: Bundle) -> list[str]:
    return [rung.verdict for rung in found.ladder(bundle, None, Objective()).rungs]


def test_what_opens_is_chosen_and_opened_once(box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    found, tries = Opening(box), list[str]()
    try_rung = opening.try_rung
    monkeypatch.setattr(opening, "try_rung", lambda *given: tries.append("one") or try_rung(*given))  # type: ignore[func-returns-value]

    assert "chosen" in verdicts(found, bundle)
    assert "chosen" in verdicts(found, bundle)
    assert tries == ["one"]
    assert found.misfits(bundle) == {}


def test_a_box_without_room_for_a_temporary_file_takes_the_files_as_they_are(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert "chosen" in verdicts(Opening(box), bundle)


def test_what_opens_and_is_slow_is_not_refused_for_that(
    box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "try_rung", lambda *_given: (TrialResult("did not end within 20 s"), True))
    assert "chosen" in verdicts(Opening(box), bundle)


def test_without_tries_nothing_is_opened(box: Box, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "try_rung", lambda *_given: pytest.fail("it was opened"))
    assert "chosen" in verdicts(Opening(box, tries=False), bundle)
