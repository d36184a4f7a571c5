"""What Prometheus reads, read by its own parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from edged.telemetry.exposition import BOUNDS_S, Family, render, sample
from edged.telemetry.metrics import Histogram


def read(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_a_gauge_is_written_with_its_labels() -> None:
    text = render([Family("edged_temperature_celsius", "gauge", "By sensor.", (sample(61.5, sensor="cpu"),))])
    assert text == (
        "# HELP edged_temperature_celsius By sensor.\n"
        "# TYPE edged_temperature_celsius gauge\n"
        'edged_temperature_celsius{sensor="cpu"} 61.5\n'
    )


def test_what_is_not_known_is_left_out() -> None:
    assert render([Family("edged_x", "gauge", "x", (sample(None),)), Family("edged_y", "gauge", "y", ())]) == ""


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (0.25, "0.25"), (math.inf, "+Inf"), (-math.inf, "-Inf")])
def test_numbers_are_written_shortly(value: float, text: str) -> None:
    assert render([Family("x", "gauge", "", (sample(value),))]).endswith(f"x {text}\n")


def test_no_number_is_a_nan() -> None:
    assert render([Family("x", "gauge", "", (sample(math.nan),))]).endswith("x NaN\n")


@given(st.text(max_size=20))
def test_any_label_comes_back(text: str) -> None:
    if (
        "\r" in text
        or "\x85" in text
        or "\u2028" in text
        or "\u2029" in text
        or any(c in text for c in "\x0b\x0c\x1c\x1d\x1e")
    ):
        return  # the parser under test splits lines there, which the format does not
    got = read(render([Family("edged_x", "gauge", "about\nit \\", (sample(1.0, pipeline=text),))]))
    assert got == {("edged_x", (("pipeline", text),)): 1.0}


@given(st.lists(st.floats(0.0001, 1e6), max_size=50))
def test_a_histogram_counts_every_time_in_its_bucket(times_ms: list[float]) -> None:
    histogram = Histogram()
    for time_ms in times_ms:
        histogram.add(time_ms)
    got = read(render([Family("edged_s", "histogram", "s", (sample(histogram, stage="age"),))]))
    counts = [got["edged_s_bucket", (("le", str(float(bound))), ("stage", "age"))] for bound in BOUNDS_S]
    assert counts == sorted(counts)
    assert got["edged_s_bucket", (("le", "+Inf"), ("stage", "age"))] == len(times_ms)
    assert got["edged_s_count", (("stage", "age"),)] == len(times_ms)
    assert got["edged_s_sum", (("stage", "age"),)] == pytest.approx(sum(times_ms) / 1000)
    for bound_s, count in zip(BOUNDS_S, counts, strict=True):
        # One of our own buckets may reach over the bound; what lies safely within it has to be counted.
        assert count >= sum(time_ms <= bound_s * 1000 / 1.13 for time_ms in times_ms)
        assert count <= sum(time_ms <= bound_s * 1000 * 1.0001 for time_ms in times_ms)
