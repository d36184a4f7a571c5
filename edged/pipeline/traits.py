"""What drift is watched by: a few numbers of a picture or a window, and of what the model said about it.

| feature | of | what it is |
|---|---|---|
| ``input.luma``, ``input.contrast`` | pictures | mean and standard deviation of luma, 0..255 |
| ``input.blur`` | pictures | energy of differences two pixels apart over that one pixel apart: 1 in noise, 4 in a blur without detail |
| ``input.noise`` | pictures | standard deviation of the noise, in levels of luma |
| ``sensor.N.level``, ``.spread``, ``.peak`` | windows | mean, standard deviation and largest distance from the mean of channel N |
| ``output.class`` | classes, objects, masks | the label of the surest or largest one, or ``nothing`` |
| ``output.confidence`` | classes, objects, points | the highest score, where there is one |
| ``output.count`` | objects, points, masks | how many there are |
| ``output.score``, ``output.value.NAME`` | anomalies, values | the number itself |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edged.domain.frame import Frame
from edged.domain.result import Anomaly, Classes, Detections, Keypoints, Mask, Output, Values, by_kind
from edged.domain.tensor import Array

Traits = dict[str, float | str]

NOTHING = "nothing"
GRID = 4
PATCH = 32
"""Blur and noise are seen at full resolution only: in 16 patches of so many pixels a side, which takes 0.1 ms however large the picture."""
POINTS = 48
"""Points a side for luma and contrast."""
LUMA_BGR = np.array([0.114, 0.587, 0.299], np.float32)
"""Rec. ITU-R BT.601."""
NOISE_SCALE = math.sqrt(math.pi / 2) / 6
"""Immerkær, "Fast Noise Variance Estimation", Computer Vision and Image Understanding 64 (1996), equation 3."""
LEAST = 8
"""Pixels a side that a patch needs for its differences."""
MOST_CHANNELS, MOST_VALUES = 6, 8
"""Each feature more makes every limit wider."""
PICTURE_AXES = 3


def traits(frame: Frame, output: Output) -> Traits:
    """Give the features of one frame and its answer; what is not finite is left out."""
    seen = picture_traits(frame.data) if frame.data.ndim == PICTURE_AXES else window_traits(frame.data)
    found = {**seen, **OUTPUTS[type(output)](output)}
    return {name: value for name, value in found.items() if isinstance(value, str) or math.isfinite(value)}


def picture_traits(picture: Array) -> Traits:
    """Give luma, contrast, blur and noise of (H, W, 3) uint8 BGR; about 0.15 ms, whatever its size."""
    height, width = picture.shape[:2]
    points = picture[:: max(1, height // POINTS), :: max(1, width // POINTS)].astype(np.float32) @ LUMA_BGR
    found: Traits = {"input.luma": float(points.mean()), "input.contrast": float(points.std())}
    if min(height, width) >= LEAST:
        found |= _fine(_patches(picture))
    return found


def window_traits(window: Array) -> Traits:
    """Give level, spread and peak of each channel of (length, channels) float32."""
    values = window[:, :MOST_CHANNELS].astype(np.float64)
    level, spread = values.mean(axis=0), values.std(axis=0)
    peak = np.abs(values - level).max(axis=0)
    found: Traits = {}
    for channel in range(values.shape[1]):
        found[f"sensor.{channel}.level"] = float(level[channel])
        found[f"sensor.{channel}.spread"] = float(spread[channel])
        found[f"sensor.{channel}.peak"] = float(peak[channel])
    return found


def _patches(picture: Array) -> Array:
    """Give green patches from all over the picture, (patches, rows, columns) float32; most of luma is green, and it needs no sum."""
    height, width = picture.shape[:2]
    rows, columns = min(PATCH, height), min(PATCH, width)
    tops = np.linspace(0, height - rows, GRID if height > rows else 1).astype(int)
    lefts = np.linspace(0, width - columns, GRID if width > columns else 1).astype(int)
    cut = [picture[top : top + rows, left : left + columns, 1] for top in tops for left in lefts]
    return np.stack(cut).astype(np.float32)


def _fine(patches: Array) -> Traits:
    near = patches[:, :, 1:] - patches[:, :, :-1]
    far = patches[:, :, 2:] - patches[:, :, :-2]
    bend = near[:, :, 1:] - near[:, :, :-1]
    # The Laplacian of equation 1 is the second difference along both axes.
    both = bend[:, 2:] - 2.0 * bend[:, 1:-1] + bend[:, :-2]
    energy = float(np.vdot(near, near)) / near.size
    blur = float(np.vdot(far, far)) / far.size / energy if energy else 4.0
    return {"input.blur": blur, "input.noise": float(np.abs(both).mean()) * NOISE_SCALE}


def _detections(output: Detections) -> Traits:
    found: Traits = {"output.count": float(len(output.items))}
    return found | _surest(output.items)


def _classes(output: Classes) -> Traits:
    return _surest(output.items)


def _surest(items: Any) -> Traits:
    if not items:
        return {"output.class": NOTHING}
    return {"output.class": items[0].label, "output.confidence": float(items[0].score)}


def _anomaly(output: Anomaly) -> Traits:
    return {"output.score": float(output.score)}


def _keypoints(output: Keypoints) -> Traits:
    found: Traits = {"output.count": float(len(output.items))}
    if output.items:
        found["output.confidence"] = float(max(item.score for item in output.items))
    return found


def _values(output: Values) -> Traits:
    return {f"output.value.{item.label}": float(item.value) for item in output.items[:MOST_VALUES]}


def _mask(output: Mask) -> Traits:
    largest = output.items[0].label if output.items else NOTHING
    return {"output.count": float(len(output.items)), "output.class": largest}


OUTPUTS: Mapping[type[Output], Callable[[Any], Traits]] = by_kind(
    detections=_detections, classes=_classes, anomaly=_anomaly, keypoints=_keypoints, values=_values, mask=_mask
)

LEAST_CHANGE: tuple[tuple[str, float], ...] = (
    ("input.luma", 1.0),
    ("input.contrast", 0.5),
    ("input.blur", 0.02),
    ("input.noise", 0.05),
    ("output.confidence", 0.01),
    ("output.count", 0.1),
)
"""A standard deviation below this is taken for this: what hardly varies in the reference may vary a little later. Of others, a
thousandth of the usual value."""


def least_change(name: str, typical: float) -> float:
    """Give the smallest change of a feature that matters; ``typical`` is how large its values are."""
    return dict(LEAST_CHANGE).get(name) or max(1e-3 * abs(typical), 1e-9)
