"""Accuracy against latency against size, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgectl.bundle.work import Row

COLORS = {"fp32": "#555555", "fp16": "#1f77b4", "dynamic": "#ff7f0e", "int8": "#2ca02c"}
LARGEST = 1200
"""Area of the largest file's circle, in points squared."""
IN_LEGEND = 40
MARGIN = 0.2
"""Of the height that the points take, above and below them; and the least height, where all agree."""
MARKERS = {"tflite": "o", "onnx": "s"}
OTHER = "#9467bd"
REFUSED = frozenset({"faulty", "refused"})


def write_plot(rows: Sequence[Row], title: str, file: Path) -> None:
    """Write a PNG: latency across, accuracy (or agreement with the reference) up, size as the mark's area; refused ones hollow."""
    # Imported here: it takes half a second, and only a plot needs it; without pyplot, which would want a display.
    from matplotlib.collections import PathCollection  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    shown = [row for row in rows if row.verdict.parity]
    scored = all(row.verdict.score for row in shown)
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    largest = max((row.verdict.size_bytes for row in shown), default=1)
    values = [_value(row, scored=scored) for row in shown]
    # The largest first, so that no circle hides another.
    for row, value in sorted(zip(shown, values, strict=True), key=lambda pair: -pair[0].verdict.size_bytes):
        color = COLORS.get(row.precision, OTHER)
        axes.scatter(
            [row.verdict.latency_ms],
            [value],
            s=LARGEST * row.verdict.size_bytes / largest,
            marker=MARKERS.get(row.runtime, "D"),
            facecolors="none" if row.state in REFUSED else color,
            edgecolors=color,
            alpha=0.7,
            label=f"{row.id}: {row.verdict.latency_ms:.2f} ms, {row.verdict.size_bytes / 1e3:.0f} kB",
        )
    metric = (
        shown[0].verdict.score.metric
        if scored and shown and shown[0].verdict.score
        else "agreement with the float file"
    )
    axes.set(xlabel="latency, ms (median, 1 thread)", ylabel=metric, title=title)
    axes.margins(x=0.15)
    lowest = min(values, default=0.0)
    axes.set_ylim(lowest - MARGIN * max(1 - lowest, MARGIN), 1 + MARGIN * max(1 - lowest, MARGIN))
    legend = figure.legend(loc="outside right upper", fontsize=8)
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([IN_LEGEND])
    axes.grid(visible=True, alpha=0.3)
    # No date and no version inside: the same figures give the same picture.
    figure.savefig(file, metadata={"Software": None})


def _value(row: Row, *, scored: bool) -> float:
    """Give the accuracy where all have one, otherwise the agreement with the float file."""
    found = row.verdict
    if scored and found.score:
        return found.score.value
    return found.parity.agreement if found.parity else 0.0
