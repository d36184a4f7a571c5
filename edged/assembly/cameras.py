"""From the configuration's camera tables to cameras that can be opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from edged.assembly.adapters import adapter
from edged.config import schema
from edged.domain.bundle import ImageInput
from edged.domain.ports import Clock, Outbox, Sink, Source
from edged.fleet.topics import Stamper
from edged.pipeline.backoff import Backoff
from edged.pipeline.inlet import Inlet
from edged.pipeline.sight import Sight

RETRY_LIMIT_S = 2.5
"""A camera that is back shall be seen within 5 s; asking one that is away costs a packet or two, with jitter."""
MS_PER_S = 1000

Reduction = Callable[[int, int], float]
Where = Literal["local", "mqtt"]


def settings(source: schema.CameraSource) -> dict[str, Any]:
    """Give how a camera's thread treats it."""
    return {"fps": source.fps, "backoff": Backoff(limit_s=RETRY_LIMIT_S), "sight": Sight(source.name)}


def open_camera(source: schema.CameraSource, clock: Clock, password: str | None, reduction: Reduction | None) -> Source:
    """Open a camera with what reads its kind."""
    given = {"url": source.url, "clock": clock, "max_age_s": source.max_frame_age_ms / MS_PER_S}
    if source.is_pipeline:
        piped: Source = adapter("edged.sources.gstreamer").open_source(**given)
        return piped
    given |= {"username": source.username, "password": password, "reduction": reduction}
    if source.url.startswith(("http://", "https://")):
        jpegs: Source | None = adapter("edged.sources.mjpeg").open_source(**given)
        if jpegs is not None:
            return jpegs
    size = (source.width, source.height) if source.width and source.height else None
    camera: Source = adapter("edged.sources.camera").open_source(
        **given, fps=source.fps, size=size, transport=source.transport, hardware=source.decoder == "hardware"
    )
    return camera


def max_age_s(source: schema.Source) -> float | None:
    """Give the age from which on a source's frames are not inferred on; None where a frame is never too old."""
    return source.max_frame_age_ms / MS_PER_S if isinstance(source, schema.CameraSource) else None


def wants_snapshots(pipeline: schema.Pipeline) -> bool:
    """Whether pictures of what was seen are kept or sent."""
    return any(rule.snapshot != "none" for rule in pipeline.rule)


def snapshot_sink(pipeline: schema.Pipeline, inlet: Inlet, folder: Path, outbox: Outbox, stamper: Stamper) -> Sink:
    """Build what takes pictures of a pipeline's events; ``folder`` keeps those that stay on the box."""
    wanted: dict[str, Where] = {rule.name: rule.snapshot for rule in pipeline.rule if rule.snapshot != "none"}
    return snapshot_sink_of(wanted, inlet, folder, outbox, stamper)


def snapshot_sink_of(wanted: Mapping[str, Where], inlet: Inlet, folder: Path, outbox: Outbox, stamper: Stamper) -> Sink:
    """Build what takes pictures; ``wanted`` says where each rule's go."""
    album = adapter("edged.sinks.album").Album(folder)
    sink: Sink = adapter("edged.sinks.snapshot").SnapshotSink(lambda: inlet.in_hand, wanted, album, outbox, stamper)
    return sink


def need(pipeline: schema.Pipeline, model_input: Any) -> ImageInput | None:
    """Give what a pipeline needs of its pictures; None for pictures as they are.

    A cascade cuts its crops out of the picture, and a snapshot is for people to look at: both want all there is.
    """
    wants_all = bool(pipeline.then) or wants_snapshots(pipeline)
    return model_input if isinstance(model_input, ImageInput) and not wants_all else None
