from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from edged.domain.frame import Frame
from edged.domain.result import Detections, Keypoint, Keypoints, Mask, Output, Segment, Value, Values
from edged.pipeline.traits import Traits, least_change, picture_traits, traits, window_traits
from fakes.results import anomaly, classes, detections, stamp

RNG = np.random.default_rng(4)
GREY = np.full((96, 128, 3), 100, np.uint8)


def number(found: Traits, name: str) -> float:
    value = found[name]
    assert isinstance(value, float)
    return value


def noisy(deviation: float, height: int = 240, width: int = 320) -> np.ndarray:
    grey = np.random.default_rng(1).normal(128, deviation, (height, width, 1)).repeat(3, axis=2)
    return np.clip(np.round(grey), 0, 255).astype(np.uint8)


def test_an_even_grey_has_its_level_and_nothing_else() -> None:
    found = picture_traits(GREY)
    assert number(found, "input.luma") == pytest.approx(100, abs=0.01)
    assert (number(found, "input.contrast"), number(found, "input.noise")) == (pytest.approx(0, abs=0.01), 0)


@pytest.mark.parametrize("deviation", [2.0, 5.0, 12.0])
def test_noise_is_its_standard_deviation(deviation: float) -> None:
    assert number(picture_traits(noisy(deviation)), "input.noise") == pytest.approx(deviation, rel=0.06)


def test_the_more_a_picture_is_blurred_the_higher_is_its_blur() -> None:
    sharp = RNG.integers(0, 256, (240, 320)).astype(np.float64)
    blurs = []
    for sigma in (0.0, 1.0, 2.0):
        grey = np.clip(gaussian_filter(sharp, sigma), 0, 255).astype(np.uint8)
        blurs.append(number(picture_traits(grey[:, :, np.newaxis].repeat(3, axis=2)), "input.blur"))
    assert blurs == sorted(blurs)
    assert blurs[0] < 1.3
    assert blurs[-1] > 2


@given(st.integers(1, 70), st.integers(1, 70))
def test_every_size_of_picture_has_figures(height: int, width: int) -> None:
    found = traits(Frame(np.full((height, width, 3), 7, np.uint8), stamp(0)), detections())
    assert number(found, "input.luma") == pytest.approx(7, abs=0.01)


def test_a_window_is_told_channel_by_channel_six_at_most() -> None:
    window = np.zeros((4, 9), np.float32)
    window[:, 1] = [1, 3, 1, 3]
    found = window_traits(window)
    assert {name: found[f"sensor.1.{name}"] for name in ("level", "spread", "peak")} == {
        "level": 2,
        "spread": 1,
        "peak": 1,
    }
    assert len(found) == 18


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (detections("car", "person"), {"output.count": 2.0, "output.class": "car", "output.confidence": 0.9}),
        (Detections(()), {"output.count": 0.0, "output.class": "nothing"}),
        (classes(("cat", 0.75), ("dog", 0.25)), {"output.class": "cat", "output.confidence": 0.75}),
        (anomaly(3.5), {"output.score": 3.5}),
        (Keypoints((Keypoint("nose", 0.5, 0.1, 0.1),)), {"output.count": 1.0, "output.confidence": 0.5}),
        (Keypoints(()), {"output.count": 0.0}),
        (Values((Value("angle", 2.5),)), {"output.value.angle": 2.5}),
        (Mask(2, 1, (0, 0, 1, 1), (Segment("road", 0.5, (0, 1)),)), {"output.count": 1.0, "output.class": "road"}),
        (Mask(2, 1, (0, 0, 1, 1), ()), {"output.count": 0.0, "output.class": "nothing"}),
    ],
)
def test_each_kind_of_answer_has_its_figures(output: Output, expected: Traits) -> None:
    found = traits(Frame(np.zeros((4, 1), np.float32), stamp(0)), output)
    assert {name: value for name, value in found.items() if name.startswith("output.")} == expected


def test_what_is_no_number_is_left_out() -> None:
    found = traits(Frame(np.full((4, 1), np.nan, np.float32), stamp(0)), anomaly(float("inf")))
    assert found == {}


def test_the_smallest_change_that_matters_is_the_features_own_or_a_thousandth() -> None:
    assert (least_change("input.luma", 500), least_change("sensor.0.level", 50)) == (1.0, 0.05)
    assert least_change("sensor.0.level", 0) > 0
