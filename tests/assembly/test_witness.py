from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edged.assembly.witness import Witness
from edged.control.pace import LEAST_SHARE, MOST_SHARE
from edged.pipeline.loop import Loop
from edged.pipeline.rules import Rules
from edged.telemetry.metrics import PipelineMetrics
from fakes.clock import FakeClock


class Running:
    """A line with one pipeline whose frames a test makes up."""

    def __init__(self) -> None:
        self.worker: Any = SimpleNamespace(state="running", steps=None)
        self.model: Any = SimpleNamespace(ref=SimpleNamespace(variant="int8"))
        self.metrics = PipelineMetrics()
        self.name = "a"
        self.load("int8")

    @property
    def pipelines(self) -> list[Any]:
        return [self]

    def load(self, variant: str) -> None:
        model: Any = SimpleNamespace(ref=SimpleNamespace(variant=variant))
        inbox: Any = None
        self.worker.steps = Loop("a", inbox, model, Rules([]), [], FakeClock())

    def frames(self, count: int, took_ms: float) -> None:
        for stage in ("inference", "total"):
            for _ in range(count):
                self.metrics.stages[stage].add(took_ms)


@pytest.fixture
def line() -> Running:
    return Running()


@pytest.fixture
def witness(line: Running) -> Witness:
    lines: Any = lambda: [line]  # noqa: E731 - a line of a test
    made = Witness(lines)
    made.look(busy=False)
    return made


def seen(witness: Witness, line: Running, count: int, took_ms: float, *, busy: bool) -> None:
    line.frames(count, took_ms)
    witness.look(busy=busy)


def test_frames_that_do_not_suffer_earn_more_time(witness: Witness, line: Running) -> None:
    seen(witness, line, 1000, 5.0, busy=False)
    assert witness.share() == LEAST_SHARE
    seen(witness, line, 2000, 5.0, busy=True)
    assert witness.share() == MOST_SHARE


def test_frames_that_suffer_cost_it(witness: Witness, line: Running) -> None:
    seen(witness, line, 1000, 5.0, busy=False)
    seen(witness, line, 500, 5.0, busy=True)
    before = witness.share()
    seen(witness, line, 100, 9.0, busy=True)
    assert witness.share() < before


def test_what_another_variant_took_says_nothing(witness: Witness, line: Running) -> None:
    seen(witness, line, 1000, 5.0, busy=False)
    seen(witness, line, 2000, 5.0, busy=True)
    line.load("fp32")
    witness.look(busy=False)
    assert witness.share() == LEAST_SHARE


def test_a_pipeline_that_counts_from_zero_again_confuses_nobody(witness: Witness, line: Running) -> None:
    seen(witness, line, 1000, 5.0, busy=False)
    line.metrics = PipelineMetrics()
    seen(witness, line, 10, 5.0, busy=True)
    assert witness.share() == LEAST_SHARE


@pytest.mark.parametrize("state", ["failed", "paused", "ended"])
def test_a_pipeline_that_does_not_run_is_not_disturbed(witness: Witness, line: Running, state: str) -> None:
    line.worker.state = state
    witness.look(busy=True)
    assert witness.share() == MOST_SHARE
    assert witness.is_calm()


def test_while_a_pipeline_starts_it_is_not_calm(witness: Witness, line: Running) -> None:
    line.worker.state = "starting"
    assert not witness.is_calm()
