"""What was seen of a camera, for people: figures, faults with what mends them, and a small picture of half blocks."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
from rich.text import Text

from edgectl.camera.look import REMEDIES, Seen
from edgectl.camera.sees import View
from edged.domain.tensor import Array

PREVIEW_COLUMNS, PREVIEW_ROWS = 64, 18
"""Small enough to stand on a screen of 24 rows with a few figures."""
UPPER_HALF = "▀"


def report(shown: str, seen: Seen, opened_ms: float) -> Text:
    """Write the figures, a line each."""
    text = Text(f"{shown}\n", "bold")
    for name, value in _figures(seen, opened_ms):
        text.append(f"  {name:<10}", "dim")
        text.append(f"{value}\n", "default")
    for word in seen.words:
        text.append(f"  {word}", "bold red").append(f": {REMEDIES[word]}\n", "default")
    if seen.lost:
        text.append(f"  {seen.lost}\n", "red")
    return text


def view_line(view: View) -> Text:
    """Say what a model gets, on one line."""
    told = view.told()
    low, high = told["range"]
    real_low, real_high = told["real_range"]
    shape = "x".join(map(str, told["shape"]))
    text = Text(f"{view.model} {view.variant.id} ", "bold")
    text.append(f"sees {shape} {told['dtype']} ({told['layout']}, {told['color']}, {told['fit']}), ", "default")
    return text.append(f"{low:g}..{high:g}, real {real_low:g}..{real_high:g}, mean {told['mean']:g}", "default")


def preview(picture: Array, columns: int = PREVIEW_COLUMNS, rows: int = PREVIEW_ROWS) -> Text:
    """Draw (H, W, 3) uint8 BGR in half blocks: two points a cell, one above the other."""
    height, width = picture.shape[:2]
    factor = min(columns / width, 2 * rows / height)
    size = max(1, round(width * factor)), max(1, round(height * factor / 2)) * 2
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)[..., ::-1]
    text = Text(no_wrap=True)
    for above, below in zip(small[::2], small[1::2], strict=True):
        for upper, lower in zip(above.tolist(), below.tolist(), strict=True):
            text.append(UPPER_HALF, f"{_rgb(upper)} on {_rgb(lower)}")
        text.append("\n")
    return text


def _figures(seen: Seen, opened_ms: float) -> Iterator[tuple[str, str]]:
    paced = seen.timing
    yield "opened", f"first picture after {opened_ms:.0f} ms"
    if seen.picture is not None:
        height, width = seen.picture.shape[:2]
        yield "size", f"{width}x{height}"
    if paced.rate_hz is not None:
        yield "rate", f"{paced.rate_hz:.1f} pictures a second, {paced.count} in {paced.seconds:.1f} s"
    if paced.jitter_ms is not None:
        gaps = f"; {paced.gaps} gaps, the longest {paced.longest_gap_ms:.0f} ms" if paced.gaps else "; no gap"
        yield "jitter", f"{paced.jitter_ms:.1f} ms for 95 of 100{gaps}"
    if seen.age_p50_ms is not None:
        yield "age", f"{seen.age_p50_ms:.0f} ms when it is here, 95 of 100 within {seen.age_p95_ms:.0f} ms"
    dropped = ", ".join(f"{count} {cause}" for cause, count in seen.drops.items())
    yield "dropped", dropped or "none"
    if seen.traits:
        yield "picture", ", ".join(f"{name} {value:g}" for name, value in seen.traits.items())


def _rgb(pixel: list[int]) -> str:
    return f"rgb({pixel[0]},{pixel[1]},{pixel[2]})"
