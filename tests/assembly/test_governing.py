"""The governor at work: every second it feels and decides, levers follow what stands, and each step is told."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from edged.assembly.governing import LONGEST_NS, Governing
from edged.assembly.telling import Teller
from edged.control.governor import CALM_S, PATIENCE_S
from edged.control.pressure import Signals
from edged.fleet.schemas import AlertDocument
from edged.fleet.topics import Stamper
from edged.pipeline.line import Pipeline
from fakes.clock import FakeClock
from fakes.levers import FakeLevers, line_of, pipeline_of
from fakes.outbox import FakeOutbox
from fakes.waiting import LONGEST_S, until

HEAT = Signals(headroom_c=3.0)
WARM = Signals(headroom_c=8.0)
FIRE = Signals(headroom_c=-3.0, critical_c=4.0)


class Bench:
    """A governor whose clock and whose box's feelings a test moves."""

    def __init__(self, *, enabled: bool = True) -> None:
        self.clock, self.outbox = FakeClock(), FakeOutbox()
        self.signals = Signals()
        self.pipelines: list[Pipeline] = []
        self.teller = Teller(self.outbox, Stamper("boot-1", self.clock))
        self.governing = Governing(
            lambda: [line_of(*self.pipelines)], self._feel, self.teller, self.clock, enabled=enabled
        )
        # So near the limit that what follows is a rise that can be.
        self.run(Signals(headroom_c=11.0, critical_c=12.0), 1)

    def _feel(self, _pipelines: Sequence[Pipeline], _now_ns: int) -> Signals:
        return self.signals

    def add(self, name: str, levers: FakeLevers) -> FakeLevers:
        self.pipelines.append(pipeline_of(name, levers))
        return levers

    def run(self, signals: Signals, seconds: float) -> None:
        self.signals = signals
        for _ in range(int(seconds)):
            self.clock.advance(1.0)
            self.governing.tick()

    def alerts(self) -> list[dict[str, Any]]:
        return self.outbox.bodies("alert")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_step_is_taken_and_told_with_its_cause_and_figures(bench: Bench) -> None:
    yard = bench.add("yard", FakeLevers())
    bench.run(HEAT, PATIENCE_S + 1)

    (alert,) = bench.alerts()
    assert yard.taken() == {"gate": 1}
    assert alert["message"] == "does less: gate from gate 0 to gate 1, since 3.0 °C below the soft limit"
    assert (alert["code"], alert["component"], alert["level"], alert["cause"]) == (
        "governor-step",
        "yard",
        "pressed",
        "temperature",
    )
    assert alert["step"] == {"kind": "gate", "before": "gate 0", "after": "gate 1", "is_down": True}
    assert alert["figures"] == {"headroom_c": 3.0, "pipelines": {}}
    AlertDocument.model_validate({**alert, "device": "press-07", "seq": 1})


def test_what_stands_is_a_reason_of_health_and_a_line_of_the_inventory_until_it_is_given_back(bench: Bench) -> None:
    bench.add("yard", FakeLevers(steps={"gate": 1}))
    bench.run(HEAT, PATIENCE_S + 1)

    (reason,) = bench.governing.reasons()
    assert (reason.code, reason.component) == ("governed", "yard")
    assert reason.message == "does less (gate gate 1): 3.0 °C below the soft limit"
    standing = bench.teller.standing("yard")
    assert standing is not None
    assert (standing["level"], standing["reason"]) == ("pressed", "3.0 °C below the soft limit")
    assert standing["steps"] == {"gate": 1}

    bench.run(Signals(), CALM_S + 1)

    assert bench.governing.reasons() == ()
    assert bench.teller.standing("yard") is None
    assert bench.alerts()[-1]["message"] == "does more: gate from gate 1 to gate 0, since the box is well"


def test_a_model_is_opened_aside_and_decides_what_comes_next(bench: Bench) -> None:
    yard = bench.add("yard", FakeLevers(steps={"variant": 1}))
    bench.run(FIRE, 1)
    until(lambda: yard.taken() == {"variant": 1}, "it was opened")
    until(lambda: (bench.run(FIRE, 1), bench.alerts())[1], "and told")  # type: ignore[func-returns-value] # for the pair

    assert bench.alerts()[0]["step"]["kind"] == "variant"


def test_a_step_that_cannot_be_done_is_told_taken_back_and_another_kind_is_tried(bench: Bench) -> None:
    yard = bench.add("yard", FakeLevers(steps={"gate": 1, "rate": 1}, stuck={"gate"}))
    bench.run(FIRE, 2)

    failed, done = bench.alerts()
    assert failed["code"] == "governor-step-failed"
    assert failed["message"] == "cannot do less: gate 1: cannot open the model for gate"
    assert failed["remedy"] == "build the bundle again"
    assert done["step"]["kind"] == "rate"
    assert yard.taken() == {"rate": 1}


def test_a_sensor_that_spikes_for_one_round_drives_nobody_down(bench: Bench) -> None:
    yard = bench.add("yard", FakeLevers())
    bench.run(Signals(headroom_c=30.0, critical_c=40.0), 3)
    bench.run(Signals(headroom_c=-90.0, critical_c=-80.0), 1)
    bench.run(Signals(headroom_c=30.0, critical_c=40.0), 3)
    assert (yard.taken(), bench.alerts()) == ({}, [])

    bench.run(Signals(headroom_c=-90.0, critical_c=-80.0), 2)
    assert yard.taken() == {"gate": 1}


def test_a_pipeline_that_is_set_up_anew_is_brought_to_where_it_stood_without_a_word(bench: Bench) -> None:
    bench.add("yard", FakeLevers(steps={"gate": 2}))
    bench.run(FIRE, 2)
    told = len(bench.alerts())
    bench.pipelines.clear()
    again = bench.add("yard", FakeLevers(steps={"gate": 2}))

    bench.run(HEAT, 1)

    assert again.taken() == {"gate": 2}
    assert len(bench.alerts()) == told


def test_what_cannot_be_brought_there_is_left_where_it_is(bench: Bench) -> None:
    bench.add("yard", FakeLevers(steps={"gate": 2}))
    bench.run(FIRE, 2)
    bench.pipelines.clear()
    again = bench.add("yard", FakeLevers(steps={"gate": 2}, stuck={"gate"}))

    bench.run(Signals(headroom_c=8.0), 2)

    assert again.taken() == {}
    assert bench.governing.telemetry()["level"] == "near"


def test_a_pipeline_that_is_gone_is_forgotten(bench: Bench) -> None:
    bench.add("yard", FakeLevers())
    bench.run(FIRE, 1)
    bench.pipelines.clear()
    bench.run(FIRE, 1)

    assert bench.governing.reasons() == ()


def test_switched_off_it_only_watches() -> None:
    bench = Bench(enabled=False)
    yard = bench.add("yard", FakeLevers())
    bench.run(FIRE, 10)

    assert yard.taken() == {}
    assert yard.measured == 10
    assert bench.governing.telemetry() == {
        "enabled": False,
        "level": "critical",
        "cause": "temperature-hard",
        "reason": "4.0 °C below the limit where the box stops itself",
    }


class Hanging(FakeLevers):
    """Opens a model for as long as it is told to."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.opens = threading.Event()

    def move(self, kind: str, steps: int, why: str) -> None:
        if kind == "variant":
            assert self.opens.wait(20.0)
        super().move(kind, steps, why)


def test_a_model_that_is_being_opened_holds_up_no_step_that_needs_none(bench: Bench) -> None:
    yard = Hanging(steps={"variant": 1})
    bench.add("yard", yard)
    bench.run(FIRE, 1)
    yard.steps = {"variant": 1, "gate": 1}

    bench.run(FIRE, 1)

    assert yard.taken() == {"gate": 1}
    yard.opens.set()
    until(lambda: yard.taken() == {"gate": 1, "variant": 1}, "both")


def test_models_are_opened_one_at_a_time_unless_one_hangs(bench: Bench) -> None:
    yard, gate = Hanging(steps={"variant": 1}), FakeLevers(priority=1, steps={"variant": 1})
    bench.add("yard", yard)
    bench.add("gate", gate)
    bench.run(FIRE, LONGEST_NS / 1e9)
    assert gate.taken() == {}

    bench.run(FIRE, 2)

    until(lambda: gate.taken() == {"variant": 1}, "the other one")
    yard.opens.set()


def test_what_a_pipeline_can_do_less_of_no_longer_is_told_no_longer(bench: Bench) -> None:
    yard = bench.add("yard", FakeLevers(steps={"gate": 2, "rate": 1}))
    bench.run(FIRE, 3)
    assert yard.taken() == {"gate": 2, "rate": 1}

    yard.steps = {"gate": 1}
    bench.run(WARM, 1)
    standing = bench.teller.standing("yard")
    assert standing is not None
    assert standing["steps"] == {"gate": 1}
    assert [reason.message for reason in bench.governing.reasons()] == [
        "does less (gate gate 1): 4.0 °C below the limit where the box stops itself"
    ]

    yard.steps = {}
    bench.run(WARM, 1)
    assert bench.governing.reasons() == ()
    assert bench.teller.standing("yard") is None


def test_a_runtime_that_fails_in_a_way_of_its_own_is_a_step_that_cannot_be_done(bench: Bench) -> None:
    class Broken(FakeLevers):
        def move(self, kind: str, steps: int, why: str) -> None:
            message = f"no {kind} {steps}, although {why}"
            raise RuntimeError(message)

    bench.add("yard", Broken(steps={"gate": 1}))
    bench.run(FIRE, 1)

    (alert,) = bench.alerts()
    assert alert["message"].startswith("cannot do less: gate 1: cannot do it: RuntimeError: no gate 1")
    assert bench.governing.reasons() == ()


def test_since_when_a_pipeline_does_less_is_told_from_its_first_step(bench: Bench) -> None:
    bench.add("yard", FakeLevers(steps={"gate": 2}))
    bench.run(FIRE, 1)
    (first,) = bench.governing.reasons()
    bench.run(FIRE, 1)
    (second,) = bench.governing.reasons()

    assert first.message != second.message
    assert first.since_mono_ns == second.since_mono_ns


def test_a_round_that_fails_is_not_the_last() -> None:
    bench = Bench()
    rounds: list[int] = []

    def feel(_pipelines: Sequence[Pipeline], now_ns: int) -> Signals:
        rounds.append(now_ns)
        if len(rounds) == 1:
            raise OSError("cannot read: the disk is gone")
        return Signals()

    governing = Governing(list, feel, bench.teller, bench.clock, tick_s=0.001)
    governing.start()
    until(lambda: len(rounds) > 1, "another round")
    governing.stop()

    assert governing.join(LONGEST_S)


def test_it_starts_again_after_it_was_stopped() -> None:
    bench = Bench()
    governing = bench.governing
    assert governing.join(0.0)
    governing.start()
    assert governing.heartbeat_ns == bench.clock.mono
    governing.stop()
    assert governing.join(LONGEST_S)
    governing.reload()
    governing.start()
    governing.stop()
    assert governing.join(LONGEST_S)
    assert repr(governing) == "<Governing: calm, 0 steps taken>"
