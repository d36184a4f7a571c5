"""What the flight recorder's blocks say of the past: when each row was, and each column as people read it, counters as rates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edged.telemetry.history import Block, Head, Numbers, Wholes

COUNTERS = ("_total", "_count", "_sum")
"""Endings of what only grows; its difference a second is told."""
GAP_MS = 5000
"""Rows further apart belong to two stretches: nothing is known of what lies between."""
LEAST_MS = 500
"""Of a row that catches up with a late one no rate is made: two results within a millisecond are not 2000 a second."""
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_MS_PER_S = 1000.0


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as they follow each other.

    ``walls_ms`` (rows,) are dated; ``values`` (rows, columns) are as recorded, ``told`` as people read them.
    """

    columns: tuple[str, ...]
    walls_ms: Wholes
    values: Numbers
    told: Numbers
    follows: bool
    """Whether the first row comes a second after the last one of the rows before, in one run of one boot."""
    boot: str


def offsets_ms(heads: Iterable[Head]) -> dict[str, int]:
    """Give what to add to the monotonic time of each boot whose clock was synchronised at last."""
    return {head.boot: head.wall_ms - head.mono_ms for head in heads if head.is_synced}


def begins_ms(head: Head, offsets: Mapping[str, int]) -> int:
    """Date a block: one from before the clock was set goes by what the clock said later in the same boot."""
    return head.mono_ms + offsets[head.boot] if not head.is_synced and head.boot in offsets else head.wall_ms


def rows(blocks: Iterable[Block], offsets: Mapping[str, int]) -> Iterator[Rows]:
    """Give the blocks' rows with counters as rates a second; a rate needs the row before, and there is none where a run begins."""
    before: tuple[str, int, dict[str, float]] = ("", 0, {})
    for block in blocks:
        boot, mono_ms, last = before
        follows = block.boot == boot and 0 < int(block.monos_ms[0]) - mono_ms <= GAP_MS
        start = np.array([last.get(name, np.nan) if follows else np.nan for name in block.columns])
        since_ms = np.diff(block.monos_ms, prepend=np.int64(mono_ms))
        walls_ms = block.walls_ms
        if not block.is_synced and block.boot in offsets:
            walls_ms = block.monos_ms + offsets[block.boot]
        yield Rows(block.columns, walls_ms, block.values, _told(block, start, since_ms), follows, block.boot)
        before = block.boot, int(block.monos_ms[-1]), dict(zip(block.columns, block.values[-1].tolist(), strict=True))


def is_counter(column: str) -> bool:
    """Whether a column only grows."""
    return family(column).endswith(COUNTERS)


def family(column: str) -> str:
    """Give a column's name without its labels."""
    return column.partition("{")[0]


def labels(column: str) -> dict[str, str]:
    """Give a column's labels."""
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in _LABEL.findall(column)}


@lru_cache(maxsize=16)
def _counters(columns: tuple[str, ...]) -> NDArray[np.bool_]:
    return np.array([is_counter(name) for name in columns], bool)


def _told(block: Block, start: Numbers, since_ms: Wholes) -> Numbers:
    """Give (rows, columns): counters as rates, what stood still where they fell since somebody counts anew."""
    counters = _counters(block.columns)
    if not counters.any():
        return block.values
    grown = np.diff(np.vstack([start, block.values])[:, counters], axis=0)
    is_stretch = (since_ms >= LEAST_MS) & (since_ms <= GAP_MS)
    seconds = np.where(is_stretch, since_ms, np.nan)[:, np.newaxis] / _MS_PER_S
    told: Numbers = block.values.copy()
    told[:, counters] = np.where(grown >= 0, grown, np.nan) / seconds
    return told
