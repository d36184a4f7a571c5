"""From the configuration's sources and pipelines to lines that run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.assembly import cameras, plugins, sensors
from edged.assembly.adapters import adapter
from edged.assembly.audience import Audience, Hall
from edged.assembly.drifting import Drifting
from edged.assembly.exchange import tell_exchange
from edged.assembly.intake import Intake
from edged.assembly.keeper import Keeper
from edged.assembly.learning import Learning, Learnings
from edged.assembly.levers import PipelineLevers
from edged.assembly.models import Opened
from edged.assembly.secrets import secret
from edged.assembly.supply import Supply
from edged.assembly.suspecting import tell_lie
from edged.config import schema
from edged.domain.errors import ConfigError
from edged.domain.ports import Clock, Outbox, Source
from edged.fleet.topics import Stamper
from edged.pipeline.companion import Companion
from edged.pipeline.condition import Moving, Then, When
from edged.pipeline.feed import Feed
from edged.pipeline.inlet import Inlet
from edged.pipeline.line import Gate, Line, Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.need import Needs
from edged.pipeline.paths import Crossing, Dwell
from edged.pipeline.reader import Reader
from edged.pipeline.rules import Rule, Rules, Timing
from edged.pipeline.selftest import SelfTest
from edged.pipeline.turns import Turns
from edged.pipeline.worker import Worker
from edged.sinks.action import Act
from edged.telemetry.trace import Tracer

if TYPE_CHECKING:
    from edged.assembly.recording import Recording

PICTURES = (schema.CameraSource, schema.FileSource, schema.ImagesSource)
"""The sources of pictures."""

_LOG = logging.getLogger("edged.lines")


class Lines:
    """Builds lines; holds what they share."""

    def __init__(
        self,
        supply: Supply,
        outbox: Outbox,
        stamper: Stamper,
        clock: Clock,
        broker: sensors.Broker | None = None,
        *,
        snapshots: Path | None = None,
        learnings: Learnings | None = None,
        turns: Turns | None = None,
        state: Path | None = None,
        selftest_s: float | None = None,
        is_looked_at: Callable[[], bool] = lambda: False,
        is_updated: bool = False,
        recording: Recording | None = None,
        tracer: Tracer | None = None,
        handler: Callable[[str], Act | None] = lambda _name: None,
    ) -> None:
        """Keep what lines share.

        Without a folder for ``snapshots`` none are taken, without ``learnings`` nothing is learned, without ``turns`` all pipelines
        compute at once, and without a folder for ``state`` nothing is watched for drift. ``selftest_s`` is the period of the live
        self-test; None is never. ``is_looked_at`` says whether somebody may look on while they run; with ``is_updated`` candidates may
        run beside what runs. Without ``recording`` nothing is recorded, without a ``tracer`` nothing traced. ``handler`` gives
        configured actions by name.
        """
        self._hall = Hall(outbox, stamper, clock, snapshots, tracer, handler, is_looked_at)
        self._recording, self._selftest_s, self._is_updated = recording, selftest_s, is_updated
        self._state, self._turns, self._learnings = state, turns, learnings
        self._supply, self._broker = supply, broker
        self._outbox, self._stamper, self._clock = outbox, stamper, clock

    def build(self, source: schema.Source, pipelines: Sequence[schema.Pipeline]) -> Line:
        """Build the line of a source and those that read it; nothing runs yet."""
        lossless = is_lossless(source)
        mailboxes = [Mailbox(pipeline.name, lossless=lossless) for pipeline in pipelines]
        needs = Needs([pipeline.name for pipeline in pipelines])
        intakes = [
            self._intake(source, pipeline, mailbox, needs)
            for pipeline, mailbox in zip(pipelines, mailboxes, strict=True)
        ]
        open_it = opener(source, self._clock, needs.reduction, self._broker)
        readers = [intake.reader for intake in intakes]
        feed = Feed(source.name, open_it, self._clock, readers=readers, **feed_settings(source))
        gate = Gate([pipeline.name for pipeline in pipelines], feed.start)
        is_alone = len(pipelines) == 1
        made = [
            self._pipeline(settings, source, intake, feed, gate, is_alone=is_alone)
            for settings, intake in zip(pipelines, intakes, strict=True)
        ]
        return Line(feed, made)

    def _intake(self, source: schema.Source, settings: schema.Pipeline, mailbox: Mailbox, needs: Needs) -> Intake:
        reader, keep = Reader(mailbox), cameras.wants_snapshots(settings)
        inlet = Inlet(mailbox, self._clock, max_age_s=cameras.max_age_s(source), keep=keep, fits=reader.fits)
        tap = self._recording.tap(settings, source, inlet) if self._recording else None
        return Intake(mailbox, reader, inlet, needs, isinstance(source, PICTURES), tap)

    def _pipeline(
        self,
        settings: schema.Pipeline,
        source: schema.Source,
        intake: Intake,
        feed: Feed,
        gate: Gate,
        *,
        is_alone: bool,
    ) -> Pipeline:
        audience = Audience(settings, intake, self._hall)
        learning = self._learnings.of(settings, source) if self._learnings else None
        keeper = self._keeper(settings, intake, feed, gate, audience, learning)
        worker = keeper.worker = self._worker(settings, intake, keeper, is_alone=is_alone)
        levers = PipelineLevers(settings, intake, keeper)
        levers.pipeline = made = Pipeline(
            settings.name,
            worker,
            intake.mailbox,
            audience.metrics,
            keeper.renew,
            None if intake.mailbox.lossless and is_alone else intake.reader,
            audience.snapshot,
            audience.actions,
            learning,
            drift=keeper.drifting,
            levers=levers,
            glance=audience.glance,
            companion=keeper.companion,
            record=intake.tap.ask if intake.tap else None,
        )
        return made

    def _keeper(
        self,
        settings: schema.Pipeline,
        intake: Intake,
        feed: Feed,
        gate: Gate,
        audience: Audience,
        learning: Learning | None,
    ) -> Keeper:
        rules = Rules([rule(settings.name, one) for one in settings.rule])
        keeper = Keeper(settings, intake, gate, self._supply, rules, audience.sinks, self._clock)
        keeper.fitted = learning.fitted if learning else _as_it_is
        keeper.drifting = self._drifting(settings, feed)
        keeper.companion = Companion() if self._is_updated else None
        keeper.suspects = partial(tell_lie, settings.name, self._outbox, self._stamper)
        keeper.selftest = self._selftest(settings.name, keeper, audience)
        keeper.turn = partial(self._turns.turn, settings.priority) if self._turns else None
        keeper.exchanged = partial(tell_exchange, settings.name, self._outbox, self._stamper)
        return keeper

    def _worker(self, settings: schema.Pipeline, intake: Intake, keeper: Keeper, *, is_alone: bool) -> Worker:
        # On a recording the source waits for its slowest reader: while one mends, that must not stop the others.
        give_way = intake.reader.shut if intake.mailbox.lossless and not is_alone else None
        worker = Worker(
            settings.name,
            keeper.build,
            self._clock,
            on_failure=give_way,
            last_word=keeper.finish,
            is_replaceable=keeper.is_replaceable,
        )
        worker.rested = keeper.rested
        return worker

    def _selftest(self, pipeline: str, keeper: Keeper, audience: Audience) -> SelfTest | None:
        period_s = self._selftest_s
        if period_s is None:
            return None
        return SelfTest(pipeline, period_s, self._clock, keeper.lied, lambda: audience.report.told)

    def _drifting(self, settings: schema.Pipeline, feed: Feed) -> Drifting | None:
        if self._state is None or not settings.drift.watch:
            return None
        drifting = Drifting(settings.name, settings.drift, self._state, self._outbox, self._stamper)
        drifting.is_unwell = lambda: feed.trouble is not None
        return drifting


def _as_it_is(opened: Opened) -> Opened:
    return opened


def rule(pipeline: str, settings: schema.Rule) -> Rule:
    """Build a rule with its condition and timing."""
    when = settings.when
    condition = When(
        label=when.label,
        min_score=when.min_score or 0.0,
        zone=when.zone,
        count=when.count,
        anomaly=when.anomaly,
        min_value=when.min_value,
        max_value=when.max_value,
        then=Then(when.then.model, when.then.label, when.then.min_score, when.then.absent) if when.then else None,
    )
    paths = _paths(settings)
    moving = Moving(condition, paths) if paths else condition
    return Rule(pipeline, settings.name, moving, Timing(settings.for_s, settings.gap_s, settings.cooldown_s))


def _paths(settings: schema.Rule) -> tuple[Crossing | Dwell, ...]:
    """Give what a rule asks of followed objects' ways, if anything."""
    when = settings.when
    crossing = (Crossing(when.crosses, when.direction),) if when.crosses else ()
    dwelling = (Dwell(when.dwell_s, settings.gap_s),) if when.dwell_s else ()
    return (*crossing, *dwelling)


def is_lossless(source: schema.Source) -> bool:
    """Whether the source waits for its readers instead of dropping frames.

    A recorded sensor always does: one block of samples completes several windows at the same moment, of which a mailbox
    where the newest wins would keep the last (7 of 8 were lost with windows of 8 samples, on an idle box).
    """
    if isinstance(source, schema.CsvSource | schema.WavSource):
        return True
    return getattr(source, "pace", None) == "fast" or (isinstance(source, schema.ImagesSource) and source.fps is None)


def feed_settings(source: schema.Source) -> dict[str, Any]:
    """Give how a source's thread treats it: its pace, a limit of its rate, and whether it comes back when it is lost."""
    if isinstance(source, schema.CameraSource):
        return cameras.settings(source)
    if isinstance(source, schema.ImagesSource):
        return {"pace": "recorded" if source.fps else "fast", "reopen": source.loop}
    if source.kind in sensors.LIVE or isinstance(source, schema.PluginSource):
        return {}
    fps = source.fps if isinstance(source, schema.FileSource) else None
    # What gives its frames again and again may do so after a fault, too.
    return {"pace": getattr(source, "pace", "fast"), "fps": fps, "reopen": getattr(source, "loop", False)}


def opener(
    source: schema.Source,
    clock: Clock,
    reduction: cameras.Reduction | None = None,
    broker: sensors.Broker | None = None,
) -> Callable[[], Source]:
    """Give the function that opens the source in its own thread. Raises ConfigError for a kind that cannot run yet."""
    if source.kind not in OPENERS and not isinstance(source, schema.PluginSource):
        known = ", ".join(OPENERS)
        message = f"cannot read source {source.name!r}: kind {source.kind!r} is not available in this version, expected one of {known}"
        raise ConfigError(message)
    open_it = OPENERS.get(source.kind, _open_plugin)
    if isinstance(source, schema.CameraSource):
        open_it = partial(_open_camera, reduction=reduction)
    if isinstance(source, schema.TopicSource | schema.JoinSource):
        open_it = partial(open_it, broker=broker)

    def open_source() -> Source:
        opened: Source = open_it(source, clock)
        if (grid := getattr(source, "grid", None)) is not None:
            opened = adapter("edged.sources.gridded").gridded(opened, **grid.model_dump())
        masks = getattr(source, "masks", ())
        if not masks:
            return opened
        masked: Source = adapter("edged.sources.mask").masked(opened, masks)
        return masked

    return open_source


def _open_camera(source: schema.CameraSource, clock: Clock, reduction: cameras.Reduction | None = None) -> Source:
    return cameras.open_camera(source, clock, secret(source.password_file), reduction)


def _open_file(source: schema.FileSource, clock: Clock) -> Source:
    video: Source = adapter("edged.sources.video").open_source(path=source.path, clock=clock, loop=source.loop)
    return video


def _open_images(source: schema.ImagesSource, clock: Clock) -> Source:
    images: Source = adapter("edged.sources.images").open_source(
        path=source.path, clock=clock, loop=source.loop, fps=source.fps
    )
    return images


def _open_csv(source: schema.CsvSource, clock: Clock) -> Source:
    samples: Source = adapter("edged.sources.csv").open_source(
        path=source.path,
        clock=clock,
        columns=source.columns,
        time=source.time,
        rate_hz=source.rate_hz,
        loop=source.loop,
        delimiter=source.delimiter,
        in_order=source.grid is None,
    )
    return samples


def _open_plugin(source: schema.PluginSource, clock: Clock) -> Source:
    return plugins.open_source(source.kind, source.options, clock)


OPENERS: dict[str, Callable[..., Source]] = {
    "camera": _open_camera,
    "file": _open_file,
    "images": _open_images,
    "csv": _open_csv,
    **sensors.OPENERS,
}
"""A library is imported when the first source that needs it is opened: a box without a camera never loads OpenCV."""
