"""The way of an ordered release through restarts, power cuts and ends that were asked for."""

from __future__ import annotations

from contextlib import suppress

import pytest

from edged.domain.errors import EngineLostError
from edged.update.rollout import Event, State
from fakes.site import MODEL, OTHER_BOOT, Air, Tried


def test_a_trial_that_was_interrupted_three_times_is_not_made_again(air: Air) -> None:
    order = air.order()

    def crash(_bundle: object) -> Tried:
        raise SystemExit

    air.knobs.trial = crash
    for _ in range(3):
        with pytest.raises(SystemExit):
            air.carry(order)

    assert air.carry(order) == "failed"

    pointer = air.records().pointer(MODEL)
    assert "its trial was interrupted 3 times" in pointer.reason
    assert (pointer.finished, len(air.knobs.tried), air.knobs.fetched) == (True, 3, ["2.0.0"])


def test_a_power_cut_in_a_trial_is_none_of_the_release_s_faults(air: Air) -> None:
    order = air.order()

    def cut(_bundle: object) -> Tried:
        raise SystemExit

    air.knobs.trial = cut
    for boot in range(4):
        air.boot = f"boot-{boot}"
        with pytest.raises(SystemExit):
            air.carry(order)
    air.knobs.trial = lambda _bundle: Tried(passed=True)

    assert air.carry(order) == "probation"


def test_a_trial_that_always_cuts_the_power_comes_to_an_end(air: Air) -> None:
    order = air.order()

    def cut(_bundle: object) -> Tried:
        raise SystemExit

    air.knobs.trial = cut
    for boot in range(10):
        air.boot = f"boot-{boot}"
        with suppress(SystemExit):
            air.carry(order)

    pointer = air.records().pointer(MODEL)
    assert (pointer.state, pointer.code, pointer.finished) == (State.FAILED, "state-loop", True)


def test_a_probation_goes_on_after_a_restart_and_has_what_runs_look_again(air: Air) -> None:
    order = air.order()
    updater, way = air.updater(), air.way(order)
    updater.carry(way)
    air.clock.advance(60)
    updater.carry(way)

    air.clock.advance(5)
    air.carry(order)

    assert [round(one.running_s) for one in air.knobs.watched] == [0, 60, 0]
    assert air.knobs.activated == ["2.0.0", "2.0.0"]
    assert air.knobs.watched[0].before is not None
    assert air.knobs.watched[0].before.version == "1.0.0"


def test_trouble_while_it_is_watched_is_no_verdict(air: Air) -> None:
    order = air.order()
    updater, way = air.updater(), air.way(order)
    updater.carry(way)
    air.knobs.verdict_fails = EngineLostError("cannot ask: away")

    assert updater.carry(way).why == "cannot ask: away"
    assert updater.slots.pointer(MODEL).state is State.PROBATION


def test_a_start_on_another_boot_is_no_crash(air: Air) -> None:
    order = air.order()
    air.carry(order)
    for number in range(5):
        air.boot = f"{OTHER_BOOT[:-1]}{number}"
        assert air.carry(order) == "probation"


def test_an_end_that_was_asked_for_is_no_crash(air: Air) -> None:
    order = air.order()
    air.carry(order)
    for _ in range(5):
        air.updater().ended_well()
        assert air.carry(order) == "probation"


def test_a_download_that_is_called_back_stays_where_it_is(air: Air) -> None:
    order = air.order()
    air.knobs.is_cancelled = True
    updater = air.updater()

    pause = updater.carry(air.way(order))

    assert (pause.seconds, updater.slots.pointer(MODEL).state) == (0.0, State.DOWNLOADING)
    air.knobs.is_cancelled = False
    assert air.carry(order) == "probation"


def test_a_restart_while_it_is_verified_fetches_what_is_not_in_the_store_again(air: Air) -> None:
    order = air.order()
    slots = air.updater().slots
    slots.advance(MODEL, Event.ORDERED, order=order)
    for event in (Event.BEGUN, Event.NEEDED, Event.FETCHED):
        slots.advance(MODEL, event)

    assert (air.carry(order), air.knobs.fetched) == ("probation", ["2.0.0"])


def test_an_end_without_a_probation_leaves_the_pointer_alone(air: Air) -> None:
    before = air.records().pointer(MODEL)

    air.updater().ended_well()

    assert air.records().pointer(MODEL) == before
