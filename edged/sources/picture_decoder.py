"""Packets to pictures, no larger than their readers need, through PyAV (libav). Damaged ones raise or are marked."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from edged.domain.tensor import Array
from edged.telemetry import logs

Reduction = Callable[[int, int], float]
"""How many times smaller than this width and height a picture may be for all who read it; 1 and less: not at all."""

# One decoder thread: more of them hold frames back and cost memory. The colour conversion has threads of its own from
# PyAV 17 on: one of them saves 4 MB and a fifth of the CPU on 720p.
DECODER_THREADS = 1
_ONE_THREAD = {"threads": 1} if "threads" in (VideoReformatter.reformat.__doc__ or "") else {}

JPEG = "mjpeg"

JPEG_REDUCTIONS = ((8, 3), (4, 2))
"""Reduction and libav's name for it. Half is left out: there the whole picture is decoded faster (8.3 to 6.4 ms at 1080p)."""

JPEG_STRICT = "explode"
"""libav then refuses what does not decode to the last block: every cut, hole, splice and overwritten part that was tried, 100 of each.

It does not find everything: of single flipped bytes that let the decoder find its place again it found 7 of 200 on a photograph, and
runs of zeros pass on noisy pictures.
"""


HARDWARE = (("_v4l2m2m", "/dev/video10"), ("_cuvid", "/dev/nvidiactl"))
"""The ends of libav's names for decoders in hardware, and what shows that a box has them: a Raspberry Pi's, NVIDIA's on a PC."""

HARDWARE_FAILURES = 25
"""So many packets in a row that hardware refuses are no damage of the stream any more."""

_LOG = logging.getLogger("edged.sources.picture_decoder")


def whole(_width: int, _height: int) -> float:
    """Let pictures keep their size."""
    return 1.0


class Shrinker:
    """Turns decoded pictures into BGR. ``reduction`` is asked at every picture: its answer changes when models do."""

    def __init__(self, reduction: Reduction) -> None:
        self._reduction = reduction
        self._reformatter = VideoReformatter()

    def factor(self, width: int, height: int) -> int:
        """Give how many times smaller a picture of this size shall be."""
        return max(1, int(self._reduction(width, height)))

    def bgr(self, picture: VideoFrame) -> Array:
        """Give (H, W, 3) uint8 BGR, as small as the readers allow."""
        factor = self.factor(picture.width, picture.height)
        if factor == 1:
            return self._reformatter.reformat(picture, format="bgr24", **_ONE_THREAD).to_ndarray()
        width, height = math.ceil(picture.width / factor), math.ceil(picture.height / factor)
        small = self._reformatter.reformat(picture, width, height, "bgr24", interpolation="AREA", **_ONE_THREAD)
        return small.to_ndarray()


class JpegDecoder:
    """Decodes JPEGs one by one, at the scale that is needed, and refuses every one that is not whole."""

    def __init__(self, shrinker: Shrinker) -> None:
        self._shrinker = shrinker
        self._lowres = 0
        self._decoder = _jpeg_decoder(0)

    def decode(self, packet: Packet[Any]) -> list[VideoFrame]:
        """Give the one picture, or none. Raises FFmpegError when the data make no whole picture."""
        try:
            pictures = self._decoder.decode(packet)
        except FFmpegError:
            self._decoder = _jpeg_decoder(self._lowres)  # an error can leave libav's decoder at its end
            raise
        for picture in pictures:
            self._adapt(picture)
        return pictures

    def _adapt(self, picture: VideoFrame) -> None:
        """Choose the scale of the next picture by the size of this one."""
        scale = 1 << self._lowres
        factor = self._shrinker.factor(picture.width * scale, picture.height * scale)
        lowres = next((lowres for reduction, lowres in JPEG_REDUCTIONS if factor >= reduction), 0)
        if lowres != self._lowres:
            self._lowres, self._decoder = lowres, _jpeg_decoder(lowres)


class Pictures:
    """The decoder of one stream: the box's own hardware when it is asked for and works, otherwise libav's software."""

    def __init__(self, stream: VideoStream, reduction: Reduction, *, hardware: bool = False) -> None:
        shrinker = Shrinker(reduction)
        self.bgr = shrinker.bgr
        codec = stream.codec_context
        self._software: Callable[[Packet[VideoStream]], list[VideoFrame]] = stream.decode
        if codec.name == JPEG:
            self._software = JpegDecoder(shrinker).decode
        else:
            codec.thread_type = "SLICE"
            codec.thread_count = DECODER_THREADS
        self._hardware = _hardware_decoder(codec) if hardware else None
        self._failures = 0

    def decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        """Give the pictures that are ready: none, one or several; ``is_corrupt`` marks those with a fault.

        Raises FFmpegError on data that make no whole picture.
        """
        if self._hardware is None:
            return self._software(packet)
        try:
            pictures = self._hardware.decode(packet)
        except (FFmpegError, OSError):
            self._failures += 1
            if self._failures >= HARDWARE_FAILURES:
                logs.event(_LOG, "camera.software-decoding", level=logging.WARNING, instead_of=self._hardware.name)
                self._hardware = None
            raise
        self._failures = 0
        return pictures


def _hardware_decoder(codec: VideoCodecContext) -> VideoCodecContext | None:
    """Give the first decoder for ``codec`` that this box's drivers carry out; None, logged, when there is none."""
    for suffix, node in HARDWARE:
        name = f"{codec.name}{suffix}"
        if name not in av.codecs_available or not Path(node).exists():
            continue
        decoder = av.CodecContext.create(name, "r")
        assert isinstance(decoder, VideoCodecContext)  # noqa: S101 - for the type checker: its name is a picture codec's
        decoder.extradata = codec.extradata
        decoder.width, decoder.height = codec.width, codec.height
        try:
            decoder.open()
        except (FFmpegError, OSError):  # the driver is there, and what it drives is not
            continue
        logs.event(_LOG, "camera.hardware-decoding", decoder=name)
        return decoder
    logs.event(_LOG, "camera.software-decoding", level=logging.WARNING, instead_of=f"hardware for {codec.name}")
    return None


def _jpeg_decoder(lowres: int) -> VideoCodecContext:
    decoder = av.CodecContext.create(JPEG, "r")
    decoder.thread_count = DECODER_THREADS
    decoder.options = {"lowres": str(lowres), "err_detect": JPEG_STRICT}
    assert isinstance(decoder, VideoCodecContext)  # noqa: S101 - for the type checker: libav has one decoder of this name
    return decoder
