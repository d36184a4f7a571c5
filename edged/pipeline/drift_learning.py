"""From a while of a pipeline's figures to the reference that later ones are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from edged.domain.tensor import Array
from edged.pipeline.bootstrap import blocks, limits
from edged.pipeline.reference import HOURS, MAX_FEATURES, QUANTILES, Feature, Reference, usual_at
from edged.pipeline.stability import autocorrelation_time, cuts_of
from edged.pipeline.traits import Traits, least_change

MONTH_S, DAY_S, HOUR_S = 30 * 86_400.0, 86_400.0, 3_600.0
FALSE_ALARMS = 0.03
"""A pipeline's in a month, over all its features. At most one is promised; a short reference knows itself less well than it says."""
LEAST_SAMPLES = 150
"""Independent ones; fewer do not know their own mean."""
WINDOW_S = 6 * HOUR_S
LEAST_WINDOW, MOST_WINDOW = 50, 200
"""A window shall be judged within ``WINDOW_S``, if so many independent samples fit."""
BLOCK = 10
"""Samples that are drawn together. They are hardly correlated any more; what is, stays so."""
MOST_LABELS = 12
HARMONICS = (1, 2, 4, 12)
"""How fine a day may be told; what the other days' hours are foretold best by is taken. 12 is every hour for itself."""
DAYS = 2
"""From so many days on it is known what is usual at each hour: one day alone cannot say how much days differ."""
SEED = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A pipeline's figures at one moment: Unix time, which hours are of, and the source's own, which distances are of."""

    wall_s: float
    source_s: float
    traits: Traits


@dataclass(frozen=True, slots=True)
class Learned:
    """A reference, and why features are not in it. None when none is."""

    reference: Reference | None
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Series:
    """One feature along time: (n,) float64 times and (n,) values, or bins of labels, every ``period_s`` of the source's time."""

    name: str
    walls_s: Array
    period_s: float
    values: Array
    labels: tuple[str, ...] = ()


def learn(rows: Sequence[Row], chance: float = FALSE_ALARMS) -> Learned:
    """Learn from rows in the order of their time, at about equal distances. ``chance`` is that of a false alarm in a month."""
    names = sorted({name for row in rows for name in row.traits})[:MAX_FEATURES]
    features: list[Feature] = []
    left_out: list[tuple[str, str]] = []
    for name in names:
        found = _feature(_series(name, rows), chance / len(names), np.random.default_rng(SEED))
        if isinstance(found, Feature):
            features.append(found)
        else:
            left_out.append((name, found))
    return Learned(Reference(tuple(features)) if features else None, tuple(left_out))


def _series(name: str, rows: Sequence[Row]) -> _Series:
    with_it = [row for row in rows if name in row.traits]
    walls_s = np.array([row.wall_s for row in with_it])
    steps = np.diff([row.source_s for row in with_it])
    period_s = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    given = [row.traits[name] for row in with_it]
    if not any(isinstance(value, str) for value in given):
        return _Series(name, walls_s, period_s, np.array(given, np.float64))
    words = [str(value) for value in given]
    labels = tuple(label for label, _ in Counter(words).most_common(MOST_LABELS))
    number = {label: place for place, label in enumerate(labels)}
    bins = np.array([number.get(word, len(labels)) for word in words])
    return _Series(name, walls_s, period_s, bins, labels)


def _feature(series: _Series, chance: float, rng: np.random.Generator) -> Feature | str:
    """Learn one feature; why not, when it cannot be."""
    if len(series.values) < LEAST_SAMPLES or series.period_s <= 0:
        return f"it has {len(series.values)} samples, expected at least {LEAST_SAMPLES}"
    spread = _spread(series)
    stride = _stride(spread.bins, spread.left, is_label=bool(series.labels))
    interval_s, independent = stride * series.period_s, len(series.values) // stride
    if independent < LEAST_SAMPLES:
        hours = LEAST_SAMPLES * interval_s / HOUR_S
        counted = f"{independent} independent samples, expected {LEAST_SAMPLES}"
        return f"it changes too slowly for so short a time: {counted}, which take {hours:.1f} h"
    block, window = _sizes(interval_s, has_profile=len(spread.profile) > 0)
    deviations = (spread.left - spread.mean) / spread.scale
    bin_count = len(series.labels or spread.cuts) + 1
    draws = blocks(spread.bins, deviations, bin_count, stride, block)
    found = limits(draws, window, independent, round(MONTH_S / (window * interval_s)), chance, rng)
    return Feature(
        series.name,
        np.bincount(spread.bins, minlength=bin_count) / len(spread.bins),
        spread.mean,
        spread.scale,
        interval_s,
        window,
        found,
        spread.cuts,
        series.labels,
        np.empty(0) if series.labels else np.quantile(spread.left, QUANTILES),
        spread.profile,
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    """How values are spread: ``left`` is without what is usual at their hour; labels have no mean that could move."""

    bins: Array
    left: Array
    mean: float = 0.0
    scale: float = 1.0
    cuts: Array = field(default_factory=lambda: np.empty(0))
    profile: Array = field(default_factory=lambda: np.empty(0))


def _spread(series: _Series) -> _Spread:
    if series.labels:
        return _Spread(series.values, np.zeros(len(series.values)))
    profile, left = _without_day(series)
    apart = least_change(series.name, float(np.median(np.abs(series.values))))
    cuts = cuts_of(left, apart)
    scale = max(float(left.std()), apart)
    return _Spread(np.searchsorted(cuts, left), left, float(left.mean()), scale, cuts, profile)


def _sizes(interval_s: float, *, has_profile: bool) -> tuple[int, int]:
    """Give the samples of a block and of a window, a multiple of it."""
    window = int(np.clip(WINDOW_S / interval_s, LEAST_WINDOW, MOST_WINDOW))
    # A day's hours differ from what is usual at them for about an hour at a time: blocks have to hold that.
    block = int(np.clip(HOUR_S / interval_s, BLOCK, window)) if has_profile else BLOCK
    return block, window // block * block


def _stride(bins: Array, values: Array, *, is_label: bool) -> int:
    """Give how many samples lie between two that tell something of their own."""
    if not is_label:
        return int(np.ceil(autocorrelation_time(values)))
    times = [autocorrelation_time((bins == one).astype(np.float64)) for one in np.unique(bins)]
    return int(np.ceil(max(times)))


def _without_day(series: _Series) -> tuple[Array, Array]:
    """Give what is usual at each hour, and the values without it; nothing and the values where that is not known, or says nothing.

    Each day's values are taken without what the other days teach, so that what is left errs as later days will.
    """
    days: Array = ((series.walls_s - series.walls_s[0]) // DAY_S).astype(int)
    whole = [day for day in np.unique(days) if _covers_day(series.walls_s[days == day])]
    if len(whole) < DAYS:
        return np.empty(0), series.values
    tried = [_tried(series, days, whole, harmonics) for harmonics in HARMONICS]
    best = int(np.argmin([left.std() for left in tried]))
    if tried[best].std() >= 0.9 * series.values.std():  # the hour says next to nothing
        return np.empty(0), series.values
    return _profile(series, np.isin(days, whole), HARMONICS[best]), tried[best]


def _tried(series: _Series, days: Array, whole: list[int], harmonics: int) -> Array:
    """Give each day's values without what is usual by the other days."""
    left: Array = series.values.copy()
    for day in np.unique(days):
        others = np.isin(days, [one for one in whole if one != day])
        left[days == day] -= usual_at(series.walls_s[days == day], _profile(series, others, harmonics))
    return left


def _covers_day(walls_s: Array) -> bool:
    return len(np.unique(_hours(walls_s))) == HOURS


def _hours(walls_s: Array) -> Array:
    hours: Array = ((walls_s // HOUR_S) % HOURS).astype(int)
    return hours


def _profile(series: _Series, chosen: Array, harmonics: int) -> Array:
    """Give each hour's mean over the samples that are chosen, without what changes faster than so many times a day."""
    hours = _hours(series.walls_s[chosen])
    means = np.bincount(hours, series.values[chosen], HOURS) / np.bincount(hours, minlength=HOURS)
    waves = np.fft.rfft(means)
    waves[harmonics + 1 :] = 0
    profile: Array = np.fft.irfft(waves, HOURS)
    return profile
