"""Windows of one length, cut anew into windows of another: a recording holds what one model was shown, and another may take more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from edged.domain.errors import ConfigError
from edged.domain.frame import Frame, Samples
from edged.pipeline.window import Windower


@dataclass(frozen=True, slots=True)
class Recorded:
    """How the windows of a recording follow each other: one every ``hop`` samples, and ``step_s`` seconds between two samples."""

    hop: int
    step_s: float


def rewindowed(frames: Iterable[Frame], recorded: Recorded, windower: Windower) -> Iterator[Frame]:
    """Put windows back together where they follow each other, and cut them anew.

    Args:
        frames: windows of (n, channels) float32; each stamp is its last sample's.
        recorded: how they follow each other.
        windower: cuts the new ones.

    Yields:
        Windows with stamps of the recording: the index counts them, ``source_s`` is the last sample's time as far as the rate tells it.

    Raises:
        ConfigError: samples are missing between the windows, or the channels differ.
    """
    before: Frame | None = None
    for frame in frames:
        if recorded.hop > len(frame.data):
            message = f"cannot cut windows anew: {len(frame.data)} samples were recorded of every {recorded.hop}, expected no gaps"
            raise ConfigError(message, remedy="replay it with a model that takes windows of the recorded length")
        yield from windower.push(_news(before, frame, recorded))
        before = frame


def _news(before: Frame | None, frame: Frame, recorded: Recorded) -> Samples:
    """Give the samples that a window adds to the one before; all of them where it does not follow that one."""
    values, stamp, hop = frame.data, frame.stamp, recorded.hop
    follows = before is not None and np.array_equal(before.data[hop:], values[: len(values) - hop], equal_nan=True)
    new = values[-hop:] if follows else values
    return Samples(new, stamp.source_s - np.arange(len(new))[::-1] * recorded.step_s, stamp)
