"""What Prometheus is told: a table of families, each with the function that looks its samples up.

Labels are bounded: names of the configuration and of the box's own parts, never what the network sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edged.assembly.box import Box
from edged.assembly.roster import Roster
from edged.assembly.warmth import is_slowed, warm
from edged.control.steps import KINDS, WORDS
from edged.domain.device import Accelerator
from edged.domain.health import Grade
from edged.domain.ports import Clock
from edged.fleet.outbox import Outbox, OutboxStats
from edged.hardware.process import ProcessProbe, Usage
from edged.hardware.readings import Readings, read
from edged.hardware.thermal import Temperature
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop
from edged.telemetry.exposition import Family, Kind, Sample, render, sample
from edged.telemetry.metrics import STAGES

_BYTES_PER_MIB = 2**20
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Scene:
    """The box at the moment of a scrape."""

    version: str
    lines: tuple[Line, ...]
    outbox: OutboxStats
    is_online: bool
    grade: Grade
    readings: Readings
    usage: Usage
    accelerators: tuple[Accelerator, ...]
    generation: int
    """How many configurations were planned since the start."""
    up_s: float
    felt: Mapping[str, Any] = field(default_factory=dict)
    """What the governor says of the box; empty when there is none."""
    now_ns: int = 0
    """On the monotonic clock."""

    @property
    def pipelines(self) -> Iterator[tuple[Line, Pipeline]]:
        """Every pipeline with its line."""
        return ((line, pipeline) for line in self.lines for pipeline in line.pipelines)


class Scraper:
    """Looks, and gives the whole text; a few milliseconds. Called on one thread at a time.

    ``feel`` takes a round of readings (default: from the box's root), ``governing`` says how the box feels, and the process is looked at
    every ``usage_s`` at most: going through all processes of a box for children takes as long as all else.
    """

    def __init__(
        self,
        box: Box,
        roster: Roster,
        outbox: Outbox,
        state: Path,
        clock: Clock,
        plans: Callable[[], int],
        governing: Callable[[], Mapping[str, Any]] = dict,
        *,
        feel: Callable[[], Readings] | None = None,
        usage_s: float = 0.0,
    ) -> None:
        self._roster, self._outbox, self._plans, self._clock = roster, outbox, plans, clock
        self._accelerators = box.inventory.accelerators
        self._feel, self._governing = feel or partial(read, box.root), governing
        self._probe, self._usage_ns = ProcessProbe(state), int(usage_s * _NS_PER_S)
        self._usage, self._usage_due_ns = Usage(), 0
        self._began_ns = clock.monotonic_ns()
        self._version = version("edged")

    def __call__(self) -> str:
        """Scrape."""
        return scrape(self.scene())

    def scene(self) -> Scene:
        """Look."""
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._usage_due_ns:
            self._usage, self._usage_due_ns = self._probe(), now_ns + self._usage_ns
        return Scene(
            version=self._version,
            lines=tuple(self._roster.lines()),
            outbox=self._outbox.stats(),
            is_online=self._roster.is_online,
            grade=self._roster.grade,
            readings=self._feel(),
            usage=self._usage,
            accelerators=self._accelerators,
            generation=self._plans(),
            up_s=(now_ns - self._began_ns) / _NS_PER_S,
            now_ns=now_ns,
            felt=self._governing(),
        )


Look = Callable[[Scene], Iterable[Sample]]
GRADES: tuple[Grade, ...] = ("ok", "degraded", "failed")


@dataclass(frozen=True, slots=True)
class Row:
    """One family: its name, kind, what it is, and where its samples are found."""

    name: str
    kind: Kind
    about: str
    look: Look


def scrape(scene: Scene) -> str:
    """Give the whole text."""
    return render(Family(row.name, row.kind, row.about, tuple(row.look(scene))) for row in ROWS)


def _stages(scene: Scene) -> Iterator[Sample]:
    for _, pipeline in scene.pipelines:
        for stage in STAGES[:-1]:
            yield sample(pipeline.metrics.stages[stage], pipeline=pipeline.name, stage=stage)


def _totals(scene: Scene) -> Iterator[Sample]:
    return (sample(one.metrics.stages["total"], pipeline=one.name) for _, one in scene.pipelines)


def _results(scene: Scene) -> Iterator[Sample]:
    for _, pipeline in scene.pipelines:
        metrics = pipeline.metrics
        good = metrics.results - metrics.unknown - metrics.suspect
        yield sample(good, pipeline=pipeline.name, status="ok")
        yield sample(metrics.suspect, pipeline=pipeline.name, status="suspect")
        yield sample(metrics.unknown, pipeline=pipeline.name, status="unknown")


def _unknown(scene: Scene) -> Iterator[Sample]:
    for _, pipeline in scene.pipelines:
        for reason, count in sorted(dict(pipeline.metrics.unknown_by).items()):
            yield sample(count, pipeline=pipeline.name, reason=reason)


def _drops(scene: Scene) -> Iterator[Sample]:
    for line, pipeline in scene.pipelines:
        for reason, count in sorted(line.drops()[pipeline.name].items()):
            yield sample(count, pipeline=pipeline.name, reason=reason)


def _models(scene: Scene) -> Iterator[Sample]:
    for _, pipeline in scene.pipelines:
        steps = pipeline.worker.steps
        if isinstance(steps, Loop):
            ref = steps.model.ref
            yield sample(
                1,
                pipeline=pipeline.name,
                model=ref.name,
                version=ref.version,
                variant=ref.variant,
                runtime=ref.runtime,
                accelerator=ref.accelerator,
                sha256=ref.digest.removeprefix("sha256:"),
            )


def _ages(scene: Scene) -> Iterator[Sample]:
    for _, pipeline in scene.pipelines:
        captured_ns = pipeline.metrics.captured_ns
        if captured_ns is not None:
            yield sample(max(0.0, (scene.now_ns - captured_ns) / _NS_PER_S), pipeline=pipeline.name)


def _steps(scene: Scene) -> Iterator[Sample]:
    for _, pipeline in scene.pipelines:
        taken = pipeline.levers.taken() if pipeline.levers is not None else {}
        for kind in KINDS:
            yield sample(taken.get(kind, 0), pipeline=pipeline.name, kind=kind)


def _stalls(scene: Scene) -> Iterator[Sample]:
    felt = scene.readings
    for resource, stall in (("cpu", felt.cpu_pressure), ("memory", felt.memory_pressure), ("io", felt.io_pressure)):
        if stall is not None:
            yield sample(_ratio(stall.some_avg10), resource=resource)


def _level(scene: Scene) -> int | None:
    word = scene.felt.get("level")
    return WORDS.index(word) if word in WORDS else None


def _each(look: Callable[[Line, Pipeline], float | None]) -> Look:
    return lambda scene: (sample(look(line, one), pipeline=one.name) for line, one in scene.pipelines)


def _one(look: Callable[[Scene], float | None]) -> Look:
    return lambda scene: [sample(look(scene))]


def _warm(look: Callable[[Temperature], float | None]) -> Look:
    return lambda scene: (
        sample(look(heat), accelerator=one.kind, number=str(place))
        for place, one, heat in warm(scene.accelerators, scene.readings.temperatures)
    )


def _bytes(mib: float | None) -> float | None:
    return None if mib is None else mib * _BYTES_PER_MIB


ROWS: tuple[Row, ...] = (
    Row("edged_info", "gauge", "The version that runs.", lambda scene: [sample(1, version=scene.version)]),
    Row("edged_uptime_seconds", "gauge", "Since the daemon started.", _one(lambda scene: scene.up_s)),
    Row(
        "edged_config_generation",
        "gauge",
        "Configurations that were put into force.",
        _one(lambda scene: scene.generation),
    ),
    Row(
        "edged_health",
        "gauge",
        "1 for the grade that the box is in.",
        lambda scene: (sample(int(grade == scene.grade), grade=grade) for grade in GRADES),
    ),
    Row(
        "edged_inference_duration_seconds",
        "histogram",
        "Time of a frame in each stage; age: capture to the first stage.",
        _stages,
    ),
    Row("edged_frame_duration_seconds", "histogram", "Capture to result.", _totals),
    Row("edged_frame_age_seconds", "gauge", "Since the latest frame that was answered was captured.", _ages),
    Row("edged_results_total", "counter", "Results by their status.", _results),
    Row("edged_results_unknown_total", "counter", "Results without an answer, by reason.", _unknown),
    Row("edged_events_total", "counter", "Events of rules.", _each(lambda _line, one: one.metrics.events)),
    Row("edged_frames_total", "counter", "Frames that the source gave.", _each(lambda line, _one: line.feed.frames)),
    Row("edged_frames_dropped_total", "counter", "Frames that no model saw, by cause.", _drops),
    Row(
        "edged_pipeline_up",
        "gauge",
        "1 while the pipeline runs.",
        _each(lambda _line, one: int(one.worker.state == "running")),
    ),
    Row(
        "edged_source_up",
        "gauge",
        "1 while the source gives frames.",
        _each(lambda line, _one: int(line.feed.state.condition == "live")),
    ),
    Row(
        "edged_worker_restarts_total",
        "counter",
        "How often a pipeline was built anew.",
        _each(lambda _line, one: one.worker.restarts),
    ),
    Row("edged_model_info", "gauge", "What runs.", _models),
    Row(
        "edged_governor_steps",
        "gauge",
        "Steps of each kind that a pipeline has taken to do less.",
        _steps,
    ),
    Row(
        "edged_pressure_level",
        "gauge",
        "How much the box suffers: 0 calm, 1 near a limit, 2 pressed, 3 hard, 4 critical.",
        _one(_level),
    ),
    Row("edged_spool_depth", "gauge", "Documents that wait for the broker.", _one(lambda scene: scene.outbox.pending)),
    Row("edged_spool_bytes", "gauge", "What the queue takes on disk.", _one(lambda scene: scene.outbox.disk_bytes)),
    Row(
        "edged_spool_oldest_age_seconds",
        "gauge",
        "Since the oldest document that waits for the broker was captured or written; 0 when none waits.",
        _one(lambda scene: scene.outbox.oldest_age_s if scene.outbox.pending else 0.0),
    ),
    Row(
        "edged_spool_evicted_total",
        "counter",
        "Documents that had to make room.",
        _one(lambda scene: scene.outbox.evicted),
    ),
    Row("edged_mqtt_connected", "gauge", "1 while the broker is there.", _one(lambda scene: int(scene.is_online))),
    Row(
        "edged_accelerator_up",
        "gauge",
        "1 when it could run a model.",
        lambda scene: (
            sample(int(one.usable), accelerator=one.kind, number=str(index))
            for index, one in enumerate(scene.accelerators)
        ),
    ),
    Row(
        "edged_accelerator_temperature_celsius",
        "gauge",
        "Of an accelerator that has a thermometer.",
        _warm(lambda heat: heat.temp_c),
    ),
    Row(
        "edged_accelerator_throttled",
        "gauge",
        "1 while an accelerator is so warm that it is slowed down.",
        _warm(lambda heat: _flag(is_slowed(heat))),
    ),
    Row(
        "edged_temperature_celsius",
        "gauge",
        "By sensor.",
        lambda scene: (
            sample(one.temp_c, sensor=one.sensor, number=str(index))
            for index, one in enumerate(scene.readings.temperatures)
        ),
    ),
    Row(
        "edged_throttled",
        "gauge",
        "1 while the firmware holds the processor back.",
        _one(lambda scene: _flag(scene.readings.throttled)),
    ),
    Row(
        "edged_under_voltage",
        "gauge",
        "1 while the supply is too weak.",
        _one(lambda scene: _flag(scene.readings.under_voltage)),
    ),
    Row(
        "edged_cpu_frequency_ratio",
        "gauge",
        "What the processor may run at, of its maximum.",
        _one(lambda scene: scene.readings.cpu_frequency_cap),
    ),
    Row(
        "edged_stall_ratio", "gauge", "Share of the last ten seconds in which some tasks waited, by resource.", _stalls
    ),
    Row(
        "edged_load", "gauge", "Of the last minute: tasks that run or wait.", _one(lambda scene: scene.readings.load_1m)
    ),
    Row(
        "edged_memory_available_bytes",
        "gauge",
        "Of the box.",
        _one(lambda scene: _bytes(scene.readings.memory_available_mb)),
    ),
    Row(
        "edged_process_resident_bytes",
        "gauge",
        "Of the daemon and its children.",
        _one(lambda scene: _bytes(scene.usage.memory_mb)),
    ),
    Row(
        "edged_process_cpu_ratio",
        "gauge",
        "Of one processor, lately.",
        _one(lambda scene: _ratio(scene.usage.cpu_percent)),
    ),
    Row("edged_process_fds", "gauge", "Open files.", _one(lambda scene: scene.usage.open_files)),
    Row(
        "edged_disk_free_bytes", "gauge", "Where the state lies.", _one(lambda scene: _bytes(scene.usage.disk_free_mb))
    ),
)


def _flag(given: bool | None) -> int | None:  # noqa: FBT001 - a reading, which may be unknown
    return None if given is None else int(given)


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
