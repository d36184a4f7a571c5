"""One step at a time: down under pressure, up after calm, the highest priority last to suffer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edged.control.governor import (
    BARRED_S,
    CALM_S,
    MAX_CALM_S,
    NEAR_TIMES,
    PATIENCE_S,
    PROVEN_S,
    Pipeline,
    Standing,
    Step,
    decide,
    failed,
)
from edged.control.pressure import SETTLE_S, SLOW_S, Pressure
from edged.control.steps import CALM, CRITICAL, FREEING, HARD, HASTENING, KINDS, NEAR, PRESSED

CALMNESS = Pressure(CALM)
HEAT = Pressure(PRESSED, "temperature", "3.0 °C below the soft limit")
FIRE = Pressure(CRITICAL, "temperature-hard", "1.0 °C below the limit")
WANT = Pressure(HARD, "memory", "3.0 % of the memory is left", 3.0, FREEING)


def late(figure: float, pipeline: str = "gate", level: int = PRESSED) -> Pressure:
    return Pressure(level, "latency", f"{pipeline} takes {figure} times its objective", figure, HASTENING, pipeline)


GATE = Pipeline("gate", 10, {"gate": 1, "rate": 2, "variant": 1, "pause": 1})
YARD = Pipeline("yard", 0, {"gate": 1, "rate": 2, "variant": 1, "pause": 1})


class Governed:
    """A governor on a clock of seconds."""

    def __init__(self, *pipelines: Pipeline) -> None:
        self.pipelines = pipelines
        self.standing = Standing()
        self.now_s = 1000.0
        self.steps: list[tuple[float, Step]] = []

    def run(self, pressure: Pressure, seconds: int) -> list[Step]:
        taken = []
        for _ in range(seconds):
            self.now_s += 1.0
            self.standing, step = decide(self.standing, pressure, self.pipelines, self.now_s)
            if step is not None:
                taken.append(step)
                self.steps.append((self.now_s, step))
        return taken


def words(steps: Iterable[Step]) -> list[str]:
    return [f"{step.pipeline} {step.kind} {step.after}" for step in steps]


def test_pressure_that_is_over_in_time_changes_nothing() -> None:
    box = Governed(YARD)

    assert box.run(HEAT, int(PATIENCE_S)) == []
    assert box.run(CALMNESS, 5) == []


def test_pressure_that_lasts_takes_the_cheapest_step_of_the_least_important() -> None:
    box = Governed(GATE, YARD)

    steps = box.run(HEAT, int(PATIENCE_S) + 1)

    assert words(steps) == ["yard gate 1"]
    assert steps[0].why is HEAT


@pytest.mark.parametrize(("level", "waits_s"), [(PRESSED, SLOW_S), (HARD, SETTLE_S)])
def test_a_heat_sink_is_given_more_time_unless_much_is_at_stake(level: int, waits_s: float) -> None:
    box = Governed(YARD)
    heat = Pressure(level, "temperature", settle_s=SLOW_S)
    box.run(heat, int(PATIENCE_S) + 1)

    assert box.run(heat, int(waits_s) - 1) == []
    assert len(box.run(heat, 1)) == 1


def test_critical_pressure_takes_a_step_each_second_at_once() -> None:
    assert words(Governed(YARD).run(FIRE, 2)) == ["yard gate 1", "yard rate 1"]


def test_a_step_is_given_time_to_show() -> None:
    box = Governed(YARD)
    box.run(HEAT, int(PATIENCE_S) + 1)

    assert box.run(HEAT, int(SETTLE_S) - 1) == []
    assert words(box.run(HEAT, 1)) == ["yard rate 1"]


def test_the_way_down_goes_by_kind_and_within_a_kind_by_priority() -> None:
    box = Governed(GATE, YARD)

    assert words(box.run(FIRE, 20)) == [
        "yard gate 1",
        "gate gate 1",
        "yard rate 1",
        "gate rate 1",
        "yard rate 2",
        "gate rate 2",
        "yard variant 1",
        "gate variant 1",
        "yard pause 1",
    ]


def test_want_of_memory_takes_only_what_frees_memory() -> None:
    assert words(Governed(YARD, GATE).run(WANT, 12)) == ["yard variant 1", "gate variant 1", "yard pause 1"]


def test_the_only_pipeline_is_never_paused() -> None:
    assert "pause" not in {step.kind for step in Governed(YARD).run(FIRE, 30)}


def test_of_equals_the_later_one_gives_way_first() -> None:
    assert words(Governed(Pipeline("a", 0, {"pause": 1}), Pipeline("b", 0, {"pause": 1})).run(FIRE, 5)) == ["b pause 1"]


def test_calm_gives_back_what_went_last() -> None:
    box = Governed(GATE, YARD)
    box.run(FIRE, 3)

    assert box.run(CALMNESS, int(CALM_S)) == []
    assert words(box.run(CALMNESS, 1)) == ["yard rate 0"]
    assert words(box.run(CALMNESS, 2 * int(CALM_S))) == ["gate gate 0", "yard gate 0"]


WARM = Pressure(NEAR, "temperature", "8.0 °C below the soft limit", 8.0)
SCARCE = Pressure(NEAR, "memory", "11.0 % of the memory is left", 11.0, FREEING)


def test_near_a_limit_nothing_moves_for_ten_minutes_and_then_one_step_does() -> None:
    box = Governed(YARD)
    box.run(FIRE, 2)

    assert box.run(WARM, int(NEAR_TIMES * CALM_S)) == []
    assert words(box.run(WARM, 1)) == ["yard rate 0"]
    assert words(box.run(WARM, int(NEAR_TIMES * CALM_S))) == ["yard gate 0"]


def test_near_a_limit_a_step_up_that_passes_it_is_tried_more_and_more_rarely() -> None:
    box = Governed(YARD)
    box.run(FIRE, 1)
    waits = []
    for _ in range(3):
        began_s = box.now_s
        while not box.run(WARM, 1):
            pass
        waits.append(box.now_s - began_s - 1)
        box.run(WARM, int(NEAR_TIMES * PROVEN_S) // 2)  # a heat sink is slow
        box.run(HEAT, int(PATIENCE_S) + 1)

    assert waits == [NEAR_TIMES * CALM_S, NEAR_TIMES * 2 * CALM_S, NEAR_TIMES * 4 * CALM_S]


@pytest.mark.parametrize("level", [NEAR, PRESSED, HARD], ids=["near", "pressed", "hard"])
def test_a_sign_for_hours_holds_back_only_what_bears_upon_it(level: int) -> None:
    box = Governed(Pipeline("yard", 0, {"gate": 1, "rate": 1, "variant": 1}))
    assert words(box.run(FIRE, 3)) == ["yard gate 1", "yard rate 1", "yard variant 1"]
    want = Pressure(level, "memory", "little memory is left", 5.0, FREEING)

    assert words(box.run(want, 2 * int(CALM_S) + 1)) == ["yard rate 0", "yard gate 0"]
    assert dict(box.standing.taken) == {("yard", "variant"): 1}


def test_a_late_pipeline_holds_back_itself_and_those_below_it_only() -> None:
    box = Governed(GATE, YARD, Pipeline("vault", 20, {"gate": 1}))
    assert len(box.run(FIRE, 3)) == 3

    assert words(box.run(late(1.05, level=NEAR), int(CALM_S) + 1)) == ["vault gate 0"]
    assert box.run(late(1.05, level=NEAR), int(CALM_S)) == []


def test_a_box_that_is_pressed_only_at_the_top_swings_a_few_times_a_day() -> None:
    box = Governed(Pipeline("yard", 0, {"gate": 1}))
    for _ in range(24 * 3600):
        box.run(WARM if box.standing.taken else HEAT, 1)

    assert len(box.steps) <= 2 * 11  # 10 minutes, twice as long each time, at most 3 hours and 20 minutes


def test_a_step_up_that_does_not_last_doubles_the_calm_that_is_asked_for() -> None:
    box = Governed(YARD)
    box.run(FIRE, 1)
    waits = []
    for _ in range(7):
        began_s = box.now_s
        while not box.run(CALMNESS, 1):
            pass
        waits.append(box.now_s - began_s - 1)
        box.run(FIRE, 1)

    assert waits == [CALM_S, 2 * CALM_S, 4 * CALM_S, 8 * CALM_S, 16 * CALM_S, MAX_CALM_S, MAX_CALM_S]


def test_a_step_up_that_lasts_makes_the_wait_short_again() -> None:
    box = Governed(YARD)
    box.run(FIRE, 1)
    box.run(CALMNESS, int(CALM_S) + 1)
    box.run(FIRE, 1)

    assert box.standing.calm_needed_s == 2 * CALM_S
    box.run(CALMNESS, 200)
    assert box.standing.calm_needed_s == CALM_S


def test_a_step_that_could_not_be_done_is_taken_back_and_the_next_kind_is_tried() -> None:
    box = Governed(YARD)
    (step,) = box.run(FIRE, 1)
    box.standing = failed(box.standing, step, box.now_s)

    assert box.standing.taken == {}
    assert words(box.run(FIRE, 1)) == ["yard rate 1"]


def test_it_is_tried_again_after_a_while() -> None:
    box = Governed(YARD)
    (step,) = box.run(FIRE, 1)
    box.standing = failed(box.standing, step, box.now_s)
    box.run(Pressure(NEAR), int(BARRED_S))

    assert words(box.run(FIRE, 1)) == ["yard gate 1"]


def test_mere_pressure_pauses_nobody() -> None:
    assert "pause" not in {step.kind for step in Governed(YARD, GATE).run(HEAT, 300)}


def test_lateness_costs_the_late_one_and_those_below_it_and_pauses_nobody() -> None:
    box = Governed(GATE, YARD, Pipeline("vault", 20, {"gate": 1, "rate": 3}))

    assert {step.pipeline for step in box.run(late(3.0, level=HARD), 300)} == {"gate", "yard"}
    assert "pause" not in {kind for _, kind in box.standing.taken}


def test_an_objective_that_nothing_meets_keeps_nothing_down() -> None:
    box = Governed(GATE)
    down = box.run(late(3.0), 25)
    assert len(down) == GATE.reach["gate"] + GATE.reach["rate"] + GATE.reach["variant"]

    up = box.run(late(3.0), int(CALM_S) * (len(down) + 1))

    assert words(up) == ["gate variant 0", "gate rate 1", "gate rate 0", "gate gate 0"]
    assert box.run(late(3.2), 600) == []


def test_lateness_that_grows_or_comes_back_is_acted_upon_again() -> None:
    box = Governed(GATE)
    box.run(late(3.0), 60)
    box.run(late(3.0), 300)

    assert words(box.run(late(4.0), int(PATIENCE_S) + 1)) == ["gate gate 1"]
    box.run(late(4.0), 300)
    box.run(CALMNESS, 60)
    assert words(box.run(late(1.2), int(PATIENCE_S) + 1)) == ["gate gate 1"]


def test_what_is_futile_against_lateness_is_done_against_heat() -> None:
    box = Governed(GATE)
    box.run(late(3.0), 400)

    assert words(box.run(HEAT, int(PATIENCE_S) + 1)) == ["gate gate 1"]


@pytest.mark.parametrize(
    ("accelerator", "cause", "kinds"),
    [
        ("cpu", "temperature", {"gate", "device"}),
        ("edgetpu", "temperature", {"gate"}),
        ("cpu", "accelerator-temperature", {"gate"}),
        ("edgetpu", "accelerator-temperature", {"gate", "device"}),
    ],
)
def test_work_leaves_a_device_for_that_devices_own_sake(accelerator: str, cause: str, kinds: set[str]) -> None:
    one = Pipeline("gate", 0, {"gate": 1, "device": 1}, accelerator)

    assert {step.kind for step in Governed(one).run(Pressure(CRITICAL, cause), 5)} == kinds


def test_what_stood_of_a_pipeline_that_is_gone_is_forgotten() -> None:
    box = Governed(YARD, GATE)
    box.run(FIRE, 2)
    box.pipelines = (GATE,)
    box.run(Pressure(NEAR), 1)

    assert dict(box.standing.taken) == {("gate", "gate"): 1}


def test_nothing_to_give_up_is_no_step() -> None:
    assert Governed().run(FIRE, 5) == []


pipelines = st.lists(
    st.builds(
        Pipeline,
        st.sampled_from("abcdef"),
        st.integers(-2, 2),
        st.dictionaries(st.sampled_from(KINDS), st.integers(0, 3), max_size=6),
    ),
    max_size=4,
    unique_by=lambda one: one.name,
)
weathers = st.lists(
    st.tuples(st.sampled_from([CALMNESS, WARM, SCARCE, HEAT, FIRE, WANT]), st.integers(1, 90)), max_size=12
)


@settings(max_examples=30)
@given(pipelines, weathers)
def test_after_calm_everything_is_as_it_was(them: Sequence[Pipeline], weather: Sequence[tuple[Pressure, int]]) -> None:
    box = Governed(*them)
    for pressure, seconds in weather:
        box.run(pressure, seconds)
    down = sum(box.standing.taken.values())
    box.run(CALMNESS, int(MAX_CALM_S) * (down + 1) + 1)

    assert not box.standing.taken


@settings(max_examples=30)
@given(pipelines, weathers)
def test_the_way_up_is_never_sooner_than_the_calm_after_the_way_down(
    them: Sequence[Pipeline], weather: Sequence[tuple[Pressure, int]]
) -> None:
    box = Governed(*them)
    for pressure, seconds in weather:
        box.run(pressure, seconds)

    for (before_s, before), (after_s, after) in zip(box.steps, box.steps[1:], strict=False):
        if not after.is_down:
            assert after_s - before_s >= CALM_S, (before, after)


@settings(max_examples=30)
@given(pipelines, weathers)
def test_no_pipeline_has_given_up_what_a_less_important_one_still_could(
    them: Sequence[Pipeline], weather: Sequence[tuple[Pressure, int]]
) -> None:
    box = Governed(*them)
    for pressure, seconds in weather:
        box.run(pressure, seconds)
        taken = box.standing.taken
        for one in them:
            for other in them:
                if other.priority >= one.priority:
                    continue
                for kind in KINDS:
                    could = min(other.reach.get(kind, 0), taken.get((one.name, kind), 0))
                    assert taken.get((other.name, kind), 0) >= could


@pytest.mark.parametrize("pressure", [HEAT, FIRE])
def test_every_round_gives_the_same_answer_to_the_same_question(pressure: Pressure) -> None:
    assert decide(Standing(), pressure, (YARD,), 5.0) == decide(Standing(), pressure, (YARD,), 5.0)


def test_a_lateness_that_nothing_helps_against_hides_no_other_trouble() -> None:
    late = Pressure(HARD, "latency", "2.50 times its objective", 2.5, HASTENING, "yard")
    box = Governed(Pipeline("yard", 0, {"rate": 1, "device": 1}))
    box.run(late, 120)
    assert box.standing.futile == ("latency", 2.5)
    box.run(late, 600)
    assert not box.standing.taken  # as without it: nothing is held down for a wish that nothing meets

    steps = box.run(replace(late, behind=FIRE), 1)

    assert [(step.why.cause, step.is_down) for step in steps] == [("temperature-hard", True)]
