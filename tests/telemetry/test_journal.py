from __future__ import annotations

import logging
import math
import sys

import pytest

from edged.telemetry.journal import MOST_NAME_CHARS, datagram, message_id
from edged.telemetry.logs import FIELDS
from fakes.journal import read_entry


def entry(level: int = logging.WARNING, lost: int = 0, *, failed: bool = False, **fields: object) -> dict[str, str]:
    trace = None
    if failed:
        try:
            raise KeyError("gone")  # noqa: TRY301 - what is logged is under test
        except KeyError:
            trace = sys.exc_info()
    record = logging.LogRecord("edged.feed", level, "/edged/pipeline/feed.py", 283, "source.lost", (), trace, "_lost")
    setattr(record, FIELDS, fields)
    return read_entry(datagram(record, lost))


def test_an_entry_says_what_happened_where_and_how_grave_it_is() -> None:
    told = entry(source="dock", again_in_s=0.5)

    assert told["MESSAGE"] == "source.lost source=dock again_in_s=0.5"
    assert (told["PRIORITY"], told["SYSLOG_IDENTIFIER"]) == ("4", "edged")
    assert (told["EDGED_CODE"], told["MESSAGE_ID"]) == ("source.lost", message_id("source.lost"))
    assert (told["EDGED_SOURCE"], told["EDGED_AGAIN_IN_S"]) == ("dock", "0.5")
    assert (told["CODE_FILE"], told["CODE_LINE"], told["CODE_FUNC"]) == ("/edged/pipeline/feed.py", "283", "_lost")
    assert (told["EDGED_LOGGER"], told["EDGED_THREAD"]) == ("edged.feed", "MainThread")
    assert "EDGED_LOST" not in told


@pytest.mark.parametrize(("level", "priority"), [(50, "2"), (40, "3"), (30, "4"), (20, "6"), (10, "7")])
def test_levels_are_syslogs_priorities(level: int, priority: str) -> None:
    assert entry(level)["PRIORITY"] == priority


def test_a_value_of_several_lines_stays_one_field() -> None:
    assert entry(error="cannot read\nMESSAGE=forged\n")["EDGED_ERROR"] == "cannot read\nMESSAGE=forged\n"


def test_a_traceback_is_shown_with_the_message() -> None:
    told = entry(failed=True)

    assert told["MESSAGE"].startswith("source.lost\nTraceback")
    assert told["MESSAGE"].endswith("KeyError: 'gone'")


def test_a_fields_name_is_made_one_of_the_journals() -> None:
    told = entry(code="bad-json", **{"p99 ms": 1, "ü" * 100: 2})

    assert (told["EDGED_CODE"], told["EDGED_FIELD_CODE"], told["EDGED_P99_MS"]) == ("source.lost", "bad-json", "1")
    assert max(map(len, told)) == MOST_NAME_CHARS


def test_values_with_parts_are_json() -> None:
    assert entry(evidence={"stability": [0.5]})["EDGED_EVIDENCE"] == '{"stability": [0.5]}'


def test_parts_with_a_number_that_is_none_are_json_too() -> None:
    assert entry(figures={"p50": math.nan})["EDGED_FIGURES"] == '{"p50": "nan"}'


def test_what_was_lost_before_is_told() -> None:
    assert entry(lost=7)["EDGED_LOST"] == "7"
