"""Pictures of a replay: a contact sheet of the inputs on which two disagree, and the scores of a sensor along time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgectl.bench_screen import DPI
from edgectl.replay.compare import Difference, matched
from edged.assembly.clip import Clip
from edged.domain.result import Anomaly, Classes, Detections, Keypoints, Mask, Output, Result, Values
from edged.domain.tensor import Array
from edged.pipeline.postprocess.agree import pixels

AGREED, FIRST, SECOND = "#f2f2f2", "#ff9f1c", "#4cc9f0"
"""What both say, and what one alone says: apart for every kind of sight, on dark ground and on bright."""
A_ROW = 2
"""Disagreements beside each other."""
INCHES = 13.0
CAPTION_INCHES = 0.42
LONGEST_CAPTION = 60
RIGHT = 0.8
"""Of the width: from there on a label stands to the left of its box's right edge, or it would be cut off."""
TOP = 0.06
"""Of the height: above it there is no room for a label, and it stands within its box."""
Answers = Mapping[int, Output | None]
"""By the input's place in the recording."""


def sheet(
    file: Path, clip: Clip, shown: Sequence[Difference], answers: tuple[Answers, Answers], names: tuple[str, str]
) -> None:
    """Draw each input twice, with either's answer: in white what both say, in colour what it alone says.

    Raises OSError or ValueError when the picture cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, for who asks for a picture

    shown = sorted(shown, key=lambda one: one.place)
    frames = [clip.frame(clip.inputs[one.place]).data[:, :, ::-1] for one in shown]
    rows = -(-len(shown) // A_ROW)
    height, width = frames[0].shape[:2]
    each = INCHES / (2 * A_ROW) * height / width + CAPTION_INCHES
    figure = Figure(figsize=(INCHES, rows * each + 0.5), dpi=DPI, layout="constrained")
    places = figure.subplots(rows, 2 * A_ROW, squeeze=False)
    for axes in places.flat:
        axes.set_axis_off()
    for number, (one, frame) in enumerate(zip(shown, frames, strict=True)):
        row, column = divmod(number, A_ROW)
        both = answers[0].get(one.place), answers[1].get(one.place)
        for side in (0, 1):
            axes = places[row, 2 * column + side]
            axes.imshow(frame, interpolation="none")
            axes.set_title(_caption(clip, one, names, side), fontsize=7, loc="left", pad=3)
            _draw(axes, frame.shape[:2], both[side], both[1 - side], (FIRST, SECOND)[side])
    title = f"{clip.manifest['id']}: {names[0]} and {names[1]} disagree; white: both, colour: this one alone"
    figure.suptitle(title, fontsize=9)
    figure.savefig(file)


def scores(file: Path, clip: Clip, ours: Sequence[Result], theirs: Sequence[Result], names: tuple[str, str]) -> None:
    """Draw a sensor's windows along time, and below them what both said. Raises OSError or ValueError when it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=(10, 5.6), dpi=DPI, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.6])
    frames = [clip.frame(row) for row in clip.inputs if row.get("file")]
    begin_s = frames[0].stamp.source_s
    spread = np.array([np.nanstd(frame.data, axis=0) for frame in frames])
    for channel in range(spread.shape[1]):
        times_s = [frame.stamp.source_s - begin_s for frame in frames]
        above.plot(times_s, spread[:, channel], linewidth=0.9, label=f"channel {channel}")
    above.set_ylabel("deviation\nwithin a window")
    is_anomaly = any(isinstance(one.output, Anomaly) for one in ours)
    for results, name, color in ((ours, names[0], "#c05621"), (theirs, names[1], "#2b6cb0")):
        told = [(one.stamp.source_s - begin_s, _number(one.output)) for one in results if one.output is not None]
        if told:
            below.plot(*np.array(told).T, linewidth=1.1, color=color, label=name, marker=".", markersize=3)
    if is_anomaly:
        below.axhline(1.0, color="#555555", linewidth=0.8, linestyle="--")
        below.set_ylabel("score ÷ its own threshold")
    else:
        below.set_ylabel("value")
    below.set_xlabel(f"s since {clip.manifest['began_at']}")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False, loc="upper left")
    figure.suptitle(f"{clip.manifest['id']}: {clip.manifest['pipeline']}", fontsize=10)
    figure.savefig(file)


def _number(output: Output | None) -> float:
    if isinstance(output, Anomaly):
        return output.score / output.threshold if output.threshold else output.score
    return output.items[0].value if isinstance(output, Values) and output.items else float("nan")


def _caption(clip: Clip, one: Difference, names: tuple[str, str], side: int) -> str:
    if not side:
        return f"frame {clip.inputs[one.place]['index']}\n{names[0]}"
    words = "; ".join(one.words)
    return f"{names[1]}\n{words if len(words) <= LONGEST_CAPTION else words[: LONGEST_CAPTION - 1] + '…'}"


def _draw(axes: Any, size: tuple[int, ...], output: Output | None, other: Output | None, color: str) -> None:
    height, width = size
    if isinstance(output, Detections):
        _draw_boxes(axes, size, output, other if isinstance(other, Detections) else Detections(()), color)
    elif isinstance(output, Keypoints):
        for point in output.items:
            axes.plot(point.x * width, point.y * height, "o", markersize=3, color=color)
    elif isinstance(output, Mask):
        _draw_mask(axes, size, output)
    else:
        axes.text(4, 4, _verdict(output), fontsize=8, va="top", color="black", backgroundcolor=color)


def _draw_boxes(axes: Any, size: tuple[int, ...], output: Detections, other: Detections, color: str) -> None:
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - as above

    height, width = size
    _, alone, _ = matched(output.items, other.items)
    for item in output.items:
        x1, y1, x2, y2 = item.box
        is_alone = item in alone
        edge = color if is_alone else AGREED
        corner, across, down = (x1 * width, y1 * height), (x2 - x1) * width, (y2 - y1) * height
        line = 1.8 if is_alone else 0.7
        axes.add_patch(Rectangle(corner, across, down, fill=False, edgecolor=edge, linewidth=line))
        at_right = corner[0] > RIGHT * width
        axes.text(
            min(float(width), x2 * width) if at_right else max(0.0, corner[0]),
            max(0.0, corner[1]),
            f"{item.label} {item.score:.2f}",
            fontsize=6 if is_alone else 5,
            ha="right" if at_right else "left",
            va="bottom" if corner[1] > TOP * height else "top",
            color="black",
            bbox={"facecolor": edge, "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
            clip_on=True,
        )


def _draw_mask(axes: Any, size: tuple[int, ...], output: Mask) -> None:
    height, width = size
    x1, y1, x2, y2 = output.box
    for item in output.items[:1]:
        shown: Array = np.ma.masked_equal(pixels(output, item.label), 0)
        extent = (x1 * width, x2 * width, y2 * height, y1 * height)
        axes.imshow(shown, extent=extent, alpha=0.5, cmap="autumn", interpolation="none")


def _verdict(output: Output | None) -> str:
    if isinstance(output, Classes):
        return "\n".join(f"{item.label} {item.score:.2f}" for item in output.items[:2]) or "no class"
    if isinstance(output, Anomaly):
        return f"{'anomaly' if output.is_anomaly else 'normal'} {output.score:.4g}"
    if isinstance(output, Values):
        return "\n".join(f"{item.label} {item.value:.4g}" for item in output.items)
    return "unknown"
