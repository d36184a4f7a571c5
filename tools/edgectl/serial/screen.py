"""A serial line for people: what was tried, what it sends, and its channels as a plot in the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.text import Text

from edgectl.braille import WIDE, braille
from edgectl.plain import plain
from edgectl.serial.judge import Finding
from edgectl.serial.look import Read
from edged.domain.errors import ConfigError
from edged.domain.tensor import Array

PLOT_LINES, LABEL = 3, 11
MOST_WIDTH = 100
MOST_PLOTTED = 8
"""Channels: more would scroll the rest away."""
SHOWN_BYTES = 48
SHOWN_LINES = 3
DPI = 120
MARKS = {
    "lines": "lines of samples",
    "frames": "binary records",
    "text": "text, no samples",
    "noise": "noise",
    "silence": "nothing",
}


def rows(tried: Sequence[Finding]) -> list[tuple[object, ...]]:
    """Give a row for each setting that was tried."""
    return [
        (str(one.heard.setting), len(one.heard.data), _faults(one), MARKS[one.kind], f"{one.score:.2f}")
        for one in tried
    ]


def example(data: bytes, *, is_text: bool) -> Text:
    """Show some of what came: whole lines, or bytes in hexadecimal."""
    if is_text:
        lines = [line for line in data.replace(b"\r", b"\n").split(b"\n")[1:-1] if line][:SHOWN_LINES]
        texts = (line[: 2 * SHOWN_BYTES].decode("ascii", "replace") for line in lines)
        shown = "\n".join(f"  {plain(text, '·')}" for text in texts)
    else:
        shown = "  " + data[:SHOWN_BYTES].hex(" ")
    return Text(shown, "dim")


def plot(read: Read, names: Sequence[str], width: int) -> Text:
    """Draw each channel on a scale of its own over the time that it was read for, in a terminal of so many columns."""
    text = Text()
    for at, name in enumerate(names[:MOST_PLOTTED]):
        lows, highs = _bands(read.values[:, at], WIDE * (min(width, MOST_WIDTH) - LABEL))
        floor, ceiling = float(lows.min()), float(highs.max())
        rows = braille(lows.tolist(), highs.tolist(), floor, ceiling, PLOT_LINES)
        labels = [f"{ceiling:.4g}", *[""] * (PLOT_LINES - 2), f"{floor:.4g}"]
        text.append(f"{name}\n", "bold")
        for label, row in zip(labels, rows, strict=True):
            text.append(f"{label:>{LABEL - 1}} ", "dim").append(f"{row}\n")
    return text.append(f"{'':{LABEL}}{read.timing.seconds:.1f} s", "dim")


def picture(file: Path, read: Read, names: Sequence[str], title: str) -> None:
    """Draw the channels into a picture, each on a scale of its own. Raises ConfigError when it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, for who asks for a picture

    shown = names[:MOST_PLOTTED]
    figure = Figure(figsize=(9, 1.2 + 1.3 * len(shown)), dpi=DPI, layout="constrained")
    places = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    times_s = read.times_s - read.times_s[0]
    for at, (axes, name) in enumerate(zip(places, shown, strict=True)):
        axes.plot(times_s, read.values[:, at], linewidth=0.9, color=f"C{at}")
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    places[0].set_title(title, fontsize=11, loc="left")
    places[-1].set_xlabel("seconds")
    try:
        figure.savefig(file, metadata={"Software": None})
    except (OSError, ValueError) as error:
        message = f"cannot draw {file}: {error}, expected a file that may be written and ends in .png"
        raise ConfigError(message) from error


def figures(read: Read) -> Text:
    """Say how the samples came, on one line and one more for each thing that is wrong."""
    paced = read.timing
    text = Text()
    if paced.rate_hz is not None and paced.jitter_ms is not None:
        text.append(f"{paced.rate_hz:.4g} samples a second, {paced.count} in {paced.seconds:.1f} s; ", "bold")
        text.append(f"jitter {paced.jitter_ms:.1f} ms for 95 of 100; ")
        text.append(f"{paced.gaps} gaps, the longest {paced.longest_gap_ms:.0f} ms" if paced.gaps else "no gap")
    else:
        text.append(f"{paced.count} samples", "bold")
    dropped = ", ".join(f"{count} {cause}" for cause, count in read.drops.items())
    text.append(f"; dropped: {dropped}" if dropped else "; nothing dropped")
    return text.append(f"\n{read.lost}", "red") if read.lost else text


def _bands(values: Array, points: int) -> tuple[Array, Array]:
    """Give the lowest and the highest of every stretch, so that no peak is lost."""
    stretches = np.array_split(values, min(points, len(values)))
    return np.array([part.min() for part in stretches]), np.array([part.max() for part in stretches])


def _faults(one: Finding) -> str:
    return "not counted" if one.heard.faults is None else str(one.heard.faults)
