from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.update.journal import FIRST, MAX_JOURNAL_BYTES, Journal, read_journal
from fakes.clock import FakeClock
from fakes.disk import FragileDisk


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, FragileDisk(), FakeClock(wall=1_800_000_000_123_456_789, is_synced=False))


def file_of(folder: Path) -> Path:
    return folder / "journal.ndjson"


def events(folder: Path) -> list[str]:
    return [entry.fields["event"] for entry in read_journal(folder)]


def broken(folder: Path) -> list[int]:
    return [entry.number for entry in read_journal(folder) if entry.broken]


def test_a_line_tells_what_when_and_after_which_line(journal: Journal, tmp_path: Path) -> None:
    digest = journal.note(event="one")
    journal.note(event="two")

    first, second = [json.loads(line) for line in file_of(tmp_path).read_text().splitlines()]
    assert first == {"at_ms": 1_800_000_000_123, "synced": False, "event": "one", "prev": FIRST}
    assert second["prev"] == digest


def test_a_whole_journal_holds_together(journal: Journal, tmp_path: Path) -> None:
    for number in range(5):
        journal.note(event=str(number))

    assert events(tmp_path) == ["0", "1", "2", "3", "4"]
    assert broken(tmp_path) == []


def test_a_line_that_was_altered_is_seen_at_the_next_one(journal: Journal, tmp_path: Path) -> None:
    for number in range(3):
        journal.note(event=str(number))
    file_of(tmp_path).write_text(file_of(tmp_path).read_text().replace('"event":"1"', '"event":"7"'))

    assert broken(tmp_path) == [3]


def test_a_line_that_was_taken_out_is_seen(journal: Journal, tmp_path: Path) -> None:
    for number in range(3):
        journal.note(event=str(number))
    lines = file_of(tmp_path).read_text().splitlines(keepends=True)
    file_of(tmp_path).write_text(lines[0] + lines[2])

    assert broken(tmp_path) == [2]


def test_a_line_torn_by_a_power_cut_does_not_take_the_next_one_with_it(journal: Journal, tmp_path: Path) -> None:
    journal.note(event="one")
    file_of(tmp_path).write_bytes(file_of(tmp_path).read_bytes() + b'{"event": "tw')

    journal.note(event="three")

    assert events(tmp_path) == ["one", "three"]
    assert broken(tmp_path) == []


def test_the_journal_is_bounded_and_goes_on_from_the_file_before(journal: Journal, tmp_path: Path) -> None:
    journal.note(event="one")
    padding = "x" * (MAX_JOURNAL_BYTES // 20)
    for _ in range(21):
        journal.note(event="long", padding=padding)

    journal.note(event="last")

    assert len(file_of(tmp_path).read_bytes()) < MAX_JOURNAL_BYTES
    assert events(tmp_path)[0] == "one"
    assert events(tmp_path)[-1] == "last"
    assert broken(tmp_path) == []


def test_a_new_file_that_a_power_cut_took_again_is_begun_after_the_one_before(journal: Journal, tmp_path: Path) -> None:
    journal.note(event="one")
    file_of(tmp_path).rename(tmp_path / "journal.1.ndjson")

    journal.note(event="two")

    assert (events(tmp_path), broken(tmp_path)) == (["one", "two"], [])


def test_what_is_no_line_is_passed_over(journal: Journal, tmp_path: Path) -> None:
    file_of(tmp_path).write_text('rubbish\n[1]\n{"event":"of an earlier edged"}\n')

    journal.note(event="one")

    assert (events(tmp_path), broken(tmp_path)) == (["one"], [])


def test_a_box_that_never_noted_anything_has_an_empty_journal(tmp_path: Path) -> None:
    assert list(read_journal(tmp_path)) == []


def test_a_journal_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file_of(tmp_path).mkdir()

    with pytest.raises(DeviceError, match="expected the journal"):
        list(read_journal(tmp_path))


def test_a_line_that_lost_nothing_but_its_end_is_a_line(journal: Journal, tmp_path: Path) -> None:
    journal.note(event="one")
    journal.note(event="two")
    file_of(tmp_path).write_bytes(file_of(tmp_path).read_bytes()[:-1])
    assert events(tmp_path) == ["one", "two"]

    journal.note(event="three")

    assert events(tmp_path) == ["one", "two", "three"]
    assert broken(tmp_path) == []


def test_two_that_write_at_once_make_no_broken_link(tmp_path: Path) -> None:
    def write() -> None:
        journal = Journal(tmp_path, FragileDisk(), FakeClock())
        for number in range(40):
            journal.note(event=str(number))

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(events(tmp_path)), broken(tmp_path)) == (80, [])
