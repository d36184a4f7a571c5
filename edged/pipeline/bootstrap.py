"""From which value on a window is unusual, learned from the reference itself.

Fixed thresholds (an index above 0.2, say) raise false alarms in 69 to 77 % of short or correlated windows. Here a month of windows
is drawn from the reference, in blocks that keep its correlation, against references that are drawn likewise; the limits are the lowest
with which hardly any such month has an alarm. That the reference itself is finite is thereby paid for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edged.domain.tensor import Array
from edged.pipeline.page_hinkley import rises
from edged.pipeline.stability import population_stability

MONTHS = 200
"""So many months are drawn: one false alarm in them is a chance of half a percent."""
MOST_WINDOWS = 1500
"""Of a month; where there are more, the chance allowed shrinks in proportion."""
TAILS = np.geomspace(0.03, 2e-6, 28)
"""The chances that one window exceeds a limit; tried from the most sensitive on."""
LEAST_RISE = 0.15
"""In standard deviations of one sample: with long windows the drawn limit is nil, and a reference that errs by little would cross it."""
MOVED = 1.0
"""In standard deviations of one sample: the shift whose chance to be found is told."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a window votes for drift.

    ``power`` is the chance that Page and Hinkley's test alone finds a shift by one standard deviation within two windows.
    """

    stability: float
    rise: float
    power: float


@dataclass(frozen=True, slots=True)
class Draws:
    """Blocks to draw from. ``counts`` is (blocks, bins) of their samples, ``sums`` (blocks,) of their deviations in standard deviations."""

    counts: Array
    sums: Array
    block: int


def blocks(bins: Array, deviations: Array, bin_count: int, stride: int, block: int) -> Draws:
    """Cut all blocks of ``block`` samples that lie ``stride`` apart, one from every start; (n,) int and (n,) float in.

    Overlapping blocks are those of Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", Ann. Statist. 17 (1989).
    """
    starts = len(bins) - (block - 1) * stride
    counts = np.zeros((starts, bin_count), np.float32)
    sums = np.zeros(starts)
    rows = np.arange(starts)
    for step in range(block):
        begin = step * stride
        counts[rows, bins[begin : begin + starts]] += 1
        sums += deviations[begin : begin + starts]
    return Draws(counts, sums, block)


def limits(draws: Draws, window: int, reference: int, windows: int, chance: float, rng: np.random.Generator) -> Limits:
    """Find the limits.

    Args:
        draws: the reference in blocks.
        window: samples of a window, a multiple of the block.
        reference: independent samples of the reference.
        windows: how many of them a month has.
        chance: with which a month may have a false alarm.
        rng: draws.
    """
    some = min(windows, MOST_WINDOWS)
    indices, deviations = np.empty((MONTHS, some)), np.empty((MONTHS, some))
    for month in range(MONTHS):
        usual, mean = _drawn(draws, 1, max(1, reference // draws.block), rng)
        counts, means = _drawn(draws, some, window // draws.block, rng)
        indices[month] = population_stability(counts, usual / usual.sum())
        deviations[month] = means - mean
    rise = rises(deviations)
    index_limit, rise_limit = _lowest(indices, rise, chance * some / max(windows, 1))
    rise_limit = max(rise_limit, LEAST_RISE)
    return Limits(index_limit, rise_limit, _power(deviations, rise_limit))


def has_alarm(votes: Array) -> Array:
    """Say which streams have two votes among three successive windows; (streams, windows) bool in, (streams,) out."""
    padded = np.pad(votes, ((0, 0), (2, 0)))
    found: Array = (votes & (padded[:, :-2] | padded[:, 1:-1])).any(axis=1)
    return found


def _lowest(indices: Array, rise: Array, allowed: float) -> tuple[float, float]:
    """Give the lowest limits with which no more than this share of the months has an alarm."""
    for tail in TAILS:
        index_limit, rise_limit = (float(np.quantile(values, 1 - tail)) for values in (indices, rise))
        if has_alarm((indices > index_limit) | (rise > rise_limit)).mean() <= allowed:
            return index_limit, rise_limit
    return float(indices.max()), float(rise.max())


def _drawn(draws: Draws, windows: int, each: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw windows of ``each`` blocks: their counts (windows, bins) and mean deviations (windows,)."""
    chosen = rng.integers(len(draws.sums), size=(windows, each))
    return draws.counts[chosen].sum(axis=1), draws.sums[chosen].mean(axis=1) / draws.block


def _power(deviations: Array, limit: float) -> float:
    pairs = deviations[:, : 2 * (deviations.shape[1] // 2)].reshape(-1, 2) + MOVED
    return float((rises(pairs) > limit).all(axis=1).mean()) if pairs.size else 0.0
