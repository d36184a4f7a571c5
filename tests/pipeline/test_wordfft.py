from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline import wordfft


@given(st.integers(0, 2**32 - 1), st.integers(1, 32_767))
def test_it_is_the_fourier_transform_but_for_its_rounding(seed: int, loudest: int) -> None:
    samples = np.random.default_rng(seed).integers(-loudest, loudest + 1, (2, wordfft.SIZE))
    real, imag = wordfft.rfft(samples)
    exact = np.fft.rfft(samples) / wordfft.SIZE
    assert np.abs(real - exact.real).max() < 5
    assert np.abs(imag - exact.imag).max() < 5


def test_a_loud_tone_stands_at_its_frequency() -> None:
    tone = np.rint(30_000 * np.cos(2 * np.pi * 40 * np.arange(512) / 512)).astype(np.int64)[np.newaxis]
    real, imag = wordfft.rfft(tone)
    assert real[0, 40] == pytest.approx(15_000, rel=1e-3)
    assert np.abs(np.delete(real[0], 40)).max() <= 3
    assert np.abs(imag).max() <= 3


def test_silence_stays_silence() -> None:
    real, imag = wordfft.rfft(np.zeros((1, 512), np.int64))
    assert not real.any()
    assert not imag.any()
