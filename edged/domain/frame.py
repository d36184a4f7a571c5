"""What sources deliver: pictures and sensor samples, each with the stamp of its capture."""

from __future__ import annotations

from dataclasses import dataclass

from edged.domain.tensor import Array


@dataclass(frozen=True, slots=True)
class Stamp:
    """When and where in its source something was captured.

    ``index`` counts from 0 in the source's own order (for a window: windows). ``mono_ns`` is the monotonic clock at
    capture: everything timed uses it. ``wall_ns`` is Unix time and only ever a label. ``source_s`` is the
    source's own time in seconds (presentation or sample stamps): rules run on it.
    """

    index: int
    mono_ns: int
    wall_ns: int
    source_s: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One input of a pipeline.

    ``data`` is a picture, (H, W, 3) uint8 BGR, or a sensor window, (length, channels) float32, oldest sample first.
    """

    data: Array
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Samples:
    """A run of consecutive sensor samples, oldest first.

    ``values`` is (n, channels) float32; ``times_s`` is (n,) float64, the source's own time of each sample.
    ``stamp`` belongs to the last sample; its ``index`` is that sample's number.
    """

    values: Array
    times_s: Array
    stamp: Stamp
