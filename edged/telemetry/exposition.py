"""Prometheus' text format: families of samples in, text out. By hand: the usual library takes 14 MB, and counts a second time.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from math import inf, isfinite
from typing import Literal

from edged.telemetry.metrics import EDGES_MS, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""What a histogram is told in: our own buckets are 161, which is more series than a box is worth."""
_MS_PER_S = 1000.0

Kind = Literal["counter", "gauge", "histogram"]
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, or one histogram, under its labels; a value that is None is left out, since absent is not 0."""

    value: float | Histogram | None
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name. It ends in its base unit (``_seconds``, ``_bytes``, ``_celsius``, ``_ratio``), a counter's in ``_total``."""

    name: str
    kind: Kind
    about: str
    samples: tuple[Sample, ...]


def sample(value: float | Histogram | None, **labels: str) -> Sample:
    """Make a sample."""
    return Sample(value, tuple(labels.items()))


def render(families: Iterable[Family]) -> str:
    """Write families as a scrape reads them; one without samples is left out."""
    return "".join(line for family in families for line in _lines(family))


def series(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    """Give the name of one series, its labels in it, as a scrape has it."""
    return f"{name}{_labels(labels)}"


def _lines(family: Family) -> Iterator[str]:
    known = [(one.value, one.labels) for one in family.samples if one.value is not None]
    if not known:
        return
    yield f"# HELP {family.name} {_escaped(family.about)}\n"
    yield f"# TYPE {family.name} {family.kind}\n"
    for value, labels in known:
        if isinstance(value, Histogram):
            yield from _histogram(family.name, value, labels)
        else:
            yield f"{series(family.name, labels)} {_number(value)}\n"


def _histogram(name: str, histogram: Histogram, labels: tuple[tuple[str, str], ...]) -> Iterator[str]:
    # Copied first: its thread counts on, and a bucket must not be above the whole.
    below = list(accumulate(list(histogram.counts)))
    for bound_s in (*BOUNDS_S, inf):
        bound = "+Inf" if bound_s == inf else repr(bound_s)
        yield f"{series(f'{name}_bucket', (*labels, ('le', bound)))} {below[_last_within(bound_s)]}\n"
    yield f"{series(f'{name}_sum', labels)} {_number(histogram.sum_ms / _MS_PER_S)}\n"
    yield f"{series(f'{name}_count', labels)} {below[-1]}\n"


def _last_within(bound_s: float) -> int:
    """Give our last bucket whose upper edge is at most the bound, within rounding; past the last edge lies one more."""
    if bound_s == inf:
        return len(EDGES_MS)
    return _WITHIN[bound_s]


_WITHIN = {
    bound_s: max((index for index, edge_ms in enumerate(EDGES_MS) if edge_ms <= bound_s * _MS_PER_S * (1 + 1e-9)))
    for bound_s in BOUNDS_S
}


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    if not labels:
        return ""
    written = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)
    return f"{{{written}}}"


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    if not isfinite(value):
        return "NaN" if value != value else ("+Inf" if value > 0 else "-Inf")  # noqa: PLR0124 - what NaN alone is
    return repr(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
