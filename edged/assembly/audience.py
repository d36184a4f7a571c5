"""All who hear of one pipeline's results: what counts and reports them, what acts on them, and what takes pictures of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edged.assembly import cameras
from edged.assembly.intake import Intake
from edged.config import schema
from edged.config.plugins import load_plugin
from edged.domain.ports import Clock, Outbox, Sink
from edged.fleet.documents import event_body
from edged.fleet.topics import Stamper
from edged.sinks.action import Act, Actions
from edged.sinks.asked import COMMANDED, SnapshotOnCommand
from edged.sinks.due import Due
from edged.sinks.glance import Glance
from edged.sinks.report import ReportSink
from edged.sinks.traced import TracedReport
from edged.telemetry.metrics import PipelineMetrics
from edged.telemetry.trace import Tracer

OUTBOX_WAIT_S = 5.0
"""How long a pipeline on a finite source waits for the outbox: nothing of a recording may be lost, and nobody waits for it."""


@dataclass(frozen=True, slots=True)
class Hall:
    """What the audiences of a box's pipelines share. Without a folder for ``snapshots`` none are taken."""

    outbox: Outbox
    stamper: Stamper
    clock: Clock
    snapshots: Path | None = None
    tracer: Tracer | None = None
    """Who begins traces; None where nothing is traced."""
    handler: Callable[[str], Act | None] = lambda _name: None
    """Gives configured actions by name."""
    is_looked_at: Callable[[], bool] = lambda: False
    """Whether somebody may look on while pipelines run; a reload changes it."""


class Audience:
    """One pipeline's; it outlives the pipeline's loops."""

    def __init__(self, settings: schema.Pipeline, intake: Intake, hall: Hall) -> None:
        self._settings, self._intake, self._hall = settings, intake, hall
        self.metrics = PipelineMetrics()
        self._asked = SnapshotOnCommand(intake.inlet, self._taker)
        self.actions = self._acting()
        self.report = self._reporting()
        self.glance = Glance(intake.inlet, hall.is_looked_at)
        traced = TracedReport(self.report, hall.tracer, hall.clock) if hall.tracer else self.report
        heard = (self.metrics, traced, self._asked, self.glance, intake.tap, self.actions)
        self._sinks: tuple[Sink, ...] = tuple(one for one in heard if one is not None)

    def sinks(self) -> tuple[Sink, ...]:
        """Give them for a new loop, in the order in which they hear."""
        if self._hall.snapshots is None or not cameras.wants_snapshots(self._settings):
            return self._sinks
        place = self._intake.inlet, self._folder, self._hall.outbox, self._hall.stamper
        return (*self._sinks, cameras.snapshot_sink(self._settings, *place))

    @property
    def snapshot(self) -> Callable[[], None] | None:
        """What takes a picture of the next frame; None where there are no pictures."""
        return self._asked.ask if self._intake.is_pictures else None

    @property
    def _folder(self) -> Path:
        return (self._hall.snapshots or Path()) / self._settings.name

    def _taker(self) -> Sink:
        wanted: Mapping[str, cameras.Where] = {COMMANDED: "mqtt"}
        place = self._intake.inlet, self._folder, self._hall.outbox, self._hall.stamper
        return cameras.snapshot_sink_of(wanted, *place)

    def _reporting(self) -> ReportSink:
        report, hall = self._settings.report, self._hall
        wait_s = OUTBOX_WAIT_S if self._intake.mailbox.lossless else 0.0
        due = Due(report.results, report.at_least_every_s)
        return ReportSink(hall.outbox, hall.stamper, due, qos=report.qos, wait_s=wait_s)

    def _acting(self) -> Actions | None:
        wanted = {rule.name: rule.action for rule in self._settings.rule if rule.action}
        if not wanted:
            return None
        body = partial(event_body, stamper=self._hall.stamper)
        return Actions(self._settings.name, wanted, self._action, body, self._hall.clock)

    def _action(self, name: str) -> Act:
        act: Act = self._hall.handler(name) or load_plugin("edged.actions", name)
        return act
