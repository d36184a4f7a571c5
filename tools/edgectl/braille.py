"""Curves in a terminal: eight dots a character, so that 80 columns show 160 points."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

BLANK = 0x2800
DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot by row and column (Unicode, block Braille Patterns)."""
HIGH, WIDE = 4, 2
"""Dots of a character."""


def braille(lows: Sequence[float], highs: Sequence[float], floor: float, ceiling: float, lines: int) -> list[str]:
    """Draw a band from each low to its high, one a point, two points a character; NaN is a gap. Gives ``lines`` lines of text."""
    dots = lines * HIGH
    cells = [[BLANK] * ((len(lows) + 1) // WIDE) for _ in range(lines)]
    span = (ceiling - floor) or 1.0
    before: tuple[int, int] | None = None
    for at, (low, high) in enumerate(zip(lows, highs, strict=True)):
        if isnan(low) or isnan(high):
            before = None
            continue
        first, last = (min(dots - 1, max(0, round((value - floor) / span * (dots - 1)))) for value in (low, high))
        here = first, last
        if before is not None:
            # Joined with the point before, so that a jump is a line and not two dots.
            first, last = min(first, before[1] + 1), max(last, before[0] - 1)
        for dot in range(first, last + 1):
            line, row = divmod(dots - 1 - dot, HIGH)
            cells[line][at // WIDE] |= DOTS[row][at % WIDE]
        before = here
    return ["".join(map(chr, line)) for line in cells]
