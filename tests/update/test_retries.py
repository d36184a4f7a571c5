"""What of a retry is worth a line in the journal."""

from __future__ import annotations

from edged.domain.errors import RetryableError
from edged.update.journal import read_journal
from fakes.site import MODEL, Air


def events(air: Air) -> list[str]:
    entries = list(read_journal(air.state))
    assert not any(entry.broken for entry in entries)
    return [str(entry.fields["event"]) for entry in entries]


def test_what_fails_again_by_the_same_cause_is_noted_once(air: Air) -> None:
    order = air.order("2.0.0")
    updater = air.updater()
    way = air.way(order)
    air.knobs.fails = RetryableError("cannot reach it: no route", code="network")
    updater.carry(way)
    before = events(air)

    for _ in range(10):
        updater.carry(way)

    assert events(air) == before
    assert air.records().pointer(MODEL).state.value == "failed"


def test_another_cause_is_noted_with_the_way_to_it(air: Air) -> None:
    updater, way = air.updater(), air.way(air.order("2.0.0"))
    air.knobs.fails = RetryableError("cannot reach it: no route", code="network")
    updater.carry(way)
    before = len(events(air))
    air.knobs.fails = RetryableError("cannot use it: another digest", code="digest")

    updater.carry(way)
    updater.carry(way)

    assert events(air)[before:] == ["ordered", "begun", "needed", "failed"]


def test_a_retry_that_succeeds_is_noted_whole(air: Air) -> None:
    updater, way = air.updater(), air.way(air.order("2.0.0"))
    air.knobs.fails = RetryableError("cannot reach it: no route", code="network")
    for _ in range(3):
        updater.carry(way)
    before = len(events(air))
    air.knobs.fails = None

    updater.carry(way)

    assert events(air)[before : before + 5] == ["ordered", "begun", "needed", "fetched", "stored"]


def test_another_order_is_no_retry(air: Air) -> None:
    updater = air.updater()
    air.knobs.fails = RetryableError("cannot reach it: no route", code="network")
    updater.carry(air.way(air.order("2.0.0")))
    before = len(events(air))

    updater.carry(air.way(air.order("3.0.0")))

    assert events(air)[before:] == ["ordered", "begun", "needed", "failed"]
