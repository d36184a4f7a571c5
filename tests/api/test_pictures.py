"""How large a picture would be, before it is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edged.api.pictures import checked, size_of
from edged.api.refusal import RefusedError


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
def test_the_size_of_a_picture_is_in_its_first_bytes(suffix: str) -> None:
    encoded = cv2.imencode(suffix, np.zeros((31, 57, 3), np.uint8))[1].tobytes()

    assert size_of(encoded) == (57, 31)
    assert checked(encoded) == encoded


@pytest.mark.parametrize(
    "encoded", [b"", b"GIF89a", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x10", b"\xff\xd8\xff\xff\xff\xff\xd9"]
)
def test_what_is_no_picture_has_no_size(encoded: bytes) -> None:
    assert size_of(encoded) is None
    with pytest.raises(RefusedError, match="expected JPEG, PNG or BMP"):
        checked(encoded)


def test_a_picture_that_would_fill_the_memory_is_refused() -> None:
    bomb = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2

    with pytest.raises(RefusedError, match="60000 by 60000"):
        checked(bomb)


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(RefusedError, match="0 by 0"):
        checked(b"BM" + bytes(60))
