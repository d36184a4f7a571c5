from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from edged.domain.errors import BundleError
from edged.pipeline import mel, microfeatures

INPUT_SCALE, INPUT_ZERO = 0.10171568393707275, -128  # the keyword model's own
FIND = microfeatures.bands()


def recording(assets: Path, name: str) -> np.ndarray:
    with wave.open(str(assets / "sensors" / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(-1), np.int16).astype(np.float64) / 32768


@pytest.mark.assets
def test_the_features_are_those_of_the_original_front_end_within_a_tolerance(assets: Path) -> None:
    reference = np.load(assets / "sensors" / "micro_speech_features.npz")
    noise = np.zeros((1, 40), np.int64)
    # The reference was made in one go: what was learned of one recording's noise is known in the next.
    for name in ("yes_1000ms", "no_1000ms", "silence_1000ms"):
        bands = FIND(recording(assets, name))
        noise = microfeatures.noise_estimates(bands, noise[-1])
        steps = np.rint(microfeatures.evened(bands, noise) / INPUT_SCALE) + INPUT_ZERO
        off = np.abs(np.clip(steps, -128, 127) - reference[name].reshape(49, 40))
        assert off.mean() < 0.2
        assert np.mean(off <= 1) >= 0.98
        assert off.max() <= 17


def test_a_tone_is_loudest_in_its_band_at_first() -> None:
    time = np.arange(16_000) / 16_000
    features = microfeatures.build(16_000, 1)(0.5 * np.sin(2 * np.pi * 1000 * time)[:, None])
    edges = np.linspace(*mel.mel(np.array([125.0, 7500.0])), 42)
    band = int(np.searchsorted(edges, mel.mel(np.array([1000.0]))[0])) - 1
    assert features.shape == (49, 40)
    assert features[0].argmax() in {band - 1, band}


def test_a_steady_sound_fades_as_it_is_taken_for_noise() -> None:
    hum = 0.1 * np.sin(2 * np.pi * 500 * np.arange(48_000) / 16_000)[:, None]
    features = microfeatures.build(48_000, 1)(hum)
    loudest = features[0].argmax()
    assert features[-1, loudest] < features[0, loudest] / 2


def test_silence_has_no_features() -> None:
    assert not microfeatures.build(960, 1)(np.zeros((960, 1))).any()


@pytest.mark.parametrize(("length", "channels"), [(479, 1), (16_000, 2)])
def test_a_window_that_is_no_mono_sound_is_refused(length: int, channels: int) -> None:
    with pytest.raises(BundleError, match="expected 1 channel and at least 480 samples at 16000 Hz"):
        microfeatures.build(length, channels)
