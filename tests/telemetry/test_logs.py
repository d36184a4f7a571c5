from __future__ import annotations

import io
import json
import logging
import math
from collections.abc import Iterator

import pytest

from edged.telemetry import logs
from edged.telemetry.flood import MOST

LOGGER = logging.getLogger("edged.test")


@pytest.fixture(autouse=True)
def _leave_no_handler() -> Iterator[None]:
    yield
    logging.getLogger(logs.ROOT).handlers.clear()
    logging.getLogger(logs.ROOT).propagate = True


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_programs_get_a_json_line_an_event() -> None:
    stream = io.StringIO()
    logs.set_up("INFO", stream)
    logs.event(LOGGER, "source.lost", source="dock", code=7)
    document = json.loads(stream.getvalue())
    assert document.pop("at") > 0
    assert document == {"level": "info", "event": "source.lost", "source": "dock", "code": 7}


def test_people_get_words_and_what_has_spaces_is_quoted() -> None:
    stream = Terminal()
    logs.set_up("INFO", stream)
    logs.event(LOGGER, "source.lost", source="dock", reason="no such device", empty="")
    assert stream.getvalue() == 'INFO source.lost source=dock reason="no such device" empty=""\n'


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\x00b", "a\x9bm", "a\u202eb", "a\rb", "a\nERROR worker.broken"])
def test_what_would_speak_to_the_terminal_or_begin_a_line_is_written_out(hostile: str) -> None:
    stream = Terminal()
    logs.set_up("INFO", stream)
    logs.event(LOGGER, "source.lost", source=hostile)

    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()


@pytest.mark.parametrize(
    ("value", "told"),
    [(math.nan, "nan"), (math.inf, "inf"), ({"p50": [math.nan]}, {"p50": ["nan"]}), ((1.5, -math.inf), [1.5, "-inf"])],
)
def test_a_number_that_is_none_leaves_the_line_json(value: object, told: object) -> None:
    stream = io.StringIO()
    logs.set_up("INFO", stream)
    logs.event(LOGGER, "figures.told", value=value, good=1.5)

    document = json.loads(stream.getvalue(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (document["value"], document["good"]) == (told, 1.5)


def test_a_field_of_a_taken_name_hides_neither_the_code_nor_the_time() -> None:
    stream = io.StringIO()
    logs.set_up("INFO", stream)
    logs.event(LOGGER, "update.state", event="fetched", at="noon")

    document = json.loads(stream.getvalue())
    assert (document["event"], document["field_event"], document["field_at"]) == ("update.state", "fetched", "noon")
    assert document["at"] > 0


def test_a_flood_of_one_code_is_held_back_and_other_codes_are_not() -> None:
    stream = io.StringIO()
    logs.set_up("INFO", stream)
    for _ in range(5 * MOST):
        logs.event(LOGGER, "source.lost", source="dock")
    logs.event(LOGGER, "worker.broken")

    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]
    assert (events.count("source.lost"), events[-1]) == (MOST, "worker.broken")


def test_what_is_below_the_level_is_not_built() -> None:
    stream = io.StringIO()
    logs.set_up("WARNING", stream)
    logs.event(LOGGER, "quiet")
    assert stream.getvalue() == ""


def test_a_span_tells_how_it_ended_and_how_long_it_took() -> None:
    stream = io.StringIO()
    logs.set_up("DEBUG", stream)
    with logs.span(LOGGER, "load", model="parts"):
        pass
    with pytest.raises(KeyError), logs.span(LOGGER, "load", model="parts"):
        raise KeyError
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["load.started", "load.done", "load.started", "load.failed"]
    assert all(line["took_ms"] >= 0 for line in lines if "started" not in line["event"])


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_traceback_stays_with_its_event(stream: io.StringIO) -> None:
    logs.set_up("INFO", stream)
    try:
        raise KeyError("gone")  # noqa: TRY301 - what is logged is under test
    except KeyError:
        LOGGER.exception("worker.broken")
    assert "KeyError" in stream.getvalue()
