"""A picture as it is recorded."""

from __future__ import annotations

import numpy as np
import pytest

from edged.domain.errors import FrameError
from edged.sinks.encoded import encoded
from edged.sources.images import decode_picture

PICTURE = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)


def test_without_loss_every_bit_comes_back() -> None:
    data, suffix = encoded(PICTURE, lossless=True)
    assert suffix == ".png"
    assert np.array_equal(decode_picture(data), PICTURE)


def test_a_jpeg_is_smaller_and_nearly_the_same() -> None:
    smooth = np.tile(np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None], (480, 1, 3))
    data, suffix = encoded(smooth, lossless=False)
    assert suffix == ".jpg"
    assert len(data) < smooth.nbytes / 20
    assert np.abs(decode_picture(data).astype(int) - smooth).max() <= 4


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(FrameError, match=r"cannot record a picture of shape \(4, 4, 7\)"):
        encoded(np.zeros((4, 4, 7), np.uint8), lossless=True)
