"""What libav gives for a camera, written down by a test: pictures, silence, errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av

from edged.domain.tensor import Array


@dataclass
class FakePacket:
    """A packet that holds one picture, ``broken`` when decoding it fails."""

    picture: Array | None = None
    pts: int | None = None
    broken: bool = False
    is_corrupt: bool = False

    @property
    def size(self) -> int:
        return 0 if self.picture is None and not self.broken else 1


@dataclass
class FakeStream:
    time_base: Fraction = Fraction(1, 1_000_000)
    codec_context: Any = field(default_factory=lambda: SimpleNamespace(name="rawvideo"))

    def decode(self, packet: FakePacket) -> list[av.VideoFrame]:
        if packet.broken or packet.picture is None:
            raise av.InvalidDataError(1094995529, "Invalid data found when processing input")
        frame = av.VideoFrame.from_ndarray(packet.picture, format="bgr24")
        frame.pts = packet.pts
        return [frame]


@dataclass
class FakeContainer:
    """Gives its script in order; an error ends the iterator, as PyAV's does, and the next one goes on behind it."""

    script: list[FakePacket | Exception]
    stream: FakeStream = field(default_factory=FakeStream)
    closes: int = 0

    @property
    def streams(self) -> Any:
        return SimpleNamespace(video=[self.stream])

    def demux(self, _: FakeStream) -> Iterator[FakePacket]:
        while self.script:
            item = self.script.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None:
        self.closes += 1
