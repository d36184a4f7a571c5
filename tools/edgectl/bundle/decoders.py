"""Which decoder a file's outputs are made for: told by their shapes, and held against the decoders themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgectl.bundle.facts import Facts
from edged.domain.bundle import ImageInput, OutputSpec, Task, WindowInput
from edged.domain.errors import BundleError
from edged.domain.tensor import TensorSpec
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.binding import Binding

STRIDES = (8, 16, 32)
"""Of the grids of the YOLO family."""
ANCHORS = 3
"""YOLOv5 gives so many predictions a cell."""
FASTEST_STRIDE = 16
MOST_POINTS = 150
"""Whole-body pose models have 133 keypoints."""
PROBABILITIES = frozenset({"Softmax", "Sigmoid", "SOFTMAX", "LOGISTIC"})


@dataclass(frozen=True, slots=True)
class Row:
    """A decoder, its task, and a look at the outputs that gives the reason to choose it, or nothing."""

    decoder: str
    task: Task
    look: Callable[[Facts, ImageInput | WindowInput], str]


@dataclass(frozen=True, slots=True)
class Found:
    """A decoder that fits. ``is_sure`` is false where another would fit as well and only the user can tell."""

    decoder: str
    task: Task
    why: str
    is_sure: bool = True


def find(facts: Facts, model_input: ImageInput | WindowInput) -> Found | None:
    """Give the first decoder whose look and whose own binding accept the file; None where none does."""
    for row in ROWS:
        why = row.look(facts, model_input)
        if why and binds(facts, model_input, OutputSpec(decoder=row.decoder, **_NEEDED.get(row.decoder, {}))):
            return Found(row.decoder, row.task, why, is_sure=row.decoder not in _UNSURE)
    return None


def binds(facts: Facts, model_input: ImageInput | WindowInput, output: OutputSpec, labels: Sequence[str] = ()) -> bool:
    """Tell whether a decoder takes these outputs and names."""
    try:
        registry.bind(Binding(output, model_input, facts.inputs, facts.outputs, tuple(labels)))
    except BundleError:
        return False
    return True


def activation(facts: Facts, decoder: str) -> tuple[str, str] | None:
    """Give what turns a classifier's scores into 0..1, and why; None where the file does it itself or it does not matter."""
    if decoder != "classification" or PROBABILITIES & set(facts.inside.last):
        return None
    spec = facts.outputs[0]
    top = spec.quantization.scale * 255 if spec.quantization else math.inf
    if PROBABILITIES & facts.inside.operators.keys() or top <= 1.0:
        return None
    return "softmax", "the file has no softmax, so that its scores are not 0..1 yet"


def _core(spec: TensorSpec) -> tuple[int, ...]:
    return spec.shape[1:] if len(spec.shape) > 1 and spec.shape[0] in {1, -1} else spec.shape


def _single(facts: Facts) -> tuple[int, ...]:
    return _core(facts.outputs[0]) if len(facts.outputs) == 1 else ()


def _cells(model_input: ImageInput | WindowInput) -> int:
    if not isinstance(model_input, ImageInput):
        return 0
    return sum((model_input.height // stride) * (model_input.width // stride) for stride in STRIDES)


def _rows(core: tuple[int, ...], count: int) -> bool:
    return len(core) == len("NC") and core[0] == count > 0


def _ssd(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    del model_input
    return "four outputs of a detection post-processing operator" if len(facts.outputs) == len("bcsn") else ""


def _keypoints(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    core = _single(facts)
    fits = isinstance(model_input, ImageInput) and len(core) >= len("NC") and core[-1] == len("yxs")
    return f"{core[-2]} rows of y, x and score" if fits and 1 < core[-2] <= MOST_POINTS else ""


def _yolox(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    core, cells = _single(facts), _cells(model_input)
    if len(facts.outputs) == len("boc") and all(len(one.shape) >= len("NC") for one in facts.outputs):
        return "boxes, objectness and classes in three outputs"
    return f"one row of {core[1]} for each of the {cells} cells of the grids" if _rows(core, cells) else ""


def _yolov8(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    core, cells = _single(facts), _cells(model_input)
    fits = len(core) == len("CN") and core[1] == cells and cells
    return f"one column of {core[0]} for each of the {cells} cells of the grids" if fits else ""


def _yolov5(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    core, count = _single(facts), ANCHORS * _cells(model_input)
    return f"one row of {core[1]} for each of {ANCHORS} anchors of every cell" if _rows(core, count) else ""


def _boxes(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    if not isinstance(model_input, ImageInput) or len(facts.outputs) != len("sb"):
        return ""
    one, other = (_core(spec) for spec in facts.outputs)
    return f"{one[0]} rows of scores and of boxes in two outputs" if len(one) == len(other) == len("NC") else ""


def _fastestdet(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    core = _single(facts)
    if not isinstance(model_input, ImageInput) or len(core) != len("CHW"):
        return ""
    grid = (model_input.height // FASTEST_STRIDE, model_input.width // FASTEST_STRIDE)
    return (
        f"{core[0]} numbers for each cell of {FASTEST_STRIDE} pixels"
        if core[1:] == grid and core[0] > len("xywho")
        else ""
    )


def _segmentation(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    core = _single(facts)
    fits = isinstance(model_input, ImageInput) and len(core) in {len("HW"), len("HWC")} and min(core[:2]) > 1
    return f"a map of {'x'.join(map(str, core))}" if fits else ""


def _reconstruction(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    core, given = _single(facts), _core(facts.inputs[0])
    fits = isinstance(model_input, WindowInput) and math.prod(core) == math.prod(given) > 1
    return f"the output has the input's {math.prod(given)} numbers" if fits else ""


def _classification(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    core = _single(facts)
    count = math.prod(core) if core else 0
    if count <= 1 or max(core) != count:
        return ""
    if PROBABILITIES & set(facts.inside.last) or isinstance(model_input, ImageInput):
        return f"one score for each of {count} classes"
    return ""


def _regression(facts: Facts, model_input: ImageInput | WindowInput) -> str:
    del model_input
    return f"{sum(math.prod(_core(spec)) for spec in facts.outputs)} plain numbers"


ROWS = (
    Row("ssd", "detection", _ssd),
    Row("keypoints", "keypoints", _keypoints),
    Row("yolox", "detection", _yolox),
    Row("yolov8", "detection", _yolov8),
    Row("yolov5", "detection", _yolov5),
    Row("boxes", "detection", _boxes),
    Row("fastestdet", "detection", _fastestdet),
    Row("segmentation", "segmentation", _segmentation),
    Row("reconstruction", "anomaly", _reconstruction),
    Row("classification", "classification", _classification),
    Row("regression", "regression", _regression),
)
"""In the order of how much a shape tells."""
_NEEDED: dict[str, dict[str, float]] = {"reconstruction": {"threshold": 0.0}}
"""What a decoder does not bind without; its true value is the user's to give."""
_UNSURE = frozenset({"regression", "segmentation"})
