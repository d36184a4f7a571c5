"""What a box remembers of how its models behave, and how a candidate is held against it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.probing import Felt, Probing
from edged.domain.frame import Frame
from edged.domain.result import Anomaly, Latency, ModelRef, Output, Result
from edged.domain.tensor import Array, TensorSpec
from edged.pipeline.feed import Feed
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.model import Model
from edged.pipeline.rules import Rules
from edged.pipeline.worker import Worker
from edged.telemetry.metrics import PipelineMetrics
from edged.update.ports import Probation
from edged.update.records import Ordered, Release
from fakes.clock import FakeClock
from fakes.engine import FakeEngine
from fakes.results import MODEL, stamp

SPEC = TensorSpec("x", (1,), "float32")
OLD, NEW = Release(digest="a" * 64, version="1.0.0"), Release(digest="b" * 64, version="1.1.0")
ORDER = Ordered(
    document="c" * 64,
    audience="press-07",
    seq=3,
    version="1.1.0",
    target="parts-1.1.0.edgemodel",
    sha256="d" * 64,
    length=1,
    probation_s=60,
    min_inferences=100,
)


class Nothing:
    def decode(self, _outputs: list[Array], _inputs: list[Array], _frame: Frame) -> Output:
        return Anomaly(0.0, 1.0)


class Site:
    """One pipeline on one model, whose results are made up; ``felt`` is how the box is."""

    def __init__(self, state: Path) -> None:
        self.clock, self.felt, self.state = FakeClock(), Felt(100.0, is_overheated=False, silent_s=1.0), state
        self.metrics, self.mailbox = PipelineMetrics(), Mailbox("gate")
        self.worker = Worker("gate", lambda: self._loop("1.0.0"), self.clock)
        self.pipeline = Pipeline("gate", self.worker, self.mailbox, self.metrics, lambda: None)
        feed = Feed("dock", lambda: pytest.fail("is not opened"), self.clock)
        self.lines = [Line(feed, [self.pipeline])]
        self.probing = Probing(lambda: self.lines, state, self.clock, lambda: self.felt)
        self.runs("1.0.0")

    def runs(self, version: str) -> None:
        self.worker.steps = self._loop(version)
        self.probing.tick()

    def _loop(self, version: str) -> Loop:
        ref = replace(MODEL, name="parts", version=version)
        model = Model(ref, lambda frame: (frame.data,), FakeEngine((SPEC,), (SPEC,), list), Nothing())
        return Loop("gate", _Empty(), model, Rules(()), (), self.clock)

    def sees(self, frames: int, *, inference_ms: float = 20.0, is_anomaly: bool = False, lost: int = 0) -> None:
        ref = ModelRef("parts", "", "int8", "", "litert", "cpu")
        for number in range(frames):
            output, reason = (None, "engine-lost") if number < lost else (Anomaly(2.0 * is_anomaly, 1.0), "")
            latency = Latency(0.0, 0.0, inference_ms, 0.0)
            status = "unknown" if output is None else "ok"
            self.metrics.result(Result("gate", stamp(0.0, number), ref, status, latency, output, reason))
        self.clock.advance(60.0)
        self.probing.tick()

    def verdict(self, running_s: float = 61.0) -> tuple[str, str]:
        told = self.probing.watch(Probation("parts", ORDER, NEW, OLD, running_s))
        return told.what, told.reason


class _Empty:
    ended = False

    def take(self, _timeout_s: float) -> Frame | None:
        return None

    def more(self) -> Frame | None:
        return None


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def _good(site: Site) -> None:
    site.sees(200)


@pytest.mark.parametrize(
    ("candidate", "what", "words"),
    [
        (_good, "commit", ""),
        (lambda site: site.sees(200, inference_ms=60.0), "roll-back", "p95 "),
        (lambda site: site.sees(200, is_anomaly=True), "roll-back", "100% of the frames tell something else"),
        (lambda site: site.sees(200, lost=2), "roll-back", "crashed 2 times in probation"),
        (lambda site: site.sees(99), "watch", ""),
    ],
)
def test_a_candidate_is_held_against_what_the_version_before_did(
    site: Site, candidate: Callable[[Site], None], what: str, words: str
) -> None:
    site.sees(500)
    site.runs("1.1.0")
    candidate(site)
    told = site.verdict()
    assert told[0] == what
    assert told[1].startswith(words)


def test_what_was_before_is_remembered_over_a_crash(site: Site) -> None:
    site.sees(500)
    site.runs("1.1.0")
    site.sees(1)
    again = Site(site.state)
    again.runs("1.1.0")
    again.sees(200, is_anomaly=True)
    assert again.verdict()[1].startswith("100% of the frames tell something else")


def test_how_a_candidate_did_is_told_after_a_restart_too(site: Site) -> None:
    site.sees(500)
    site.runs("1.1.0")
    site.sees(200, inference_ms=25.0, lost=1)
    site.verdict()
    told = Site(site.state).probing.told("parts")
    assert told is not None
    assert told["version"] == "1.1.0"
    assert told["before"]["results"] == 500
    assert told["now"]["error_share"] == pytest.approx(1 / 200)
    assert told["now"]["p95_ms"] == pytest.approx(25.0, rel=0.13)


def test_nothing_is_told_of_a_model_that_had_no_candidate(site: Site) -> None:
    assert site.probing.told("parts") is None


def test_a_measure_that_cannot_be_read_is_none(site: Site) -> None:
    (site.state / "conduct").mkdir()
    (site.state / "conduct" / "parts.json").write_text("[]", "utf-8")
    site.runs("1.1.0")
    site.sees(200, is_anomaly=True)
    again = Site(site.state)
    again.runs("1.1.0")
    again.sees(200)
    assert again.verdict()[0] == "commit"


def test_only_the_last_quarter_of_an_hour_counts(site: Site) -> None:
    for _ in range(20):
        site.sees(10)
    assert site.probing.conduct("parts", "1.0.0").results == 150


def test_a_scene_that_changes_by_itself_is_restless(site: Site) -> None:
    site.sees(100)
    site.sees(100, is_anomaly=True)
    assert site.probing.conduct("parts", "1.0.0").unrest == 1.0


def test_what_the_box_feels_belongs_to_what_runs(site: Site) -> None:
    site.felt = Felt(170.0, is_overheated=True, silent_s=None)
    site.sees(10)
    conduct = site.probing.conduct("parts", "1.0.0")
    assert (conduct.memory_mb, conduct.is_overheated, conduct.silent_s) == (170.0, True, None)


def test_counts_that_began_anew_are_no_negative_ones(site: Site) -> None:
    site.sees(100)
    site.pipeline = replace(site.pipeline, metrics=PipelineMetrics())
    site.lines[:] = [Line(site.lines[0].feed, [site.pipeline])]
    site.probing.tick()
    assert site.probing.conduct("parts", "1.0.0").results == 100


def test_it_tells_whom_it_watches(site: Site) -> None:
    site.sees(1)
    assert repr(site.probing) == "<Probing parts 1.0.0>"
