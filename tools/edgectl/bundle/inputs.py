"""What a file's input tells of the pictures or windows that it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edgectl.bundle.facts import Facts

CHANNELS = frozenset({1, 3})
"""Of pictures."""
RANGES = {
    (0.0, 255.0): (0.0, 1.0, "0..255"),
    (0.0, 1.0): (0.0, 255.0, "0..1"),
    (-1.0, 1.0): (127.5, 127.5, "-1..1"),
}
"""What a quantised input's smallest and largest real value say of the normalisation: mean and standard deviation of bytes."""
INT8_MIN = -128
SLACK = 0.02
"""Of a range's width: 1/128 as scale with a zero point of 128 gives -1..0.992."""
HABITS: dict[str, dict[str, Any]] = {
    "yolox": {"color": "bgr", "fit": "letterbox", "mean": (0.0,), "std": (1.0,)},
    "yolov5": {"color": "rgb", "fit": "letterbox", "mean": (0.0,), "std": (255.0,)},
    "yolov8": {"color": "rgb", "fit": "letterbox", "mean": (0.0,), "std": (255.0,)},
    "fastestdet": {"color": "bgr", "fit": "stretch", "mean": (0.0,), "std": (255.0,)},
}
"""How the published networks of a decoder are trained."""
USUAL: dict[str, Any] = {"color": "rgb", "fit": "stretch", "mean": (127.5,), "std": (127.5,)}


@dataclass(frozen=True, slots=True)
class Guess:
    """A value and why; ``is_sure`` where the file itself says so."""

    value: Any
    why: str
    is_sure: bool


def kind(facts: Facts) -> Guess:
    """Tell pictures from windows, by the axes."""
    shape = facts.inputs[0].shape
    if len(shape) == len("NHWC") and {shape[1], shape[3]} & CHANNELS:
        return Guess("image", f"the input is {_words(shape)}", is_sure=True)
    return Guess("window", f"the input is {_words(shape)}", is_sure=True)


def image(facts: Facts) -> dict[str, Guess]:
    """Give layout, width, height and colour of a picture, and its normalisation where the file tells it."""
    shape = facts.inputs[0].shape
    first = shape[1] in CHANNELS and shape[3] not in CHANNELS
    channels, (height, width) = (shape[1], shape[2:]) if first else (shape[3], shape[1:3])
    why = f"the input is {_words(shape)}"
    found = {"layout": Guess("nchw" if first else "nhwc", why, is_sure=True)}
    for name, size in (("width", width), ("height", height)):
        if size > 0:
            found[name] = Guess(size, why, is_sure=True)
    written = facts.inside.written
    if channels == 1:
        found["color"] = Guess("grey", f"{why}: one channel", is_sure=True)
    elif written.color:
        found["color"] = Guess(written.color, "the file's metadata", is_sure=True)
    return {**found, **normalisation(facts)}


def normalisation(facts: Facts) -> dict[str, Guess]:
    """Give mean and standard deviation: from the metadata, or from the range that a quantised input can hold."""
    written, spec = facts.inside.written, facts.inputs[0]
    if written.mean and written.std and len(written.mean) == len(written.std):
        why = "the file's metadata"
        return {"mean": Guess(written.mean, why, is_sure=True), "std": Guess(written.std, why, is_sure=True)}
    if spec.quantization is None:
        if spec.dtype != "uint8":
            return {}
        why = "the input takes bytes as they are"
        return {"mean": Guess((0.0,), why, is_sure=True), "std": Guess((1.0,), why, is_sure=True)}
    if spec.dtype == "uint8":
        # Converters and Coral's own models mean a picture's bytes by an input of bytes; these two numbers let them pass unchanged.
        mean, std = float(spec.quantization.zero_point), round(1 / spec.quantization.scale, 4)
        why = "the input takes bytes as they are"
        return {"mean": Guess((mean,), why, is_sure=True), "std": Guess((std,), why, is_sure=True)}
    low = spec.quantization.scale * (INT8_MIN - spec.quantization.zero_point)
    width = spec.quantization.scale * 255
    for (wanted_low, wanted_high), (mean, std, words) in RANGES.items():
        slack = SLACK * (wanted_high - wanted_low)
        if abs(low - wanted_low) <= slack and abs(low + width - wanted_high) <= slack:
            why = f"the quantised input holds {words}"
            return {"mean": Guess((mean,), why, is_sure=True), "std": Guess((std,), why, is_sure=True)}
    return {}


def habits(decoder: str) -> dict[str, Guess]:
    """Give what is usual for pictures of a decoder's networks: to be asked, or said as assumed."""
    usual = {**USUAL, **HABITS.get(decoder, {})}
    return {name: Guess(value, f"usual for {decoder}", is_sure=False) for name, value in usual.items()}


def window(facts: Facts, channels: int | None) -> dict[str, Guess]:
    """Give layout, length and channels of a window. A flat one does not tell its channels: 1 is assumed."""
    shape = facts.inputs[0].shape
    core = shape[1:] if len(shape) > 1 and shape[0] in {1, -1} else shape
    why = f"the input is {_words(shape)}"
    if len(core) == len("LC"):
        first = core[0] < core[1]
        length, count = (core[1], core[0]) if first else core
        return {
            "layout": Guess("nchw" if first else "flat", why, is_sure=False),
            "length": Guess(length, why, is_sure=False),
            "channels": Guess(count, why, is_sure=False),
        }
    total, count = math.prod(core), channels or 1
    return {
        "layout": Guess("flat", why, is_sure=True),
        "channels": Guess(count, f"{why}, and does not tell", is_sure=False),
        "length": Guess(max(total // count, 1), f"{why}, {count} channels", is_sure=channels is not None),
    }


def _words(shape: tuple[int, ...]) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape)
