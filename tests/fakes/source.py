"""A source whose whole life a test writes down: what it gives, when it fails, how it ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from edged.domain.errors import EdgedError
from edged.domain.frame import Frame, Samples, Stamp

MS = 1_000_000


def picture(index: int = 0, source_s: float | None = None, *, mono_ns: int = 0, value: int = 0) -> Frame:
    """Give a small frame that says its number."""
    at_s = index / 10 if source_s is None else source_s
    return Frame(np.full((4, 6, 3), value, np.uint8), Stamp(index, mono_ns, mono_ns, at_s))


def samples(values: list[list[float]], times_s: list[float], *, mono_ns: int = 0) -> Samples:
    """Give a block of samples."""
    stamp = Stamp(len(values) - 1, mono_ns, mono_ns, times_s[-1])
    return Samples(np.asarray(values, np.float32), np.asarray(times_s, np.float64), stamp)


@dataclass
class FakeSource:
    """Gives its script in order: an item is returned, an error is raised; then the clean end, for ever."""

    script: list[Frame | Samples | EdgedError] = field(default_factory=list)
    drops: Counter[str] = field(default_factory=Counter)
    reads: int = 0
    closes: int = 0

    def __repr__(self) -> str:
        return f"<FakeSource {len(self.script)} to come, {self.reads} reads, {self.closes} closes>"

    def read(self) -> Frame | Samples | None:
        self.reads += 1
        if self.closes or not self.script:
            return None
        item = self.script.pop(0)
        if isinstance(item, EdgedError):
            raise item
        return item

    def close(self) -> None:
        self.closes += 1
