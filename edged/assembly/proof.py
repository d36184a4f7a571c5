"""Proof of sight: what the pipelines saw and what that took, looked at once a second and told with telemetry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edged.assembly.coverage_store import CoverageStore
from edged.assembly.covering import Covering
from edged.config.schema import Config
from edged.domain.ports import Clock
from edged.hardware.energy import Consumption, Meter
from edged.pipeline.line import Line


class Proof:
    """Called by the thread of supervision alone. ``config`` gives the one in force, ``lines`` what runs."""

    def __init__(
        self,
        state: Path,
        lines: Callable[[], Sequence[Line]],
        config: Callable[[], Config],
        clock: Clock,
        sysroot: Path = Path("/"),
    ) -> None:
        def wanted_fps() -> Mapping[str, float | None]:
            return {pipeline.name: pipeline.objective.fps for pipeline in config().pipeline}

        self._lines = lines
        self._covering = Covering(CoverageStore(state), lines, wanted_fps, clock)
        self._meter = Meter(sysroot, clock)
        self._consumption = Consumption(self._meter, clock)

    def __repr__(self) -> str:
        return f"<Proof {self._covering!r} {self._meter!r}>"

    def tick(self) -> None:
        """Look, when a second is over."""
        if self._covering.tick():
            self._meter.sample()

    def telemetry(self) -> dict[str, Any]:
        """Give telemetry's fields: what was seen, and the energy since it was asked last."""
        done = sum(pipeline.metrics.results for line in self._lines() for pipeline in line.pipelines)
        return {"coverage": self._covering.told(), "energy": self._consumption.told(done)}
