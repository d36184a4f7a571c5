"""What a pipeline says about one frame, and what a rule says about many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeVar

from edged.domain.frame import Stamp

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 as fractions of the original frame, 0..1."""


@dataclass(frozen=True, slots=True)
class Detection:
    """One object in a picture; ``box`` is x1, y1, x2, y2 as fractions of the original frame.

    ``track`` numbers the object from frame to frame where a pipeline follows its detections (pipeline.track), otherwise None.
    ``then`` holds what further models said of what the box shows (pipeline.cascade).
    """

    label: str
    score: float
    box: Box
    track: int | None = None
    then: tuple[Further, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class and how sure the model is of it, 0..1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Anomaly:
    """How unlike the normal state a window is, and from where on that counts as an anomaly."""

    score: float
    threshold: float

    @property
    def is_anomaly(self) -> bool:
        """Whether the score is above its threshold."""
        return self.score > self.threshold


@dataclass(frozen=True, slots=True)
class Detections:
    """A detector's answer, best first; empty means that it looked and found nothing."""

    items: tuple[Detection, ...]


@dataclass(frozen=True, slots=True)
class Classes:
    """A classifier's answer, best first."""

    items: tuple[ClassScore, ...]


@dataclass(frozen=True, slots=True)
class Keypoint:
    """One named point of a pose; ``x`` and ``y`` are fractions of the original frame, 0..1."""

    label: str
    score: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Keypoints:
    """A pose model's answer: the points of one body that it is sure enough of, in the model's order."""

    items: tuple[Keypoint, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """One number that a regression model gives, in the unit that it was trained on."""

    label: str
    value: float


@dataclass(frozen=True, slots=True)
class Values:
    """A regression model's answer, in the model's order."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """Where one class lies on a mask, as run lengths.

    ``runs`` counts pixels row by row from the top left: first how many are not of the class, then how many are, then how many are not
    and so on. Pixels after the last run are not of the class. ``share`` is the part of the mask's pixels that are of it, 0..1.
    """

    label: str
    share: float
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Mask:
    """A segmentation model's answer: a class for every pixel of a picture of ``width`` by ``height``.

    The picture is the model's own, or every n-th pixel of it, not the frame's; it covers ``box`` of the frame. ``items`` holds the classes
    that were seen, the largest first; what belongs to none of them is background.
    """

    width: int
    height: int
    box: Box
    items: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Further:
    """What the model called ``model`` said of a part of the frame; boxes and points in ``output`` are fractions of the whole frame."""

    model: str
    output: Output


Output = Detections | Classes | Anomaly | Keypoints | Values | Mask
"""What a decoder makes of a model's tensors."""
_Row = TypeVar("_Row")


def by_kind(
    *, detections: _Row, classes: _Row, anomaly: _Row, keypoints: _Row, values: _Row, mask: _Row
) -> Mapping[type[Output], _Row]:
    """Give a table with a row for each kind of output: no table of them can lack one."""
    return MappingProxyType(
        {
            Detections: detections,
            Classes: classes,
            Anomaly: anomaly,
            Keypoints: keypoints,
            Values: values,
            Mask: mask,
        }
    )


Status = Literal["ok", "suspect", "unknown"]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which file on which runtime gave a result. ``digest`` is ``sha256:…`` of the variant's file."""

    name: str
    version: str
    variant: str
    digest: str
    runtime: str
    accelerator: str


@dataclass(frozen=True, slots=True)
class Latency:
    """Where a frame's time went, in milliseconds; ``age_ms`` is capture to the start of preprocessing."""

    age_ms: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float


@dataclass(frozen=True, slots=True)
class Result:
    """One frame's answer. A failure is ``unknown`` with a ``reason``, never an empty output."""

    pipeline: str
    stamp: Stamp
    model: ModelRef
    status: Status
    latency: Latency
    output: Output | None
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse a result that is silent about a failure."""
        if (self.status == "unknown") != (self.output is None):
            message = f"cannot build a result of status {self.status!r} with output {self.output!r}"
            raise ValueError(message)
        if self.status == "unknown" and not self.reason:
            message = "cannot build an unknown result without a reason"
            raise ValueError(message)


Phase = Literal["start", "ongoing", "end"]


@dataclass(frozen=True, slots=True)
class Event:
    """A rule's word: something began, goes on, or ended.

    ``since`` and ``until`` are the stamps of the first and the last frame that showed it; ``result`` is what it looked like: for
    ``start`` the first frame's, otherwise the last one's.
    """

    pipeline: str
    rule: str
    phase: Phase
    since: Stamp
    until: Stamp
    result: Result
