"""The step ``spectral-bands``: how strong, at which frequencies, and struck how often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.bundle import Bands, Manifest, WindowInput
from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.tensor import TensorSpec
from edged.pipeline import features, spectral
from fakes.results import stamp

LENGTH = 128
BANDS = Bands(spectrum=16, envelope=8)
NUMBERS = 16 + 8 + 1


def row(window: np.ndarray, bands: Bands = BANDS) -> np.ndarray:
    """Give the features by channel, (channels, numbers)."""
    return spectral.bands(bands, len(window))(window).reshape(window.shape[1], -1)


def sine(cycles: float, length: int = LENGTH) -> np.ndarray:
    return np.sin(2 * np.pi * cycles * np.arange(length) / length + 0.3)


@given(cycles=st.integers(2, 61), amplitude=st.floats(0.001, 1000))
def test_a_sine_stands_in_its_band_with_its_power(cycles: int, amplitude: float) -> None:
    (found,) = row(amplitude * sine(cycles)[:, None])
    band = (cycles - 1) // 4
    assert abs(int(found[:16].argmax()) - band) <= 1, "a line at a band's edge is shared with its neighbour"
    assert found[-1] == pytest.approx(np.log(amplitude**2 / 2), abs=0.01)


@pytest.mark.parametrize(("rate", "band"), [(2, 0), (11, 1), (20, 2)])
def test_strikes_show_in_the_envelopes_bands_at_their_rate_whatever_rings(rate: int, band: int) -> None:
    for ring in (40, 52):
        (found,) = row(((1 + 0.9 * sine(rate)) * sine(ring))[:, None])
        assert found[16:24].argmax() == band


def test_a_machine_that_is_twice_as_strong_is_so_by_the_same_number_everywhere() -> None:
    window = np.random.default_rng(0).normal(size=(LENGTH, 3))
    assert row(2 * window) - row(window) == pytest.approx(np.full((3, NUMBERS), np.log(4)))


def test_an_offset_is_not_seen() -> None:
    window = np.random.default_rng(0).normal(size=(LENGTH, 3))
    assert row(window + 9.81) == pytest.approx(row(window))


def test_silence_has_numbers() -> None:
    assert row(np.zeros((LENGTH, 1))).tolist() == [[pytest.approx(np.log(1e-12))] * NUMBERS]


def test_channels_stand_one_behind_the_other() -> None:
    window = np.stack([sine(10), np.zeros(LENGTH)], axis=1)
    found = row(window)
    assert found[0] == pytest.approx(row(window[:, :1])[0])
    assert found[1] == pytest.approx(row(window[:, 1:])[0])


@given(length=st.integers(2, 200), spectrum=st.integers(1, 100), envelope=st.integers(1, 100))
def test_every_number_of_bands_up_to_the_frequencies_fits(length: int, spectrum: int, envelope: int) -> None:
    bands = Bands(spectrum=spectrum, envelope=envelope)
    if max(spectrum, envelope) > length // 2:
        with pytest.raises(BundleError, match=f"expected at most {length // 2}, as many as it has frequencies above 0"):
            spectral.bands(bands, length)
        return
    found = row(np.random.default_rng(length).normal(size=(length, 2)), bands)
    assert found.shape == (2, spectrum + envelope + 1)
    assert np.isfinite(found).all()


def test_it_has_to_be_the_last_step() -> None:
    window = _input(steps=("spectral-bands", "detrend"))
    with pytest.raises(BundleError, match="spectral-bands leaves no channels, expected it to be the last step"):
        features.build(window, TensorSpec("x", (1, NUMBERS), "float32"), "flat")


@pytest.mark.parametrize(
    ("steps", "bands", "seen"),
    [
        (("spectral-bands",), None, "step spectral-bands without bands"),
        ((), BANDS, "bands without step spectral-bands"),
    ],
)
def test_step_and_table_come_together(steps: tuple[str, ...], bands: Bands | None, seen: str) -> None:
    with pytest.raises(ValueError, match=f"cannot use {seen}, expected both or neither"):
        _input(steps=steps, bands=bands)


def test_what_lies_beyond_the_clip_is_moved_to_it() -> None:
    window = WindowInput(kind="window", length=4, stride=1, channels=1, mean=(1.0,), std=(2.0,), clip=3.0)
    path = features.build(window, TensorSpec("x", (1, 4), "float32"), "flat")
    (got,) = path(Frame(np.array([[-99.0], [1.0], [3.0], [99.0]], np.float32), stamp(0.0)))
    assert got.tolist() == [[-3.0, 0.0, 1.0, 3.0]]


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "regression"},
        {"input": {"kind": "image", "width": 8, "height": 8}},
        {"state": [{"output": "a", "input": "b"}]},
    ],
)
def test_what_cannot_calibrate_itself_is_refused(changes: dict[str, object]) -> None:
    manifest = {
        "name": "level",
        "version": "1.0.0",
        "task": "anomaly",
        "license": "Apache-2.0",
        "input": {"kind": "window", "length": 4, "stride": 1, "channels": 1},
        "output": {"decoder": "reconstruction", "threshold": 1.0},
        "variant": [{"id": "a", "file": "a.onnx", "sha256": "0" * 64, "runtime": "onnx", "precision": "fp32"}],
        "calibration": {"seconds": 60},
    }
    assert Manifest.model_validate(manifest).calibration is not None
    with pytest.raises(ValueError, match="cannot calibrate this model, expected an anomaly in windows of samples"):
        Manifest.model_validate({**manifest, **changes})


def _input(**changes: object) -> WindowInput:
    base = {"kind": "window", "length": LENGTH, "stride": 64, "channels": 1, "bands": BANDS}
    return WindowInput.model_validate({**base, **changes})
