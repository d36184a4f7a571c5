"""Properties of the choice on random figures, and a comparison with an oracle that tries everything."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config.schema import Objective
from edged.control.choose import choose
from edged.control.possible import Facts
from edged.domain.bundle import Bundle
from edged.domain.figures import Figures
from edged.domain.variant import Ladder, Rung
from fakes.box import bundle, inventory, profile, variant

PROFILE = profile({"accelerator": "cpu", "runtime": "tflite"}, {"accelerator": "cpu"})
PREFERS = ("accuracy", "latency", "memory", "energy")
TIE = 0.005
Table = dict[tuple[str, str], tuple[Figures, ...]]

# Few values, so that ties and dominance are common.
MS = st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0, 13.0])
MIB = st.sampled_from([10.0, 20.0, 30.0, 40.0])
ACCURACY = st.sampled_from([0.90, 0.897, 0.894, 0.89, 0.85, 0.7])


@st.composite
def rows(draw: st.DrawFn, threads: int) -> Figures:
    p50 = draw(MS)
    return Figures(threads, 100, p50, p50 + draw(MS), draw(MS), draw(MS), draw(MIB))


@st.composite
def models(draw: st.DrawFn) -> tuple[Bundle, Table]:
    """Give a bundle of up to five variants, all of them measured with 1 to 4 threads."""
    variants, figures = [], {}
    for number in range(draw(st.integers(1, 5))):
        name = f"v{number}"
        accuracy = {"metric": "mAP50", "value": draw(ACCURACY), "on": "holdout"}
        runtime = draw(st.sampled_from(["tflite", "onnx"]))
        variants.append(variant(name, runtime=runtime, accuracy=accuracy))
        threads = sorted(draw(st.sets(st.integers(1, 4), min_size=1)))
        figures[name, "cpu"] = tuple(draw(rows(count)) for count in threads)
    return bundle(*variants), figures


OBJECTIVES = st.builds(
    Objective,
    latency_ms=st.one_of(st.none(), st.sampled_from([2.0, 4.0, 6.0, 10.0, 20.0])),
    fps=st.one_of(st.none(), st.sampled_from([100.0, 200.0, 500.0])),
    prefer=st.sampled_from(PREFERS),
)
BUDGETS = st.one_of(st.none(), st.sampled_from([5.0, 15.0, 25.0, 100.0]))


def climb(model: tuple[Bundle, Table], objective: Objective, budget: float | None = None) -> Ladder:
    return choose(model[0], PROFILE, Facts(inventory(), figures=model[1], budget_mb=budget), objective=objective)


def every(model: tuple[Bundle, Table]) -> list[tuple[str, float, Figures]]:
    made, figures = model
    accuracy = {one.id: one.accuracy.value for one in made.manifest.variant if one.accuracy}
    return [(name, accuracy[name], row) for (name, _), found in figures.items() for row in found]


def meets(row: Figures, objective: Objective) -> bool:
    in_time = objective.latency_ms is None or row.p99_ms <= objective.latency_ms
    return in_time and (objective.fps is None or row.p50_ms <= 1000 / objective.fps)


def needs(row: Figures, accuracy: float) -> tuple[float, ...]:
    return -accuracy, row.p50_ms, row.cpu_ms, row.peak_memory_mb, row.p99_ms


def figures(rung: Rung) -> Figures:
    assert rung.figures is not None
    return rung.figures


@given(model=models(), objective=OBJECTIVES, budget=BUDGETS)
def test_an_oracle_that_tries_everything_finds_nothing_better(
    model: tuple[Bundle, Table], objective: Objective, budget: float | None
) -> None:
    chosen = climb(model, objective, budget).rungs[0]
    fitting = [one for one in every(model) if budget is None or one[2].peak_memory_mb <= budget]
    meeting = [one for one in fitting if meets(one[2], objective)]
    assert meets(figures(chosen), objective) or not meeting
    if not meeting:
        return
    best = max(accuracy for _, accuracy, _ in meeting)
    mine = next(accuracy for name, accuracy, _ in meeting if name == chosen.variant.id)
    oracle = {
        "accuracy": lambda: mine >= best - TIE - 1e-9,
        "latency": lambda: figures(chosen).p50_ms == min(row.p50_ms for *_, row in meeting),
        "memory": lambda: figures(chosen).peak_memory_mb == min(row.peak_memory_mb for *_, row in meeting),
        "energy": lambda: figures(chosen).cpu_ms == min(row.cpu_ms for *_, row in meeting),
    }
    assert oracle[objective.prefer]()


@given(model=models(), objective=OBJECTIVES, budget=BUDGETS)
def test_what_is_chosen_is_never_dominated(
    model: tuple[Bundle, Table], objective: Objective, budget: float | None
) -> None:
    chosen = climb(model, objective, budget).rungs[0]
    everything = every(model)
    mine = next(
        needs(row, accuracy) for name, accuracy, row in everything if (name, row) == (chosen.variant.id, chosen.figures)
    )
    for _, accuracy, row in everything:
        its = needs(row, accuracy)
        # p99 comes last: what differs in it alone is equally good, once both meet the objective.
        assert its[:-1] == mine[:-1] or any(theirs > ours for theirs, ours in zip(its, mine, strict=True))


@given(model=models(), objective=OBJECTIVES, budget=BUDGETS)
def test_memory_is_never_exceeded_when_anything_fits(
    model: tuple[Bundle, Table], objective: Objective, budget: float | None
) -> None:
    ladder = climb(model, objective, budget)
    smallest = min(row.peak_memory_mb for *_, row in every(model))
    if budget is None or smallest <= budget:
        assert all(figures(rung).peak_memory_mb <= (budget or 1e9) for rung in ladder.runnable)
    else:
        (only,) = ladder.runnable
        assert figures(only).peak_memory_mb == smallest
        assert ladder.unmet


@given(model=models(), tight=st.floats(1, 30), more=st.floats(0, 30), fps=st.sampled_from([None, 100.0, 500.0]))
def test_a_looser_latency_never_gives_a_choice_of_a_lesser_level_of_accuracy(
    model: tuple[Bundle, Table], tight: float, more: float, fps: float | None
) -> None:
    first = climb(model, Objective(latency_ms=tight, fps=fps))
    then = climb(model, Objective(latency_ms=tight + more, fps=fps))
    if fps is not None and first.unmet:
        return  # the nearest to two figures at once may be another for each latency
    # Within a level what is faster runs, and a looser bound may let in what is faster usually and slower at worst.
    assert then.rungs[0].level <= first.rungs[0].level


@given(model=models(), objective=OBJECTIVES, budget=BUDGETS, order=st.randoms(use_true_random=False))
def test_the_order_is_total_and_the_same_however_the_figures_come(
    model: tuple[Bundle, Table], objective: Objective, budget: float | None, order: object
) -> None:
    made, table = model
    names = list(table)
    order.shuffle(names)  # type: ignore[attr-defined] # a random.Random
    shuffled = {name: tuple(reversed(table[name])) for name in names}
    whole = climb(model, objective, budget)
    assert climb((made, shuffled), objective, budget) == whole
    assert len({rung.identity for rung in whole.rungs}) == len(whole.rungs) == len(every(model))


@given(model=models(), objective=OBJECTIVES, budget=BUDGETS)
def test_the_ladder_goes_from_what_meets_the_objective_to_what_is_farthest_from_it(
    model: tuple[Bundle, Table], objective: Objective, budget: float | None
) -> None:
    whole = climb(model, objective, budget)
    kept = [rung for rung in whole.rungs if rung.standing in {"meets", "misses"}]
    shares = [max(1.0, rung.share) for rung in kept]
    assert shares == sorted(shares)
    row = figures(whole.rungs[0])
    too_large = budget is not None and row.peak_memory_mb > budget
    assert bool(whole.unmet) == (too_large or not meets(row, objective))


@given(model=models(), objective=OBJECTIVES, budget=BUDGETS)
def test_every_rung_gives_a_reason_and_every_variant_is_told(
    model: tuple[Bundle, Table], objective: Objective, budget: float | None
) -> None:
    whole = climb(model, objective, budget)
    assert all(rung.reason for rung in whole.rungs)
    assert {rung.variant.id for rung in whole.told} == {one.id for one in model[0].manifest.variant}
    assert [rung.verdict for rung in whole.rungs].count("chosen") == 1


@given(model=models(), objective=OBJECTIVES)
def test_noise_below_a_tenth_never_changes_what_runs(model: tuple[Bundle, Table], objective: Objective) -> None:
    made, table = model
    chosen = climb(model, objective).rungs[0]
    if chosen.share > 0.95:
        return  # at the objective's edge, noise may carry it over
    noisy = {
        key: tuple(
            replace(row, p99_ms=row.p99_ms * factor, p50_ms=row.p50_ms * factor, cpu_ms=row.cpu_ms * factor)
            for row, factor in zip(found, (1.04, 0.96, 1.04, 0.96), strict=False)
        )
        for key, found in table.items()
    }
    facts = Facts(inventory(), figures=noisy, running=chosen.identity)
    again = choose(made, PROFILE, facts, objective=objective).rungs[0]
    assert again.identity == chosen.identity


@pytest.mark.parametrize("prefer", PREFERS)
def test_of_two_that_are_equal_in_every_figure_the_profile_decides(prefer: str) -> None:
    row = Figures(1, 100, 1.0, 2.0, 1.0, 1.0, 10.0)
    made = bundle(variant("onnx", runtime="onnx"), variant("tflite"))
    ladder = climb((made, {("onnx", "cpu"): (row,), ("tflite", "cpu"): (row,)}), Objective(prefer=prefer))  # type: ignore[arg-type] # one of the four
    assert [rung.variant.id for rung in ladder.rungs] == ["tflite", "onnx"]
    assert ladder.rungs[1].reason == (
        "as good as tflite on cpu with 1 thread as far as can be measured, and behind it in the profile"
    )


def named(**rows: Figures) -> list[str]:
    """Give the ladder's order of variants with these figures, all of them equally accurate."""
    made = bundle(*(variant(name) for name in rows))
    ladder = climb((made, {(name, "cpu"): (row,) for name, row in rows.items()}), Objective(prefer="latency"))
    return [rung.variant.id for rung in ladder.rungs]


def timed(p50_ms: float, memory: float = 10.0, cpu_ms: float = 8.0) -> Figures:
    return Figures(1, 100, p50_ms, 20.0, cpu_ms, 1.0, memory)


def test_what_is_faster_by_less_than_a_twentieth_is_equally_fast_and_memory_decides() -> None:
    assert named(large=timed(10.0, 12.0), small=timed(10.5)) == ["small", "large"]
    assert named(large=timed(10.0, 12.0), small=timed(10.6)) == ["large", "small"]


def test_what_is_equal_to_the_second_but_not_to_the_first_is_not_taken() -> None:
    assert named(a=timed(10.0, 14.0), b=timed(10.4, 12.0), c=timed(10.8)) == ["b", "a", "c"]


def test_of_networks_that_take_microseconds_all_are_equally_fast() -> None:
    assert named(a=timed(0.002, 20.0, 0.002), b=timed(0.03, 10.0, 0.04)) == ["b", "a"]


def test_p99_decides_nothing_once_the_objective_is_met() -> None:
    assert named(a=Figures(1, 9, 10.0, 40.0, 8.0, 1.0, 10.0), b=Figures(1, 9, 10.0, 10.0, 8.0, 1.0, 10.0))[0] == "a"


def test_of_two_that_are_equal_but_for_a_tie_of_accuracy_the_more_accurate_one_runs() -> None:
    row = Figures(1, 100, 1.0, 2.0, 1.0, 1.0, 10.0)
    less, more = ({"metric": "mAP50", "value": value, "on": "holdout"} for value in (0.897, 0.900))
    made = bundle(variant("less", accuracy=less), variant("more", runtime="onnx", accuracy=more))
    ladder = climb((made, {("less", "cpu"): (row,), ("more", "cpu"): (row,)}), Objective())
    assert [rung.variant.id for rung in ladder.rungs] == ["more", "less"]
