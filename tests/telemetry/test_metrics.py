from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.result import Event
from edged.telemetry.metrics import EDGES_MS, Histogram, PipelineMetrics
from fakes.results import detections, result


def filled(values_ms: list[float]) -> Histogram:
    histogram = Histogram()
    for value_ms in values_ms:
        histogram.add(value_ms)
    return histogram


@given(st.lists(st.floats(0.002, 50_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_at_most_a_buckets_width_above_the_true_one(values_ms: list[float], share: float) -> None:
    rank = max(1, -int(-share * len(values_ms) // 1))
    true_ms = sorted(values_ms)[rank - 1]
    assert true_ms * 0.999 <= (filled(values_ms).quantile(share) or 0) <= true_ms * 1.13


def test_nothing_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


def test_a_time_beyond_the_last_bucket_counts_as_its_edge() -> None:
    assert filled([1e9]).quantile(0.99) == EDGES_MS[-1]


def test_the_sum_and_count_are_kept() -> None:
    histogram = filled([1.0, 2.5])
    assert (histogram.count, histogram.sum_ms) == (2, 3.5)


def test_a_pipeline_counts_results_failures_events_and_where_the_time_went() -> None:
    metrics = PipelineMetrics()
    good = result(detections())
    metrics.result(good)
    metrics.result(result(None))
    metrics.event(Event("gate", "rule", "start", good.stamp, good.stamp, good))
    assert (metrics.results, metrics.unknown, metrics.events) == (2, 1, 1)
    assert metrics.stages["total"].count == 1
    assert metrics.latency_ms()["total"]["p50"] == pytest.approx(11.7, rel=0.13)


def test_stages_without_a_result_are_absent_not_zero() -> None:
    assert PipelineMetrics().latency_ms()["inference"] == {"p50": None, "p99": None}
