"""How much a box suffers, and from what."""

from __future__ import annotations

import pytest

from edged.control.pressure import SIGNS, Service, Signals, headroom, memory_free_percent, plausible, pressure
from edged.control.steps import CALM, CRITICAL, FREEING, HARD, HASTENING, NEAR, PRESSED


def late(p95_ms: float, objective_ms: float | None = 100.0) -> Signals:
    return Signals(services=(Service("gate", 0, p95_ms=p95_ms, objective_ms=objective_ms),))


@pytest.mark.parametrize(
    ("signals", "level", "cause"),
    [
        (Signals(), CALM, ""),
        (Signals(headroom_c=10.1), CALM, ""),
        (Signals(headroom_c=10.0), NEAR, "temperature"),
        (Signals(headroom_c=5.0), PRESSED, "temperature"),
        (Signals(headroom_c=-1.0), HARD, "temperature"),
        (Signals(headroom_c=-1.0, critical_c=5.0), CRITICAL, "temperature-hard"),
        (Signals(accelerator_headroom_c=4.0), PRESSED, "accelerator-temperature"),
        (Signals(throttled=True), PRESSED, "throttled"),
        (Signals(throttled=False), CALM, ""),
        (Signals(under_voltage=True), PRESSED, "under-voltage"),
        (Signals(memory_free_percent=12.1), CALM, ""),
        (Signals(memory_free_percent=8.0), PRESSED, "memory"),
        (Signals(memory_free_percent=1.0), CRITICAL, "memory"),
        (Signals(memory_full_percent=30.0), HARD, "memory-pressure"),
        (late(99.0), CALM, ""),
        (late(105.0), NEAR, "latency"),
        (late(111.0), PRESSED, "latency"),
        (late(111.0, objective_ms=None), CALM, ""),
        (late(200.0), HARD, "latency"),
        (Signals(services=(Service("gate", 0, age_s=3.0),)), PRESSED, "age"),
        (Signals(cpu_some_percent=99.0), NEAR, "cpu-pressure"),
        (Signals(swapped_mb_s=25.0), PRESSED, "swap"),
    ],
)
def test_each_sign_counts_from_its_bound_on(signals: Signals, level: int, cause: str) -> None:
    judged = pressure(signals)

    assert (judged.level, judged.cause) == (level, cause)


def test_the_worst_sign_names_the_cause_with_its_figure() -> None:
    judged = pressure(Signals(headroom_c=4.0, memory_free_percent=3.0))

    assert judged.words == "3.0 % of the memory is left"
    assert judged.helps == FREEING


def test_of_equal_signs_the_first_of_the_table_is_the_cause() -> None:
    assert pressure(Signals(throttled=True, under_voltage=True)).cause == "throttled"


def test_the_slowest_pipeline_counts() -> None:
    both = Signals(
        services=(Service("a", 0, p95_ms=50, objective_ms=100), Service("b", 0, p95_ms=300, objective_ms=100))
    )

    judged = pressure(both)

    assert (judged.words, judged.pipeline) == ("b takes 3.00 times its objective", "b")
    assert judged.helps == HASTENING


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.name)
def test_worse_values_never_count_less(sign) -> None:  # noqa: ANN001 - a row of the table
    bounds = [bound for bound, _ in sign.bounds]
    levels = [level for _, level in sign.bounds]

    assert bounds == sorted(bounds, reverse=sign.is_falling)
    assert levels == sorted(levels)


def test_the_profiles_limits_stand_over_the_kernels_and_are_where_the_governor_begins() -> None:
    heats = [(70.0, 80.0, 110.0), (60.0, None, None)]

    assert headroom(heats) == (10.0, 40.0)
    assert headroom(heats, 70.0, 85.0) == (5.0, 20.0)
    assert pressure(Signals(headroom_c=headroom(heats, 70.0)[0])).level == PRESSED
    assert headroom([]) == (None, None)


@pytest.mark.parametrize(
    ("available_mb", "total_mb", "percent"),
    [(512, 1024, 50.0), (2048, 65536, 50.0), (9000, 65536, 100.0), (None, 1024, None), (512, None, None)],
)
def test_of_a_large_memory_a_small_share_is_plenty(
    available_mb: float | None, total_mb: float | None, percent: float | None
) -> None:
    assert memory_free_percent(available_mb, total_mb) == percent


COOL = Signals(headroom_c=24.0, critical_c=34.0)
SPIKE = Signals(headroom_c=-95.0, critical_c=-85.0, memory_free_percent=40.0)


@pytest.mark.parametrize("before", [None, Signals(), COOL], ids=["first", "absent", "cool"])
def test_a_reading_that_no_silicon_can_have_come_to_in_a_second_is_not_believed(before: Signals | None) -> None:
    judged = plausible(SPIKE, before)

    assert pressure(judged).level == CALM
    assert judged.memory_free_percent == 40.0


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (SPIKE, SPIKE),
        (Signals(critical_c=4.0), Signals(critical_c=18.0)),
        (Signals(critical_c=-85.0, throttled=True), COOL),
    ],
    ids=["twice", "a steep rise", "the kernel says so, too"],
)
def test_heat_that_is_likely_is_believed(now: Signals, before: Signals) -> None:
    assert pressure(plausible(now, before)).cause == "temperature-hard"


@pytest.mark.parametrize("now", [COOL, Signals(), Signals(critical_c=5.1)])
def test_what_asks_for_nothing_at_once_is_taken_as_it_is(now: Signals) -> None:
    assert plausible(now, Signals(critical_c=60.0)) is now


def test_every_sign_that_is_not_calm_is_told_beside_the_worst() -> None:
    judged = pressure(Signals(headroom_c=4.0, memory_free_percent=3.0, cpu_some_percent=70.0))

    assert [(one.cause, one.level) for one in judged.signs] == [
        ("temperature", PRESSED),
        ("memory", HARD),
        ("cpu-pressure", NEAR),
    ]
    assert pressure(Signals()).signs == ()
