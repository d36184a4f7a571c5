"""Arithmetic on many small integers at once, without a numerical library: a block of them is one large integer of Python's own.

The short-lived child must stay small, and NumPy alone costs 17 MB. ``width`` is the bytes of each integer, little-endian; blocks hold a
whole number of them. Zigzag (0, -1, 1, -2 … become 0, 1, 2, 3 …) and one plane for each byte of the integers make small differences
compress: the high planes are nearly all zeros.
"""

from __future__ import annotations

from functools import lru_cache


def added(base: bytes, planes: bytes, width: int) -> bytes:
    """Give base + difference, each modulo 256**width; ``planes`` is what ``difference`` gave."""
    ones, high, low = _masks(len(base), width)
    zigzag = int.from_bytes(_interleaved(planes, width), "little")
    delta = ((zigzag >> 1) & low) ^ _spread(zigzag & ones, width)
    held = int.from_bytes(base, "little")
    # Without their highest bits no sum carries into its neighbour; that bit is the sum's own, modulo 2.
    return (((held & low) + (delta & low)) ^ ((held ^ delta) & high)).to_bytes(len(base), "little")


def difference(base: bytes, result: bytes, width: int) -> bytes:
    """Give result - base, in zigzag and in planes; both are of one length."""
    ones, high, low = _masks(len(base), width)
    held, wanted = int.from_bytes(base, "little"), int.from_bytes(result, "little")
    # A borrowed highest bit keeps each subtraction within its lane.
    delta = ((wanted | high) - (held & low)) ^ ((wanted ^ ~held) & high)
    zigzag = ((delta & low) << 1) ^ _spread((delta >> (8 * width - 1)) & ones, width)
    return _planes(zigzag.to_bytes(len(base), "little"), width)


def _spread(ones: int, width: int) -> int:
    """Make every lane that is 1 all ones."""
    return (ones << (8 * width)) - ones


@lru_cache(maxsize=8)
def _masks(size: int, width: int) -> tuple[int, int, int]:
    """Give a 1 in each lane, its highest bit, and all bits but that one."""
    ones = int.from_bytes((b"\x01" + bytes(width - 1)) * (size // width), "little")
    high = ones << (8 * width - 1)
    return ones, high, (1 << (8 * size)) - 1 ^ high


def _planes(block: bytes, width: int) -> bytes:
    return b"".join(block[index::width] for index in range(width))


def _interleaved(planes: bytes, width: int) -> bytes:
    count, block = len(planes) // width, bytearray(len(planes))
    for index in range(width):
        block[index::width] = planes[index * count : (index + 1) * count]
    return bytes(block)
