from __future__ import annotations

import pytest

from edged.config.schema import Objective
from edged.control.objective import Terms, account, budget_mb, fits, share, shortfall
from edged.domain.figures import Figures

ROW = Figures(1, 100, 20.0, 50.0, 19.0, 5.0, 40.0)


@pytest.mark.parametrize(
    ("objective", "overhead_ms", "taken"),
    [
        (Objective(), 0.0, 0.0),
        (Objective(latency_ms=100), 0.0, 0.5),  # p99 stands for p95
        (Objective(latency_ms=100), 10.0, 0.6),
        (Objective(fps=25), 0.0, 0.5),  # p50 of 1000 / 25 ms
        (Objective(fps=25), 20.0, 1.0),
        (Objective(latency_ms=100, fps=50), 0.0, 1.0),  # the scarcer one counts
        (Objective(latency_ms=25, fps=25), 0.0, 2.0),
    ],
)
def test_the_share_is_of_what_is_scarcest(objective: Objective, overhead_ms: float, taken: float) -> None:
    assert share(ROW, Terms(objective, overhead_ms)) == pytest.approx(taken)


def test_what_is_missed_is_told_with_both_numbers_and_what_is_met_is_not() -> None:
    terms = Terms(Objective(latency_ms=40, fps=25), budget_mb=30)
    assert shortfall(ROW, terms) == "latency 50 of 40 ms, memory 40 of 30 MiB"
    assert account(ROW, terms) == "latency 50 of 40 ms, a frame 20 of 40 ms, memory 40 of 30 MiB"
    assert shortfall(ROW, Terms(Objective(latency_ms=50, fps=50), budget_mb=40)) == ""


@pytest.mark.parametrize(("budget", "does"), [(None, True), (40.0, True), (39.9, False)])
def test_memory_fits_up_to_the_budget(budget: float | None, *, does: bool) -> None:
    assert fits(ROW, Terms(budget_mb=budget)) is does


@pytest.mark.parametrize(
    ("available", "headroom", "limit", "used", "freed", "budget"),
    [
        (None, None, None, 100, 50, None),
        (900, None, None, 100, 0, 900),
        (900, 300, 700, 100, 0, 300),
        (900, None, 700, 150, 0, 550),  # the limit is for all of edged, and 150 are in use
        (900, None, 700, 150, 40, 590),  # 40 of them are given back
        (900, None, 100, 150, 0, 0),
    ],
)
def test_the_budget_is_the_least_of_what_is_there(
    available: float | None,
    headroom: float | None,
    limit: float | None,
    used: float,
    freed: float,
    budget: float | None,
) -> None:
    assert budget_mb(available, headroom, limit, used, freed) == budget


def test_what_is_asked_is_told_in_a_line() -> None:
    assert str(Terms()) == "accuracy"
    assert str(Terms(Objective(latency_ms=80, fps=12.5, prefer="energy"))) == "energy within 80 ms at 12.5 frames/s"
