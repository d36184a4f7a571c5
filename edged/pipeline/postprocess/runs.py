"""Run lengths: a class's pixels on a map as a few numbers, and back.

The numbers count pixels row by row: first how many are not of the class, then how many are, and so on, ending with the last pixel
of the class. (COCO's uncompressed run lengths are the same by columns.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edged.domain.tensor import Array


def encode(classes: Array) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Give class number, number of pixels and run lengths of each class on a map, the largest class first.

    Args:
        classes: (height, width) of class numbers, any integer dtype.
    """
    flat = classes.reshape(-1)
    starts = np.concatenate((np.zeros(1, np.intp), _edges(flat)))
    ends = np.append(starts[1:], flat.size)
    owners = flat[starts]
    numbers = np.unique(owners)
    sizes = [int((ends - starts)[owners == number].sum()) for number in numbers]
    for size, number in sorted(zip(sizes, numbers.tolist(), strict=True), key=lambda pair: (-pair[0], pair[1])):
        own = owners == number
        # Outside and inside by turns are the distances from one edge to the next.
        edges = np.stack((starts[own], ends[own]), axis=1).reshape(-1)
        yield number, size, tuple(np.diff(edges, prepend=0).tolist())


def count(classes: Array) -> int:
    """Give how many numbers ``encode`` needs for the whole map."""
    return 2 * (1 + len(_edges(classes.reshape(-1))))


def decode(runs: Sequence[int], width: int, height: int) -> NDArray[np.bool_]:
    """Give the pixels of a class: (height, width) bool.

    Raises:
        ValueError: The runs are longer than the map.
    """
    inside = np.zeros(len(runs), bool)
    inside[1::2] = True
    pixels = np.repeat(inside, np.asarray(runs, np.intp))
    if pixels.size > width * height:
        message = f"cannot lay {pixels.size} pixels on a mask of {width} by {height}, expected at most {width * height}"
        raise ValueError(message)
    whole = np.zeros(width * height, bool)
    whole[: pixels.size] = pixels
    return whole.reshape(height, width)


def _edges(flat: Array) -> NDArray[np.intp]:
    """Give the places at which another class begins."""
    return np.flatnonzero(flat[1:] != flat[:-1]) + 1
