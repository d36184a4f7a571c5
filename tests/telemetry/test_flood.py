from __future__ import annotations

import logging

from edged.telemetry.flood import FIELD, MOST, PERIOD_S, Flood
from edged.telemetry.logs import FIELDS


class Time:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def said(code: str = "source.lost", **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "edged.test", "msg": code, FIELDS: fields})


def test_of_a_code_so_many_pass_and_the_next_period_tells_how_many_did_not() -> None:
    time = Time()
    flood = Flood(FIELDS, time)
    passed = [flood.filter(said()) for _ in range(MOST + 7)]
    time.now_s += PERIOD_S
    record = said(source="dock")

    assert passed == [True] * MOST + [False] * 7
    assert flood.filter(record)
    assert record.__dict__[FIELDS] == {"source": "dock", FIELD: 7}


def test_another_code_passes_meanwhile() -> None:
    flood = Flood(FIELDS, Time())
    for _ in range(2 * MOST):
        flood.filter(said())

    assert flood.filter(said("worker.broken"))


def test_what_says_little_is_left_as_it_is() -> None:
    time = Time()
    flood = Flood(FIELDS, time)
    for _ in range(MOST):
        assert flood.filter(said())
    time.now_s += PERIOD_S
    record = said()

    assert flood.filter(record)
    assert record.__dict__[FIELDS] == {}
