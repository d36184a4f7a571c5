from __future__ import annotations

from pathlib import Path

from edged.assembly.allowance import Allowance
from edged.assembly.notes import drop_note, read_note, write_note
from edged.domain.message import Draft
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox

RESULT = Draft("result/gate", {"schema": "edged.result/1", "pad": "x" * 1000})


def test_without_a_limit_nothing_stands_before_the_outbox(tmp_path: Path) -> None:
    outbox = FakeOutbox()
    allowance = Allowance(None, outbox, tmp_path, FakeClock())
    allowance.keep(now=True)
    assert allowance.outbox is outbox
    assert (allowance.figures(), allowance.reasons({}), allowance.thinned) == (None, [], {})
    assert list(tmp_path.iterdir()) == []


def test_what_is_held_back_is_counted_and_said_with_the_remedy(tmp_path: Path) -> None:
    clock, outbox = FakeClock(), FakeOutbox()
    allowance = Allowance(0.1, outbox, tmp_path, clock)
    assert allowance.reasons({}) == []
    taken = sum(allowance.outbox.put(RESULT) for _ in range(20))

    (reason,) = allowance.reasons({("budget", "mqtt"): 7})

    assert taken == len(outbox.drafts) < 20
    assert allowance.thinned == {"result/gate": 20 - taken}
    assert (reason.code, reason.component, reason.since_mono_ns, reason.fatal) == ("budget", "mqtt", 7, False)
    assert "of 0.1 MB are spent" in reason.message
    assert "budget_mb_per_day" in reason.remedy
    clock.advance(301)
    assert allowance.reasons({}) == []


def test_a_restart_within_the_day_goes_on_where_the_last_note_stood(tmp_path: Path) -> None:
    clock = FakeClock()
    first = Allowance(1.0, FakeOutbox(), tmp_path, clock)
    first.outbox.put(RESULT)
    first.keep()
    assert read_note(tmp_path / "budget.json") is None, "not before a minute is over"
    clock.advance(60)
    first.keep()

    again = Allowance(1.0, FakeOutbox(), tmp_path, clock)

    assert again.figures() == first.figures() | {"thinned": 0}  # type: ignore[operator]  # there are figures


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    (tmp_path / "budget.json").write_bytes(b"\xff")
    figures = Allowance(1.0, FakeOutbox(), tmp_path, FakeClock()).figures()
    assert figures is not None
    assert figures["used_bytes"] == 0


def test_a_note_that_cannot_be_written_or_removed_is_no_failure(tmp_path: Path) -> None:
    place = tmp_path / "note"
    place.mkdir()
    (place / "in the way").mkdir()
    write_note(place, b"x")
    drop_note(place)
    assert read_note(place) is None


def test_a_note_is_read_as_it_was_written_and_gone_once_dropped(tmp_path: Path) -> None:
    note = tmp_path / "note"
    write_note(note, b"one")
    write_note(note, b"two")
    assert read_note(note) == b"two"
    drop_note(note)
    drop_note(note)
    assert list(tmp_path.iterdir()) == []
