from __future__ import annotations

import pytest

from edged.config.schema import Objective
from edged.control.choose import choose
from edged.control.possible import Facts
from edged.domain.figures import Figures
from edged.domain.variant import Identity, Rung
from fakes.box import bundle, inventory, profile, variant

PROFILE = profile({"accelerator": "cpu"})


def scored(name: str, value: float) -> dict[str, object]:
    return variant(name, accuracy={"metric": "mAP50", "value": value, "on": "holdout"})


BUNDLE = bundle(scored("large", 0.95), scored("small", 0.80))
BOTH_FIT = Objective(latency_ms=100)


def row(p99_ms: float, *, cpu_ms: float = 5.0, memory: float = 20.0) -> Figures:
    return Figures(1, 100, p99_ms / 2, p99_ms, cpu_ms, 5.0, memory)


def runs(
    large: Figures | None, small: Figures | None, running: Identity | None, objective: Objective = BOTH_FIT
) -> Rung:
    figures = {(name, "cpu"): (found,) for name, found in (("large", large), ("small", small)) if found}
    return choose(BUNDLE, PROFILE, Facts(inventory(), figures=figures, running=running), objective=objective).rungs[0]


LARGE, SMALL = ("large", "cpu", 1), ("small", "cpu", 1)


def test_a_more_accurate_rung_takes_the_place_when_it_meets_the_objective_with_a_tenth_to_spare() -> None:
    assert runs(row(90), row(10), SMALL).identity == LARGE


def test_a_more_accurate_rung_that_just_so_meets_the_objective_does_not_take_the_place() -> None:
    stays = runs(row(91), row(10), SMALL)
    assert stays.identity == SMALL
    assert stays.reason == "runs, and large on cpu with 1 thread is not a tenth better (p50 5 ms)"
    assert runs(row(91), row(10), None).identity == LARGE


def test_what_misses_the_objective_gives_way_to_what_meets_it() -> None:
    assert runs(row(101), row(99), LARGE).identity == SMALL


@pytest.mark.parametrize(("nearer_ms", "first"), [(180, SMALL), (181, LARGE)])
def test_where_nothing_meets_the_objective_a_rung_has_to_be_a_tenth_nearer(nearer_ms: float, first: Identity) -> None:
    assert runs(row(200), row(nearer_ms), LARGE).identity == first


@pytest.mark.parametrize(
    ("prefer", "better", "same"),
    [
        ("latency", row(18), row(18.1)),
        ("memory", row(20, memory=18), row(20, memory=18.1)),
        ("energy", row(20, cpu_ms=4.5), row(20, cpu_ms=4.6)),
    ],
)
def test_what_decides_has_to_gain_a_tenth(prefer: str, better: Figures, same: Figures) -> None:
    objective = Objective(prefer=prefer)  # type: ignore[arg-type] # one of the four
    assert runs(row(20), better, LARGE, objective).identity == SMALL
    assert runs(row(20), same, LARGE, objective).identity == LARGE


def test_a_measured_rung_is_never_replaced_by_one_that_was_not_measured() -> None:
    assert runs(None, row(10), SMALL).identity == SMALL
    assert runs(None, row(1000), SMALL).identity == SMALL


def test_an_unmeasured_rung_gives_way_to_a_measured_one_only_if_that_meets_the_objective() -> None:
    unmeasured = "large", "cpu", 2  # without figures, half of the processors
    assert runs(None, row(100), unmeasured).identity == SMALL
    stays = runs(None, row(101), unmeasured)
    assert stays.identity == unmeasured
    assert stays.reason.startswith("runs, and is not measured yet; ")


def test_of_networks_that_take_microseconds_none_is_better() -> None:
    assert runs(row(0.1), row(0.02), LARGE, Objective(prefer="latency")).identity == LARGE


def test_what_runs_and_is_dominated_by_a_little_stays_on_the_ladder() -> None:
    stays = runs(row(10), row(10.5), SMALL, Objective(prefer="latency"))
    assert (stays.identity, stays.standing) == (SMALL, "meets")


def test_what_runs_and_can_run_no_more_gives_way() -> None:
    assert runs(row(10), row(20), ("gone", "cpu", 1)).identity == LARGE
