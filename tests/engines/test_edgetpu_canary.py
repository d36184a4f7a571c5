"""What is remembered of library and runtime, and for how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.engines.edgetpu_canary import CRASHES, DAY_S, MOST_DAYS, Canary, pair
from edged.engines.sandbox import Hello
from fakes.note import Note

HELLO = Hello(1, "3.11.7", "1.26", "tflite-runtime", "2.14.0")


class Calendar:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def note() -> Note:
    return Note()


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    file = tmp_path / "libedgetpu.so.1"
    file.write_bytes(b"the library")
    return file


@pytest.fixture
def made(note: Note, calendar: Calendar) -> Canary:
    return Canary(note.read, note.write, calendar)


def is_refused(made: Canary, library: Path, hello: Hello = HELLO) -> bool:
    try:
        made.check(library, hello)
    except DeviceError:
        return True
    return False


def crash(made: Canary, library: Path, times: int = 1) -> None:
    for _ in range(times):
        made.note(library, HELLO, crashed=True)


def test_a_pair_that_crashed_once_is_tried_again(made: Canary, library: Path) -> None:
    crash(made, library)
    assert not is_refused(made, library)


def test_a_pair_that_never_did_but_crash_is_left_alone(made: Canary, library: Path) -> None:
    crash(made, library, CRASHES)
    with pytest.raises(
        DeviceError, match=r"libedgetpu.so.1 with tflite-runtime 2.14.0: loading both crashed 2 times.*again in 24 h"
    ) as caught:
        made.check(library, HELLO)
    assert caught.value.code == "runtime-mismatch"
    assert "[engine.edgetpu]" in caught.value.remedy
    assert "canary.json" in caught.value.remedy


def test_it_is_tried_again_after_a_day_and_after_twice_as_long_each_time_that_it_crashed(
    made: Canary, library: Path, calendar: Calendar
) -> None:
    crash(made, library, CRASHES)
    for days in (1, 2, 4, 8, MOST_DAYS, MOST_DAYS):
        calendar.now_s += days * DAY_S - 60
        assert is_refused(made, library)
        calendar.now_s += 60
        assert not is_refused(made, library)
        crash(made, library)


def test_it_is_remembered_across_a_restart(made: Canary, note: Note, library: Path, calendar: Calendar) -> None:
    crash(made, library, CRASHES)
    again = Canary(note.read, note.write, calendar)
    assert is_refused(again, library)
    calendar.now_s += DAY_S
    assert not is_refused(again, library)


def test_a_clock_that_was_set_back_makes_no_wait_longer(made: Canary, library: Path, calendar: Calendar) -> None:
    crash(made, library, CRASHES)
    calendar.now_s = 0.0
    assert not is_refused(made, library)


def test_another_library_or_runtime_begins_anew(made: Canary, library: Path) -> None:
    crash(made, library, CRASHES)
    assert not is_refused(made, library, Hello(1, "3.11.7", "1.26", "litert", "2.3.0"))
    library.write_bytes(b"a newer library")
    assert not is_refused(made, library)


def test_a_pair_that_ran_is_not_blamed_for_later_crashes(made: Canary, library: Path) -> None:
    made.note(library, HELLO, crashed=False)
    crash(made, library, CRASHES + 1)
    assert not is_refused(made, library)


def test_a_note_of_the_first_form_which_had_no_end_has_one(made: Canary, note: Note, library: Path) -> None:
    note.content = json.dumps({"schema": "edged.canary/1", "pairs": {pair(library, HELLO): 7}}).encode()
    assert not is_refused(made, library)
    crash(made, library)
    assert is_refused(made, library)


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b'{"pairs": 3}', b'{"pairs": {"a": "b"}}', b'{"pairs": {"a": {"crashes": 1e999}}}'],
)
def test_a_damaged_note_remembers_nothing(made: Canary, note: Note, library: Path, content: bytes | None) -> None:
    note.content = content
    assert not is_refused(made, library)
    crash(made, library)
    assert pair(library, HELLO).encode() in (note.content or b"")
