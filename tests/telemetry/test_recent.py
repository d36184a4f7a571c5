"""A quantile of the last seconds alone."""

from __future__ import annotations

import pytest

from edged.telemetry.metrics import Histogram
from edged.telemetry.recent import LEAST, Recent


def added(histogram: Histogram, value_ms: float, times: int) -> None:
    for _ in range(times):
        histogram.add(value_ms)


def test_what_came_before_it_began_does_not_count() -> None:
    histogram = Histogram()
    added(histogram, 500.0, 100)
    recent = Recent(histogram)
    added(histogram, 10.0, 20)

    assert recent.quantile(0.95) == pytest.approx(10.0, rel=0.13)


def test_what_is_too_long_ago_is_forgotten() -> None:
    histogram = Histogram()
    recent = Recent(histogram, rounds=2)
    added(histogram, 500.0, 50)
    for _ in range(3):
        recent.quantile(0.95)
        added(histogram, 10.0, 10)

    assert recent.quantile(0.95) == pytest.approx(10.0, rel=0.13)


def test_too_few_values_say_nothing() -> None:
    histogram = Histogram()
    recent = Recent(histogram)
    added(histogram, 10.0, LEAST - 1)

    assert recent.quantile(0.95) is None
