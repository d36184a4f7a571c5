from __future__ import annotations

import numpy as np
import pytest

from edged.sources.pcm import decoded


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (1, bytes((128, 0, 192, 255))),
        (2, b"\x00\x00\x00\x80\x00\x40\xff\x7f"),
        (3, b"\x00\x00\x00\x00\x00\x80\x00\x00\x40\xff\xff\x7f"),
        (4, b"\x00\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00\x40\xff\xff\xff\x7f"),
    ],
)
def test_full_scale_is_one(width: int, data: bytes) -> None:
    sound = decoded(data, width, 2)

    assert sound.dtype == np.float32
    assert sound.shape == (2, 2)
    assert sound.ravel()[:3].tolist() == [0.0, -1.0, 0.5]
    assert 0.99 < sound[1, 1] <= 1.0


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_half_a_frame_at_the_end_is_left_out(width: int) -> None:
    assert decoded(b"\0" * (width * 2 * 3 + 1), width, 2).shape == (3, 2)
    assert decoded(b"", width, 2).shape == (0, 2)
