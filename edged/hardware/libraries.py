"""What libraries read from the environment when they are loaded, here and in every child."""

from __future__ import annotations

from collections.abc import Mapping

MOST_PIXELS = 2**26
"""Of a picture in a file: 192 MB in memory, and more than cameras have."""
SURROUNDINGS: Mapping[str, str] = {
    # A few kilobytes of a picture can stand for gigabytes.
    "OPENCV_IO_MAX_IMAGE_PIXELS": str(MOST_PIXELS),
    # NumPy begins a thread a processor for its algebra, and each spins for 35 ms: no product here is large enough for two, and who measured
    # a network in its process's first moments counted twice the processor time that it takes.
    "OPENBLAS_NUM_THREADS": "1",
}
"""Whoever started this process may have put other values there: those stand."""
