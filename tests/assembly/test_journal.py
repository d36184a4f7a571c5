from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.assembly.journal import JournalHandler, journal_handler
from edged.telemetry import logs
from fakes.journal import Journal

LOGGER = logging.getLogger("edged.test")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "socket")
    yield made
    made.close()


@pytest.fixture
def handler(journal: Journal) -> Iterator[JournalHandler]:
    made = JournalHandler(journal.address)
    logs.set_up("INFO", journal=made)
    yield made
    logging.getLogger(logs.ROOT).handlers.clear()
    logging.getLogger(logs.ROOT).propagate = True
    made.close()


@pytest.mark.usefixtures("handler")
def test_an_event_becomes_an_entry_that_names_its_place(journal: Journal) -> None:
    logs.event(LOGGER, "source.lost", level=logging.WARNING, source="dock")

    told = journal.entry()
    assert (told["EDGED_CODE"], told["EDGED_SOURCE"]) == ("source.lost", "dock")
    assert (Path(told["CODE_FILE"]).name, told["CODE_FUNC"]) == (
        "test_journal.py",
        "test_an_event_becomes_an_entry_that_names_its_place",
    )


@pytest.mark.usefixtures("handler")
def test_what_is_larger_than_a_datagram_comes_whole(journal: Journal) -> None:
    text = "x" * 3_000_000
    logs.event(LOGGER, "worker.failed", error=text)

    assert journal.entry()["EDGED_ERROR"] == text


@pytest.mark.usefixtures("handler")
def test_a_journal_that_takes_nothing_is_not_waited_for_and_hears_of_it_later(journal: Journal) -> None:
    sent = 2000  # far more than the system keeps for a reader that does not read
    for number in range(sent):
        # Of one code alone not so many would pass.
        logs.event(LOGGER, f"code.{number}")
    kept = 0
    while _waits(journal):
        kept += 1
    logs.event(LOGGER, "source.ended")

    assert 0 < kept < sent
    assert journal.entry()["EDGED_LOST"] == str(sent - kept)


def test_standard_error_that_is_the_journal_is_recognised(journal: Journal, tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        found = (tmp_path / "stream").stat()
        named = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        handler = journal_handler(stream, named, journal.address)

        assert handler is not None
        handler.close()
        assert journal_handler(stream, {"JOURNAL_STREAM": "1:2"}, journal.address) is None  # inherited from a service
        assert journal_handler(stream, {}, journal.address) is None
        assert journal_handler(stream, named, str(tmp_path / "nowhere")) is None
        assert journal_handler(io.StringIO(), named, journal.address) is None


def _waits(journal: Journal) -> bool:
    try:
        journal.entry()
    except BlockingIOError:
        return False
    return True
