"""Who is down: a pipeline that fails again and again, and nobody else."""

from __future__ import annotations

import pytest

from edged.assembly.outages import STEADY_NS, Outages
from edged.pipeline.line import Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.worker import State, Worker
from edged.telemetry.metrics import PipelineMetrics
from fakes.clock import FakeClock


class Watched:
    """One pipeline, looked at once a second."""

    def __init__(self) -> None:
        worker = Worker("gate", lambda: pytest.fail("is not built"), FakeClock())
        self.pipeline = Pipeline("gate", worker, Mailbox("gate"), PipelineMetrics(), lambda: None)
        self.outages, self.now_ns = Outages(), 0

    def stands(self, state: State, seconds: int = 1) -> float | None:
        """Give for how long it has been down, after so many looks."""
        self.pipeline.worker.state = state
        for _ in range(seconds):
            self.now_ns += 1_000_000_000
            self.outages.look([self.pipeline], self.now_ns)
        return self.outages.down_s(self.now_ns).get("gate")


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.mark.parametrize("state", ["starting", "running", "paused", "ended", "stopped"])
def test_what_has_not_failed_is_not_down(watched: Watched, state: State) -> None:
    assert watched.stands(state, 300) is None


def test_what_failed_is_down_since_then(watched: Watched) -> None:
    assert watched.stands("failed", 31) == 30.0


def test_what_fails_after_each_start_is_down_all_the_time(watched: Watched) -> None:
    watched.stands("failed", 10)
    watched.stands("running", 20)
    watched.pipeline.worker.restarts += 1
    assert watched.stands("failed", 10) == 39.0


def test_a_failure_between_two_looks_counts_too(watched: Watched) -> None:
    watched.stands("failed")
    watched.stands("running", 50)
    watched.pipeline.worker.restarts += 1
    assert watched.stands("running", 50) == 100.0


def test_an_answer_shows_that_it_is_up(watched: Watched) -> None:
    watched.stands("failed", 10)
    watched.pipeline.metrics.results += 1
    assert watched.stands("running") is None


def test_an_unknown_result_shows_nothing(watched: Watched) -> None:
    watched.stands("failed", 10)
    watched.pipeline.metrics.results += 1
    watched.pipeline.metrics.unknown += 1
    assert watched.stands("running") == 10.0


def test_what_has_nothing_to_answer_is_up_when_it_runs_for_a_minute(watched: Watched) -> None:
    watched.stands("failed", 10)
    assert watched.stands("running", STEADY_NS // 1_000_000_000) is not None
    assert watched.stands("running") is None


def test_a_pause_ends_it(watched: Watched) -> None:
    watched.stands("failed", 10)
    assert watched.stands("paused") is None


def test_what_is_gone_is_not_down(watched: Watched) -> None:
    watched.stands("failed", 10)
    watched.outages.look([], watched.now_ns)
    assert not watched.outages.down_s(watched.now_ns)
