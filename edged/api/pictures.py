"""How large an encoded picture is, from its first bytes: a few kilobytes can stand for gigabytes of pixels. Pure."""

from __future__ import annotations

from edged.api.refusal import invalid

MOST_PIXELS = 32_000_000
"""A full frame of a large camera; 96 MB in memory."""
_JPEG, _PNG, _BMP = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM"
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""JPEG markers that begin a frame, and hold its size (ITU-T T.81, table B.1)."""
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""


def checked(encoded: bytes) -> bytes:
    """Give an encoded picture when it is one of a kind and size that is taken. Raises RefusedError."""
    size = size_of(encoded)
    if size is None:
        message = f"cannot read a picture of {len(encoded)} bytes: it begins like none, expected JPEG, PNG or BMP"
        raise invalid(message)
    width, height = size
    if not 0 < width * height <= MOST_PIXELS:
        message = f"cannot take a picture of {width} by {height}, expected at most {MOST_PIXELS} pixels"
        raise invalid(message)
    return encoded


def size_of(encoded: bytes) -> tuple[int, int] | None:
    """Give width and height; None for what is no JPEG, PNG or BMP."""
    if encoded.startswith(_PNG):
        return int.from_bytes(encoded[16:20], "big"), int.from_bytes(encoded[20:24], "big")
    if encoded.startswith(_BMP):
        # Rows from the top down have a negative height (BITMAPINFOHEADER).
        sides = (int.from_bytes(encoded[at : at + 4], "little", signed=True) for at in (18, 22))
        width, height = map(abs, sides)
        return width, height
    return _jpeg_size(encoded) if encoded.startswith(_JPEG) else None


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(encoded) and encoded[at] == 0xFF:  # noqa: PLR2004 - what every marker begins with
        marker = encoded[at + 1]
        if marker in _FRAMES:
            return int.from_bytes(encoded[at + 7 : at + 9], "big"), int.from_bytes(encoded[at + 5 : at + 7], "big")
        if marker == 0xFF:  # noqa: PLR2004 - padding
            at += 1
        else:
            at += 2 if marker in _ALONE else 2 + int.from_bytes(encoded[at + 2 : at + 4], "big")
    return None
