from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.bundle import Frames, WindowInput
from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.tensor import TensorSpec
from edged.pipeline import features, mel, spectral
from fakes.results import stamp

FRAMES = Frames(rate_hz=16_000, length=480, hop=320, bands=40, low_hz=125, high_hz=7500)


def sine(cycles: float, length: int = 64, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * cycles * np.arange(length) / length))[:, None]


@given(cycles=st.integers(3, 29), length=st.sampled_from([61, 64, 100]), amplitude=st.floats(0.1, 100))
def test_a_sine_stands_in_the_spectrum_at_its_frequency_with_its_amplitude(
    cycles: int, length: int, amplitude: float
) -> None:
    lines = spectral.spectrum(sine(cycles, length, amplitude))[:, 0]
    assert len(lines) == length // 2 + 1
    assert lines.argmax() == cycles
    assert lines[cycles] == pytest.approx(amplitude)


def test_a_constant_stands_at_frequency_zero_with_its_value() -> None:
    assert spectral.spectrum(np.full((64, 1), 3.0))[0, 0] == pytest.approx(3.0)


def test_the_highest_frequency_has_no_mirror_image() -> None:
    assert spectral.spectrum(np.cos(np.pi * np.arange(64))[:, None])[-1, 0] == pytest.approx(1.0)


def test_the_power_spectrum_is_the_square_for_each_channel() -> None:
    window = np.concatenate((sine(5), sine(9, amplitude=2.0)), axis=1)
    power = spectral.power_spectrum(window)
    assert power.shape == (33, 2)
    assert (power[5, 0], power[9, 1]) == (pytest.approx(1.0), pytest.approx(4.0))


def test_the_spectrum_of_a_single_sample_is_the_sample() -> None:
    assert spectral.spectrum(np.array([[2.0]])).tolist() == [[2.0]]


@pytest.mark.parametrize("length", [1024, 1025])
def test_the_envelope_of_a_modulated_carrier_is_what_modulates_it(length: int) -> None:
    time = np.arange(length) / length
    modulation = 1.0 + 0.5 * np.cos(2 * np.pi * 4 * time)
    got = spectral.envelope((modulation * np.sin(2 * np.pi * 100 * time))[:, None])[:, 0]
    np.testing.assert_allclose(got, modulation, atol=1e-6)


def test_a_tone_is_loudest_in_the_band_whose_centre_it_is() -> None:
    centres = np.linspace(*mel.mel(np.array([125.0, 7500.0])), 42)[1:-1]
    tone_hz = 700 * (np.exp(centres[20] / 1127) - 1)
    window = np.sin(2 * np.pi * tone_hz * np.arange(16_000) / 16_000)[:, None]
    bands = spectral.log_mel(FRAMES, 16_000, 1)(window)
    assert bands.shape == (49, 40)
    assert set(bands.argmax(axis=1)) == {20}


def test_silence_has_a_logarithm() -> None:
    bands = spectral.log_mel(FRAMES, 480, 1)(np.zeros((480, 1)))
    assert bands == pytest.approx(np.full((1, 40), np.log(spectral.QUIET)))


def test_ten_times_the_amplitude_is_a_hundred_times_the_power() -> None:
    noise = np.random.default_rng(1).normal(size=(960, 1))
    step = spectral.log_mel(FRAMES, 960, 1)
    np.testing.assert_allclose(step(10 * noise) - step(noise), np.log(100))


def test_the_weights_of_a_bin_between_two_centres_add_up_to_one() -> None:
    weights = mel.filters(40, 125.0, 7500.0, 16_000, 512)
    assert weights.shape == (257, 40)
    inner = weights.sum(axis=1)[7:225]
    assert inner == pytest.approx(np.ones(len(inner)))


@pytest.mark.parametrize(("length", "channels"), [(479, 1), (480, 2)])
def test_log_mel_of_too_little_or_of_several_channels_is_refused(length: int, channels: int) -> None:
    with pytest.raises(BundleError, match="expected 1 channel and at least 480 samples"):
        spectral.log_mel(FRAMES, length, channels)


@pytest.mark.parametrize(
    ("window", "shape"),
    [
        ({"length": 64, "channels": 3, "steps": ["detrend", "spectrum"]}, (1, 33, 3)),
        ({"length": 64, "channels": 3, "steps": ["detrend", "envelope", "power-spectrum"]}, (1, 33, 3)),
        ({"length": 16_000, "channels": 1, "steps": ["log-mel", "standardise"], "frames": FRAMES}, (1, 1960)),
        ({"length": 16_000, "channels": 1, "steps": ["micro-features"], "mean": [1.0] * 40}, (1, 49, 40)),
        ({"length": 16, "channels": 2, "steps": ["envelope", "mad"]}, (1, 2)),
    ],
)
def test_steps_decide_the_tensors_shape(window: dict[str, Any], shape: tuple[int, ...]) -> None:
    settings = WindowInput(kind="window", stride=1, **window)
    prepare = features.build(settings, TensorSpec("x", shape, "float32"), "flat")
    noise = np.random.default_rng(3).normal(size=(settings.length, settings.channels)).astype(np.float32)
    (tensor,) = prepare(Frame(noise, stamp(0.0)))
    assert tensor.shape == shape
    assert np.isfinite(tensor).all()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": ["log-mel"]}, "cannot use step log-mel without frames"),
        ({"frames": FRAMES}, "cannot use frames without step log-mel"),
    ],
)
def test_frames_belong_to_log_mel(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        WindowInput(kind="window", length=16_000, stride=1, channels=1, **changes)


@pytest.mark.parametrize(("low_hz", "high_hz"), [(500.0, 400.0), (100.0, 8001.0)])
def test_bands_lie_below_half_the_rate(low_hz: float, high_hz: float) -> None:
    with pytest.raises(ValueError, match="half of rate_hz"):
        Frames(rate_hz=16_000, length=480, hop=320, bands=4, low_hz=low_hz, high_hz=high_hz)
