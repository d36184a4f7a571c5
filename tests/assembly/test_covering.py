"""What is kept and told of lines that a test sets up by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.coverage_store import CoverageStore
from edged.assembly.covering import Covering
from edged.domain.frame import Frame
from edged.domain.ports import Source
from edged.pipeline.feed import Feed
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.worker import Steps, Worker
from edged.telemetry.metrics import PipelineMetrics
from fakes.clock import FakeClock
from fakes.results import anomaly, result

NIGHT = 1_800_000_000 * 10**9 // 86_400_000_000_000 * 86_400_000_000_000


class Silent:
    """A source that is open."""

    def read(self) -> Frame | None:
        raise AssertionError

    def close(self) -> None:
        """Nothing is held."""


def no_steps() -> Steps:
    raise AssertionError


def opened() -> Source:
    return Silent()


class Site:
    """A line of one pipeline that runs, and what keeps account of it."""

    def __init__(self, state: Path, wall: int = NIGHT) -> None:
        self.clock, self.metrics, self.mailbox = FakeClock(wall=wall), PipelineMetrics(), Mailbox("gate")
        self.worker = Worker("gate", no_steps, self.clock)
        self.worker.state = "running"
        feed = Feed("dock", opened, self.clock)
        feed.step()
        self.lines = [
            Line(feed, [Pipeline("gate", self.worker, self.mailbox, self.metrics, lambda: None)]),
        ]
        self.store = CoverageStore(state)
        self.covering = Covering(self.store, lambda: self.lines, lambda: {"gate": 10.0}, self.clock)
        self.covering.tick()

    def go(self, seconds: int, ok: int = 0, unknown: int = 0, suspect: int = 0, still: int = 0) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            good = result(anomaly(0.0))
            told = [good] * ok + [result(None)] * unknown + [replace(good, status="suspect")] * suspect
            for one in told:
                self.metrics.result(one)
            for _ in range(still):
                self.mailbox.drop("still")
            self.covering.tick()

    @property
    def number(self) -> int:
        return self.clock.wall // 60_000_000_000


def test_a_minute_is_kept_and_told_once_with_every_second_that_it_had(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.go(30, ok=10)
    site.go(10, ok=1, still=9)
    site.go(20, unknown=10)
    (kept,) = site.store.read("gate", site.number - 1, 1)
    assert (kept.seen_ms, kept.down_ms) == (31_000, 0)
    (minute,) = site.covering.told()["gate"]["minutes"]
    assert minute == {
        "at": "2027-01-15T00:00:00.000Z",
        "seen_s": 31.0,
        "blind_s": {"engine": 20.0, "gate": 9.0},
        "down_s": 0.0,
    }
    assert site.covering.told()["gate"]["minutes"] == []


def test_the_days_sum_counts_what_nothing_is_known_of_as_down(tmp_path: Path) -> None:
    site = Site(tmp_path, wall=NIGHT + 600 * 10**9)
    site.go(120, ok=10)
    assert site.covering.told()["gate"]["day"] == {"seen_s": 120.0, "blind_s": {}, "down_s": 600.0}


def test_results_of_an_engine_that_lies_are_not_seen(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.go(60, suspect=10)
    assert site.store.read("gate", site.number - 1, 1)[0].blind_ms[1] == 60_000


def test_the_minute_that_goes_on_is_kept_whenever_telemetry_is_told_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.go(20, ok=10)
    site.covering.told()
    again = Site(tmp_path, wall=site.clock.wall + 15 * 10**9)
    again.go(25, ok=10)
    (kept,) = again.store.read("gate", again.number - 1, 1)
    assert (kept.seen_ms, kept.down_ms) == (45_000, 15_000)


def test_it_looks_once_a_second(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.clock.advance(0.5)
    assert not site.covering.tick()
    site.clock.advance(0.5)
    assert site.covering.tick()


def test_a_pipeline_that_is_gone_is_kept_and_told_no_more(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.go(20, ok=10)
    site.lines.clear()
    site.go(1)
    assert site.covering.told() == {}
    assert site.store.read("gate", site.number, 1)[0].seen_ms == 20_000


@pytest.mark.parametrize(("state", "cause"), [("paused", 2), ("failed", 1)])
def test_the_workers_state_is_the_cause(tmp_path: Path, state: str, cause: int) -> None:
    site = Site(tmp_path)
    site.worker.state = state  # type: ignore[assignment] # one of its states
    site.go(60)
    assert site.store.read("gate", site.number - 1, 1)[0].blind_ms[cause] == 60_000
