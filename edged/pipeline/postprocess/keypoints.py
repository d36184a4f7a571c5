"""Keypoints of one body: a row of y, x and score for each point, as MoveNet's single-pose models give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.domain.result import Keypoint, Keypoints
from edged.pipeline.geometry import place
from edged.pipeline.postprocess.binding import Binding, describe, require_finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edged.domain.frame import Frame
    from edged.domain.tensor import Array

COCO = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
"""The seventeen points of COCO's keypoint task, in its order: what a pose model without labels gives."""
ROW = ("y", "x", "score")
WANTED = "one output of 1 x 1 x points x 3 (y, x, score as fractions of the picture)"


def bind(binding: Binding) -> KeypointDecoder:
    """Bind to the one output of points.

    Raises:
        BundleError: There is no such output, or the labels are not as many as its points.
    """
    binding.only_keys("min_score")
    binding.image()
    if len(binding.outputs) != 1:
        raise binding.refuse(describe(binding.outputs), WANTED)
    shape = binding.outputs[0].shape
    if (
        len(shape) < len("NC")
        or shape[-1] != len(ROW)
        or shape[-2] < 1
        or any(size not in {1, -1} for size in shape[:-2])
    ):
        raise binding.refuse(describe(binding.outputs), WANTED)
    unnamed = not binding.labels and shape[-2] == len(COCO)
    return KeypointDecoder(binding, COCO if unnamed else binding.names(shape[-2]))


class KeypointDecoder:
    """Keeps the points that are sure enough and lie on the frame, and maps them there."""

    def __init__(self, binding: Binding, names: tuple[str, ...]) -> None:
        self._image = binding.image()
        self._spec = binding.outputs[0]
        self._names = names
        self._min_score = binding.output.min_score

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Keypoints:
        """Give the points of at least ``min_score``, in the model's order."""
        del inputs
        rows = self._spec.real(outputs[0]).reshape(-1, len(ROW))
        require_finite(rows, self._spec.name)
        size = np.array((self._image.width, self._image.height), np.float32)
        pixels = rows[:, 1::-1] * size
        # A point is a box without extent, so that one mapping serves both.
        places = place(self._image, frame.data.shape).fractions(np.tile(pixels, 2))
        found = zip(self._names, rows[:, 2].tolist(), places[:, :2].tolist(), strict=True)
        return Keypoints(tuple(Keypoint(name, score, *at) for name, score, at in found if score >= self._min_score))
