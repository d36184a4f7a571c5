"""The documents about what was seen: results, events, snapshots; and what every document carries."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edged.domain.result import Phase, Status

RFC3339 = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
Fraction = float


class Part(BaseModel):
    """What every part of a document shares: additions of later versions are kept, the rest is checked when first used."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True, protected_namespaces=())


class Document(Part):
    """The envelope. ``seq`` counts per stream without a gap; only a last will has none. Dates are labels, ``mono_ms`` orders.

    A box that starts on a disk that takes nothing, or after it was killed on one, goes on far above its old numbers, and says so with
    ``edged.gap/1`` of no documents: no number is given twice.
    """

    device: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    boot_id: str
    seq: int | None = Field(default=None, ge=1)
    mono_ms: int = Field(ge=0)
    clock: Literal["synced", "unsynced"]
    traceparent: str | None = Field(default=None, pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
    """Of results, events and answers to commands that belong to a trace (docs/tracing.md); MQTT 5's user property says the same."""


class Captured(Document):
    """A document about something that a source captured."""

    captured_at: str = Field(pattern=RFC3339)


class Reported(Document):
    """A document about the moment that it was written in."""

    at: str = Field(pattern=RFC3339)


class ModelDocument(Part):
    """Which file on which runtime; ``digest`` is ``sha256:…`` of the file."""

    name: str
    version: str
    variant: str
    digest: str
    runtime: str
    accelerator: str


class LatencyDocument(Part):
    """Milliseconds; ``age`` is capture to the start of preprocessing."""

    age: float
    preprocess: float
    inference: float
    postprocess: float


class DetectionDocument(Part):
    """``box`` is x1, y1, x2, y2 as fractions of the original frame."""

    label: str
    score: float = Field(ge=0, le=1)
    box: tuple[Fraction, Fraction, Fraction, Fraction]
    track: int | None = Field(default=None, ge=1)
    """The same object keeps its number from frame to frame, where the pipeline follows its detections."""
    then: tuple[dict[str, Any], ...] = ()
    """What further models said of it: ``model``, and the answer under the key of its task, placed on the whole frame."""


class ClassDocument(Part):
    """One class and its score."""

    label: str
    score: float


class AnomalyDocument(Part):
    """How unlike the normal state, and from where on that counts."""

    score: float
    threshold: float
    is_anomaly: bool


class KeypointDocument(Part):
    """One point of a pose; ``x`` and ``y`` are fractions of the original frame."""

    label: str
    score: float
    x: Fraction
    y: Fraction


class ValueDocument(Part):
    """One number of a regression model, in the unit that it was trained on."""

    label: str
    value: float


class SegmentDocument(Part):
    """Where one class lies on a mask."""

    label: str
    share: float = Field(ge=0, le=1)
    """The part of the mask's pixels that are of the class."""
    runs: tuple[int, ...]
    """Pixels row by row from the top left: first how many are not of the class, then how many are, then how many are not and so
    on. Those after the last run are not of it."""


class MaskDocument(Part):
    """A class for every pixel, largest class first; what belongs to none of the segments is background.

    The mask has the model's own resolution, not the frame's. When its run lengths are more than 12,000 numbers, only every second pixel of
    every second row is told, or every third and so on, until they are no more, so that the document stays below 128 KiB.
    """

    width: int = Field(ge=1)
    height: int = Field(ge=1)
    box: tuple[Fraction, Fraction, Fraction, Fraction]
    """The part of the original frame that the mask covers: x1, y1, x2, y2 as fractions."""
    segments: tuple[SegmentDocument, ...]


class Seen(Captured):
    """What results and events share: the frame, the model, and the answer under the key of its task."""

    pipeline: str
    frame: int = Field(ge=0)
    source_s: float | None = None
    """The source's own time in seconds: what rules run on."""
    status: Status
    model: ModelDocument
    detections: tuple[DetectionDocument, ...] | None = None
    classes: tuple[ClassDocument, ...] | None = None
    anomaly: AnomalyDocument | None = None
    keypoints: tuple[KeypointDocument, ...] | None = None
    values: tuple[ValueDocument, ...] | None = None
    mask: MaskDocument | None = None


class ResultDocument(Seen):
    """``out/result/<pipeline>``. ``unknown`` comes with a ``reason``: a failure is never an empty list."""

    schema_: Literal["edged.result/1"] = Field(alias="schema")
    latency_ms: LatencyDocument
    reason: str | None = None


class Happened(Seen):
    """What a rule says: ``since`` and ``until`` are when it was seen first and last."""

    rule: str
    phase: Phase
    since: str = Field(pattern=RFC3339)
    until: str = Field(pattern=RFC3339)
    duration_s: float


class EventDocument(Happened):
    """``out/event/<pipeline>``. ``since`` and ``until`` are when it was seen first and last.

    ``duration_s`` is the source's own time between. ``frame`` and what was seen are those of the first sight for
    ``start``, of the last one otherwise.
    """

    schema_: Literal["edged.event/1"] = Field(alias="schema")


class ActionDocument(Happened):
    """``out/action/<action>``: an event, by the name of an ``[[action]]`` of kind ``publish``."""

    schema_: Literal["edged.action/1"] = Field(alias="schema")
    action: str


class SnapshotDocument(Captured):
    """``out/event/<pipeline>``, beside the event of the same ``rule`` and ``since``: what the frame showed when it started."""

    schema_: Literal["edged.snapshot/1"] = Field(alias="schema")
    pipeline: str
    rule: str
    since: str = Field(pattern=RFC3339)
    frame: int = Field(ge=0)
    width: int = Field(gt=0)
    """Of the picture as it is sent, which may be smaller than the frame."""
    height: int = Field(gt=0)
    jpeg: str
    """The picture with what was found drawn into it, JPEG in base64."""
