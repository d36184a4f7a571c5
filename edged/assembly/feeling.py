"""What the box feels, gathered for the governor: readings below a root, and how each pipeline served in the last seconds."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edged.control.pressure import Heat, Service, Signals, headroom, memory_free_percent
from edged.control.profile import Bounds
from edged.hardware.readings import Readings, read
from edged.pipeline.line import Pipeline
from edged.telemetry.metrics import PipelineMetrics
from edged.telemetry.recent import Recent

SHARE = 0.95
FRESH_NS = 2_000_000_000
"""A round a second is what the governor takes."""
COOL_ACCELERATORS = "apex"
"""Sensors of this name belong to an Edge TPU: the processor's limits say nothing about it."""


class Feeling:
    """Takes one round of signals at a time; owned by one thread. ``limits`` are the profile's."""

    def __init__(self, root: Path, limits: Bounds) -> None:
        self._root, self._limits = root, limits
        self._swapped: tuple[int, int] | None = None
        self._recent: dict[str, tuple[PipelineMetrics, Recent, Recent]] = {}
        self._latest: tuple[int, Readings] | None = None

    def readings(self, now_ns: int) -> Readings:
        """Give those of the last round, or of now when it is older than ``FRESH_NS``. Safe on any thread."""
        latest = self._latest
        return latest[1] if latest is not None and now_ns - latest[0] < FRESH_NS else read(self._root)

    def __call__(self, pipelines: Iterable[Pipeline], now_ns: int) -> Signals:
        """Feel; a few milliseconds of plain files."""
        felt = read(self._root)
        self._latest = now_ns, felt
        own = self._limits.temperature_c
        heats, others = _heats(felt)
        soft_c, hard_c = headroom(heats, *((own.soft, own.hard) if own else (None, None)))
        return Signals(
            headroom_c=soft_c,
            critical_c=hard_c,
            accelerator_headroom_c=headroom(others)[0],
            throttled=felt.throttled,
            under_voltage=felt.under_voltage,
            cpu_some_percent=felt.cpu_pressure.some_avg10 if felt.cpu_pressure else None,
            memory_full_percent=felt.memory_pressure.full_avg10 if felt.memory_pressure else None,
            memory_free_percent=_memory(felt),
            swapped_mb_s=self._swap(felt.swapped_in_mb, now_ns),
            services=tuple(self._service(pipeline) for pipeline in pipelines),
        )

    def _swap(self, total_mb: int | None, now_ns: int) -> float | None:
        before, self._swapped = self._swapped, None if total_mb is None else (now_ns, total_mb)
        if before is None or total_mb is None or now_ns <= before[0]:
            return None
        return max(0.0, (total_mb - before[1]) * 1e9 / (now_ns - before[0]))

    def _service(self, pipeline: Pipeline) -> Service:
        metrics, levers = pipeline.metrics, pipeline.levers
        known = self._recent.get(pipeline.name)
        if known is None or known[0] is not metrics:
            known = metrics, Recent(metrics.stages["total"]), Recent(metrics.stages["age"])
            self._recent[pipeline.name] = known
        p95_ms, age_ms = known[1].quantile(SHARE), known[2].quantile(SHARE)
        if pipeline.mailbox.lossless:
            # Whoever reads a recording waits for it.
            return Service(pipeline.name, levers.priority if levers else 0)
        return Service(
            pipeline.name,
            levers.priority if levers else 0,
            p95_ms,
            levers.objective_ms if levers else None,
            None if age_ms is None else age_ms / 1000,
        )


def _heats(felt: Readings) -> tuple[list[Heat], list[Heat]]:
    """Part the processor's and GPU's temperatures from an Edge TPU's."""
    rows = [
        (x.sensor.startswith(COOL_ACCELERATORS), (x.temp_c, x.soft_c, x.hard_c))
        for x in felt.temperatures
        if x.is_compute
    ]
    return [heat for is_other, heat in rows if not is_other], [heat for is_other, heat in rows if is_other]


def _memory(felt: Readings) -> float | None:
    shares = [
        memory_free_percent(felt.memory_available_mb, felt.memory_total_mb),
        memory_free_percent(felt.cgroup_headroom_mb, felt.cgroup_limit_mb),
    ]
    return min((share for share in shares if share is not None), default=None)
