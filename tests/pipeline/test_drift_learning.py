from __future__ import annotations

import numpy as np
import pytest

from edged.pipeline.drift_learning import LEAST_SAMPLES, Learned, Row, learn
from edged.pipeline.reference import Feature, from_bytes, to_bytes
from fakes.streams import BEGIN_S, camera


def rows_of(values: list[float] | list[str], period_s: float = 10.0, name: str = "input.luma") -> list[Row]:
    return [Row(BEGIN_S + k * period_s, k * period_s, {name: value}) for k, value in enumerate(values)]


def feature(learned: Learned, name: str) -> Feature:
    assert learned.reference is not None
    return next(one for one in learned.reference.features if one.name == name)


def normal(count: int) -> list[float]:
    return [float(value) for value in np.random.default_rng(1).normal(100, 10, count)]


def test_mean_spread_and_pace_are_those_of_the_stream() -> None:
    luma = feature(learn(rows_of(normal(3000))), "input.luma")
    assert (luma.mean, luma.scale) == (pytest.approx(100, abs=1), pytest.approx(10, rel=0.05))
    assert 10 <= luma.interval_s <= 20
    assert luma.shares.sum() == pytest.approx(1)
    assert len(luma.profile) == 0


def test_what_is_usual_at_each_hour_is_learned_from_days_and_taken_off() -> None:
    luma = feature(learn(camera(5, 120, 0.5, np.random.default_rng(2))), "input.luma")
    hours = np.arange(24) + 0.5
    begin_h = (BEGIN_S / 3600) % 24
    expected = 100 + 30 * np.clip(np.sin(2 * np.pi * hours / 24), -0.5, 0.8)
    assert begin_h == 8
    assert np.abs(luma.profile + luma.mean - expected).max() < 9
    assert luma.scale == pytest.approx(10, rel=0.3)


def test_one_day_alone_says_nothing_of_hours() -> None:
    learned = learn(camera(1.5, 30, 0.2, np.random.default_rng(2)))
    assert learned.reference is not None
    assert all(len(one.profile) == 0 for one in learned.reference.features)


def test_a_feature_that_changes_too_slowly_is_left_out_with_the_time_that_it_would_take() -> None:
    slow = [float(np.sin(k / 200)) * 50 for k in range(3000)]
    learned = learn(rows_of(slow))
    assert learned.reference is None
    ((name, why),) = learned.left_out
    assert name == "input.luma"
    assert "changes too slowly" in why
    assert f"expected {LEAST_SAMPLES}" in why


def test_too_few_samples_are_said_to_be_too_few() -> None:
    assert learn(rows_of(normal(20))).left_out == (
        ("input.luma", f"it has 20 samples, expected at least {LEAST_SAMPLES}"),
    )
    assert learn([]).reference is None


def test_a_stream_without_time_is_left_out() -> None:
    rows = [Row(BEGIN_S, 0.0, {"input.luma": value}) for value in normal(300)]
    assert learn(rows).reference is None


def test_labels_are_counted_the_rare_ones_together() -> None:
    words = [f"kind-{k % 100}" if k % 4 == 0 else "car" for k in range(2000)]
    mix = feature(learn(rows_of(words, name="output.class")), "output.class")
    assert mix.labels[0] == "car"
    assert len(mix.labels) == 12
    assert mix.shares[0] == pytest.approx(0.75)
    assert mix.shares[-1] > 0


def test_what_never_varies_is_held_against_the_smallest_change_that_matters() -> None:
    luma = feature(learn(rows_of([50.0] * 500)), "input.luma")
    assert luma.scale == 1.0
    assert [luma.bin_of(value) for value in (48.0, 50.0, 52.0)] == [0, luma.bin_of(50.0), luma.bins - 1]


def test_a_learned_reference_survives_its_file() -> None:
    learned = learn(camera(1, 60, 0.3, np.random.default_rng(5), swing=0))
    assert learned.reference is not None
    assert to_bytes(from_bytes(to_bytes(learned.reference))) == to_bytes(learned.reference)
