"""Segmentation: a class for every pixel, from a map of class numbers or from scores of every class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edged.domain.result import Mask, Segment
from edged.pipeline.geometry import place
from edged.pipeline.postprocess import runs
from edged.pipeline.postprocess.binding import Binding, describe, require_finite
from edged.pipeline.postprocess.classification import ACTIVATIONS
from edged.pipeline.postprocess.detections import class_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edged.domain.bundle import ImageInput
    from edged.domain.frame import Frame
    from edged.domain.result import Box
    from edged.domain.tensor import Array, TensorSpec

BACKGROUND = "background"
"""A class of this name is not told: it is what no other class covers."""
NO_CLASS = -1
MAX_NUMBERS = 12_000
"""Of run lengths in one answer. At eight characters each, comma included, they take 96 KB of a document's 128 KiB."""
WANTED = "one output: class numbers 1 x height x width, or scores 1 x height x width x classes (or classes first)"


def bind(binding: Binding) -> SegmentationDecoder:
    """Bind to the one output that holds the map.

    A map of integers without quantisation holds class numbers. Anything else holds scores, of which the highest wins; a single score
    a pixel tells one class from the rest by ``min_score``.

    Raises:
        BundleError: There is no such output, or the labels do not fit its number of classes.
    """
    image = binding.image()
    if len(binding.outputs) != 1:
        raise binding.refuse(describe(binding.outputs), WANTED)
    spec = binding.outputs[0]
    core = spec.shape[1:] if len(spec.shape) > len("HW") and spec.shape[0] in {1, -1} else spec.shape
    if np.dtype(spec.dtype).kind in "iu" and spec.quantization is None and _is_flat(core):
        binding.only_keys("max_items")
        return SegmentationDecoder(binding, image, _squeezed)
    if len(core) != len("HWC"):
        raise binding.refuse(describe(binding.outputs), WANTED)
    if 1 in {core[0], core[-1]}:
        binding.only_keys("max_items", "min_score", "activation")
        binding.names(1)
        return SegmentationDecoder(binding, image, _threshold(binding, spec))
    binding.only_keys("max_items")
    axis = _class_axis(core, binding)
    binding.names(core[axis])
    return SegmentationDecoder(binding, image, lambda tensor: _highest(tensor.reshape(tensor.shape[-3:]), axis))


def _is_flat(core: tuple[int, ...]) -> bool:
    return len(core) == len("HW") or (len(core) == len("HWC") and 1 in {core[0], core[-1]})


def _class_axis(core: tuple[int, ...], binding: Binding) -> int:
    """Tell classes-first from classes-last: by the number of labels, otherwise classes are fewer than rows or columns."""
    fitting = [axis for axis in (0, 2) if core[axis] == len(binding.labels)]
    return fitting[0] if len(fitting) == 1 else (0 if core[0] < core[2] else 2)


def _squeezed(tensor: Array) -> Array:
    flat = [size for size in tensor.shape if size != 1]
    return tensor.reshape(flat if len(flat) == len("HW") else tensor.shape[1:3])


def _highest(scores: Array, axis: int) -> Array:
    # The stored integers of a quantised tensor are in the same order as the real values.
    return np.asarray(scores.argmax(axis=axis))


def _threshold(binding: Binding, spec: TensorSpec) -> Callable[[Array], Array]:
    activate = ACTIVATIONS.get(binding.output.activation)
    min_score = binding.output.min_score

    def classes(tensor: Array) -> Array:
        scores = spec.real(_squeezed(tensor))
        return np.where((activate(scores) if activate else scores) >= min_score, 0, NO_CLASS)

    return classes


class SegmentationDecoder:
    """Cuts off what lies beside the frame, thins the map to what a document may hold, and writes run lengths."""

    def __init__(self, binding: Binding, image: ImageInput, classes: Callable[[Array], Array]) -> None:
        self._spec = binding.outputs[0]
        self._names = binding.labels
        self._most = binding.output.max_items
        self._image = image
        self._classes = classes

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Mask:
        """Give where each class lies, the largest first."""
        del inputs
        require_finite(outputs[0], self._spec.name)
        classes, box = _on_the_frame(self._classes(outputs[0]), self._image, frame)
        classes = thinned(classes)
        height, width = classes.shape
        found = [
            Segment(class_name(self._names, number), size / classes.size, lengths)
            for number, size, lengths in runs.encode(classes)
            if number != NO_CLASS
        ]
        told = tuple(segment for segment in found if segment.label != BACKGROUND)
        return Mask(width, height, box, told[: self._most])


def _on_the_frame(classes: Array, image: ImageInput, frame: Frame) -> tuple[Array, Box]:
    """Cut off the letterbox's border; give what is left, and which part of the frame it covers."""
    at = place(image, frame.data.shape)
    height, width = classes.shape
    # The map may be coarser than the picture that the model looked at.
    left, right = round(at.x * width / image.width), round((at.x + at.width) * width / image.width)
    top, bottom = round(at.y * height / image.height), round((at.y + at.height) * height / image.height)
    box = (
        at.crop_x / at.frame_width,
        at.crop_y / at.frame_height,
        (at.crop_x + at.crop_width) / at.frame_width,
        (at.crop_y + at.crop_height) / at.frame_height,
    )
    return classes[top : max(bottom, top + 1), left : max(right, left + 1)], box


def thinned(classes: Array) -> Array:
    """Keep every n-th pixel of every n-th row, n as small as ``MAX_NUMBERS`` run lengths allow."""
    step = 1
    kept = classes
    while runs.count(kept) > MAX_NUMBERS:
        step += 1
        kept = classes[::step, ::step]
    return kept
