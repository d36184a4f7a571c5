"""One pipeline on a model whose results are made up, for what watches how models behave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edged.assembly.minutes import Felt
from edged.assembly.probing import Probing
from edged.domain.frame import Frame
from edged.domain.result import Anomaly, Latency, ModelRef, Output, Result, Status
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
MENDED = Release(digest="e" * 64, version="1.1.0")
NEXT = Release(digest="f" * 64, version="1.2.0")
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
        self.worker = Worker("gate", lambda: self._loop(OLD), self.clock)
        self.pipeline = Pipeline("gate", self.worker, self.mailbox, self.metrics, lambda: None)
        feed = Feed("dock", lambda: pytest.fail("is not opened"), self.clock)
        self.lines = [Line(feed, [self.pipeline])]
        self.models = {"gate": "parts"}
        self.probing = Probing(lambda: self.lines, state, self.clock, lambda: self.felt, self.models.get)
        self.runs(OLD)

    def runs(self, release: Release) -> None:
        """Run it, without an order."""
        self.worker.steps, self.worker.state = self._loop(release), "running"
        self.probing.tick()

    def begins(self, release: Release, before: Release | None = OLD, model: str = "parts") -> None:
        """Have a release go live by an order."""
        self.probing.begins(model, release, before, {file_of(release)})
        if model == "parts":
            self.runs(release)

    def fails(self, seconds: int) -> None:
        """Keep the pipeline from coming up."""
        self.worker.steps, self.worker.state = None, "failed"
        for _ in range(seconds):
            self.probing.tick()
            self.clock.advance(1.0)

    def _loop(self, release: Release) -> Loop:
        ref = replace(MODEL, name="parts", version=release.version, digest=file_of(release))
        model = Model(ref, lambda frame: (frame.data,), FakeEngine((SPEC,), (SPEC,), list), Nothing())
        return Loop("gate", _Empty(), model, Rules(()), (), self.clock)

    def sees(
        self,
        frames: int,
        *,
        inference_ms: float = 20.0,
        is_anomaly: bool = False,
        lost: int = 0,
        why: str = "engine-lost",
        suspect: int = 0,
    ) -> None:
        ref = ModelRef("parts", "", "int8", "", "litert", "cpu")
        for number in range(frames):
            output, reason = (None, why) if number < lost else (Anomaly(2.0 * is_anomaly, 1.0), "")
            latency = Latency(0.0, 0.0, inference_ms, 0.0)
            status: Status = "unknown" if output is None else "suspect" if number < suspect else "ok"
            self.metrics.result(Result("gate", stamp(0.0, number), ref, status, latency, output, reason))
        self.clock.advance(60.0)
        self.probing.tick()

    def verdict(self, running_s: float = 61.0, release: Release = NEW) -> tuple[str, str]:
        told = self.probing.watch(Probation("parts", ORDER, release, OLD, running_s))
        return told.what, told.reason


def file_of(release: Release) -> str:
    return f"sha256:{release.digest}"


class _Empty:
    ended = False

    def take(self, _timeout_s: float) -> Frame | None:
        return None

    def more(self) -> Frame | None:
        return None
