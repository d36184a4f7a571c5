"""The port Levers in memory: what was moved is written down; a kind in ``stuck`` cannot be moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edged.domain.errors import BundleError
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.worker import Worker
from edged.telemetry.metrics import PipelineMetrics
from fakes.clock import FakeClock


@dataclass
class FakeLevers:
    """Reaches as far as the test says."""

    priority: int = 0
    steps: Mapping[str, int] = field(default_factory=lambda: {"gate": 1, "variant": 1, "pause": 1})
    stuck: set[str] = field(default_factory=set)
    objective_ms: float | None = None
    accelerator: str = "cpu"
    stands: dict[str, int] = field(default_factory=dict)
    measured: int = 0

    def reach(self) -> Mapping[str, int]:
        return self.steps

    def taken(self) -> Mapping[str, int]:
        return {kind: steps for kind, steps in self.stands.items() if steps}

    def move(self, kind: str, steps: int, why: str) -> None:
        assert isinstance(why, str)
        if kind in self.stuck:
            message = f"cannot open the model for {kind}"
            raise BundleError(message, remedy="build the bundle again")
        self.stands[kind] = steps

    def words(self) -> Mapping[str, str]:
        kinds = ("gate", "rate", "threads", "variant", "device", "pause")
        return {kind: f"{kind} {self.stands.get(kind, 0)}" for kind in kinds}

    def measure(self, now_ns: int) -> None:
        assert now_ns > 0
        self.measured += 1


class Idle:
    """A feed that never runs."""

    name = "dock"


def pipeline_of(name: str, levers: FakeLevers, *, lossless: bool = False) -> Pipeline:
    """Give a pipeline that never starts."""

    def nothing() -> None:
        """Build nothing."""

    worker = Worker(name, nothing, FakeClock())  # type: ignore[arg-type] # never started
    return Pipeline(name, worker, Mailbox(name, lossless=lossless), PipelineMetrics(), nothing, levers=levers)


def line_of(*pipelines: Pipeline) -> Line:
    """Give a line that never starts."""
    return Line(Idle(), pipelines)  # type: ignore[arg-type] # never started
