"""SSD with the post-processing operator inside the file: boxes, classes, scores and a count come out ready.

The operator's own order is boxes, classes, scores, count; files of TensorFlow 2 often give them as scores, boxes,
count, classes. So the tensors are told apart by what the file says of them, then by name, then by shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edged.domain.errors import EngineLostError
from edged.pipeline.postprocess.binding import Binding, describe, require_finite
from edged.pipeline.postprocess.detections import detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.domain.frame import Frame
    from edged.domain.result import Detections
    from edged.domain.tensor import Array, TensorSpec

ROLES = ("boxes", "classes", "scores", "count")
WORDS = {
    "boxes": ("boxes", "location"),
    "classes": ("classes", "class", "category"),
    "scores": ("scores", "score"),
    "count": ("num", "count"),
}
"""Parts of the names that the field's exporters give these outputs."""
ORDERS = (("boxes", "classes", "scores", "count"), ("scores", "boxes", "count", "classes"))
"""TensorFlow 1's and TensorFlow 2's order, for files whose tensors have meaningless names."""
WANTED = "boxes 1 x N x 4, classes 1 x N, scores 1 x N and a count"


@dataclass(frozen=True, slots=True)
class Places:
    """Where in the engine's outputs each part stands."""

    boxes: int
    classes: int
    scores: int
    count: int


def bind(binding: Binding) -> SsdDecoder:
    """Bind to the operator's four outputs, whatever their order.

    Raises:
        BundleError: The outputs are not those of the operator.
    """
    binding.only_keys("min_score", "max_items")
    binding.image()
    roles = _roles(binding)
    return SsdDecoder(binding, Places(**{role: roles.index(role) for role in ROLES}))


def _roles(binding: Binding) -> tuple[str, ...]:
    outputs = binding.outputs
    if len(outputs) != len(ROLES):
        raise binding.refuse(describe(outputs), WANTED)
    told = (tuple(spec.meaning for spec in outputs), tuple(_by_name(spec.name) for spec in outputs))
    for roles in (*told, *ORDERS):
        if sorted(roles) == sorted(ROLES) and all(_has_shape(*pair) for pair in zip(outputs, roles, strict=True)):
            return roles
    raise binding.refuse(describe(outputs), WANTED)


def _by_name(name: str) -> str:
    lowered = name.lower()
    # "num_detections" and "detection_scores" both hold "detection": only telling words are looked for.
    found = [role for role, words in WORDS.items() if any(word in lowered for word in words)]
    return found[0] if len(found) == 1 else ""


def _has_shape(spec: TensorSpec, role: str) -> bool:
    shape = spec.shape[1:] if len(spec.shape) > 1 and spec.shape[0] in {1, -1} else spec.shape
    if role == "boxes":
        return len(shape) == len("NC") and shape[-1] == len(("y1", "x1", "y2", "x2"))
    if role == "count":
        return shape in {(1,), (-1,), ()}
    return len(shape) == 1


class SsdDecoder:
    """Cuts to the count and the minimum score, and maps the boxes to the frame."""

    def __init__(self, binding: Binding, places: Places) -> None:
        self._image = binding.image()
        self._specs = binding.outputs
        self._names = binding.labels
        self._min_score = binding.output.min_score
        self._most = binding.output.max_items
        self._places = places

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Detections:
        """Give what was found, best first."""
        del inputs
        at = self._places
        scores = self._real(outputs, at.scores).reshape(-1)
        count = self._real(outputs, at.count).reshape(-1)
        boxes = self._real(outputs, at.boxes).reshape(-1, 4)
        classes = self._real(outputs, at.classes).reshape(-1)
        found = int(count[0])
        if not 0 <= found <= scores.size:
            message = (
                f"cannot decode {self._specs[at.count].name!r}: it counts {found} objects, expected 0 to {scores.size}"
            )
            raise EngineLostError(message)
        kept = (scores[:found] >= self._min_score).nonzero()[0]
        kept = kept[np.argsort(-scores[kept], kind="stable")][: self._most]
        scale = np.array((self._image.width, self._image.height) * 2, np.float32)
        # The operator gives y1, x1, y2, x2 as fractions of the model's picture.
        pixels = boxes[kept][:, (1, 0, 3, 2)] * scale
        return detections(pixels, scores[kept], classes[kept].astype(np.intp), self._names, self._image, frame)

    def _real(self, outputs: Sequence[Array], place: int) -> Array:
        values = self._specs[place].real(outputs[place])
        require_finite(values, self._specs[place].name)
        return values
