"""HTTP cameras that send JPEGs one after the other, through Python's own HTTP client and libav's decoder.

libav's own reader of such streams believes every Content-Length and never finds back from a wrong one, makes up the
pictures' times, and does not tell when pictures have piled up.
"""

from __future__ import annotations

import http.client
import logging
import socket
import ssl
from collections import Counter
from contextlib import suppress

from av.error import FFmpegError
from av.packet import Packet

from edged.domain.errors import DeviceError, SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock
from edged.domain.tensor import Array
from edged.sources import faults, http_request
from edged.sources.address import parse
from edged.sources.arrivals import Arrivals, Spacing
from edged.sources.closing import Closing
from edged.sources.faults import Fault
from edged.sources.http_request import Answer, User
from edged.sources.multipart import Parts
from edged.sources.picture_decoder import JpegDecoder, Reduction, Shrinker, whole
from edged.telemetry import logs

NS_PER_S = 1_000_000_000
STALL_S = 2.8
"""Without a picture for this long a camera counts as lost: a stall shall be found within 3 s."""
OPEN_TIMEOUT_S = 5.0
MAX_AGE_S = 1.0
"""An older picture tells of another moment than the one that it is taken for."""
READ_BYTES = 256 * 1024
MULTIPART = "multipart/x-mixed-replace"

STALLED = Fault("camera-stalled", f"no picture for {STALL_S} s", "look at its cable and power")
UNPLUGGED = Fault("camera-unplugged", "the connection failed", "look at its cable and power")
ENDED = Fault("camera-ended", "the stream ended")

STATUS_FAULTS = {
    http_request.UNAUTHORIZED: faults.UNAUTHORIZED,
    http_request.FORBIDDEN: faults.FORBIDDEN,
    http_request.NOT_FOUND: faults.NOT_FOUND,
}

_LOG = logging.getLogger("edged.sources.mjpeg")


def open_source(
    *,
    url: str,
    clock: Clock,
    username: str | None = None,
    password: str | None = None,
    max_age_s: float = MAX_AGE_S,
    reduction: Reduction | None = None,
) -> JpegSource | None:
    """Open an HTTP camera and wait for its answer; None when it sends something else than JPEGs one after the other.

    Args:
        url: an ``http://`` or ``https://`` address.
        clock: stamps the pictures.
        username: for a camera that asks for one.
        password: belongs to it.
        max_age_s: older pictures are dropped by cause ``stale``.
        reduction: how much smaller the pictures may be for all who read them; default: they keep their size.

    Raises:
        ConfigError: ``url`` is no camera's.
        DeviceError: the camera does not answer, or refuses.
    """
    address = parse(url)
    user = User(username, password or "") if username is not None else None
    answer = _open(address.target, address.shown, user)
    headers = answer.response.headers
    boundary = headers.get_param("boundary")
    if headers.get_content_type() != MULTIPART or not isinstance(boundary, str) or not boundary.strip("- "):
        answer.close()
        return None
    logs.event(_LOG, "camera.open", camera=address.shown, codec="mjpeg")
    parts = Parts(boundary.strip().encode("latin-1"))
    return JpegSource(answer, parts, clock, name=address.shown, max_age_s=max_age_s, reduction=reduction)


class JpegSource:
    """Frames of (H, W, 3) uint8 BGR.

    ``source_s`` is the time of capture on the monotonic clock. Counted in ``drops`` and left out: as ``damaged`` what
    does not decode to the last block, and as ``stale`` what lay in wait behind a newer picture, or is older than
    ``max_age_s``.
    """

    def __init__(
        self, answer: Answer, parts: Parts, clock: Clock, *, name: str, max_age_s: float, reduction: Reduction | None
    ) -> None:
        self.drops: Counter[str] = Counter()
        self._answer = answer
        self._parts = parts
        self._clock = clock
        self._name = name
        self._max_age_s = max_age_s
        self._closing = Closing(answer.close)
        self._index = 0
        self._last_s = -1.0
        self._shrinker = Shrinker(reduction or whole)
        self._decoder = JpegDecoder(self._shrinker)
        self._arrivals = Arrivals()
        self._spacing = Spacing()
        self._waited_s = 0.0

    def read(self) -> Frame | None:
        """Wait for the next picture; None after ``close``.

        Raises:
            SourceLostError: the stream ended, or brought no whole and fresh picture for ``STALL_S``.
        """
        with self._closing:
            return self._frame()

    def close(self) -> None:
        """Hang up; wakes a read in another thread."""
        if not self._closing.ask():
            with suppress(OSError):  # it is down already
                self._answer.socket.shutdown(socket.SHUT_RDWR)

    def __repr__(self) -> str:
        """Say which camera it is and what came from it."""
        return f"<JpegSource {self._name}: {self._closing!r}, {self._index} pictures, drops {dict(self.drops)}>"

    def _frame(self) -> Frame | None:
        deadline_s = self._now_s() + STALL_S
        before = self.drops.total()
        while not self._closing.is_asked:
            left_s = deadline_s - self._now_s()
            if left_s <= 0:
                seen = self.drops.total() - before
                raise self._lost(STALLED, f", {seen} damaged or stale ones")
            data = self._received(left_s)
            frame = self._newest(self._parts.feed(data)) if data else None
            if frame is not None:
                return frame
        return None

    def _received(self, timeout_s: float) -> bytes:
        """Wait for bytes; none when another thread closed meanwhile."""
        began_s = self._now_s()
        try:
            self._answer.socket.settimeout(timeout_s)
            data = self._answer.response.read1(READ_BYTES)
        except TimeoutError:
            raise self._lost(STALLED) from None
        except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: closed by another thread
            if self._closing.is_asked:
                return b""
            raise self._lost(UNPLUGGED, f" ({type(error).__name__})") from None
        self._waited_s += self._now_s() - began_s
        if not data and not self._closing.is_asked:
            raise self._lost(ENDED)
        return data

    def _newest(self, parts: list[bytes]) -> Frame | None:
        """Decode the newest of the parts that came, unless it is stale."""
        if not parts:
            return None
        self.drops["stale"] += len(parts) - 1
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        now_s = now_ns / NS_PER_S
        waited_s, self._waited_s = self._waited_s, 0.0
        captured_s = self._arrivals.captured_s(self._spacing.shown_s(len(parts), now_s, waited_s), now_s, waited_s)
        if captured_s is None or now_s - captured_s > self._max_age_s:
            self.drops["stale"] += 1
            return None
        picture = self._decoded(parts[-1])
        if picture is None:
            self.drops["damaged"] += 1
            return None
        age_ns = max(0, round((now_s - captured_s) * NS_PER_S))
        self._last_s = max(captured_s, self._last_s + 0.001)
        stamp = Stamp(self._index, now_ns - age_ns, wall_ns - age_ns, self._last_s)
        self._index += 1
        return Frame(picture, stamp)

    def _decoded(self, data: bytes) -> Array | None:
        if not data:
            return None
        try:
            pictures = self._decoder.decode(Packet(data))
        except FFmpegError:
            return None
        return self._shrinker.bgr(pictures[0]) if pictures and not pictures[0].is_corrupt else None

    def _now_s(self) -> float:
        return self._clock.monotonic_ns() / NS_PER_S

    def _lost(self, fault: Fault, more: str = "") -> SourceLostError:
        message = f"cannot read camera {self._name}: {fault.observed}{more}, expected the next picture"
        return SourceLostError(message, remedy=fault.remedy, code=fault.code)


def _open(url: str, shown: str, user: User | None) -> Answer:
    try:
        answer = http_request.get(url, user, OPEN_TIMEOUT_S)
    except ssl.SSLError as error:
        message = f"cannot open camera {shown}: {error.reason or 'no TLS'}, expected a certificate that this box trusts"
        raise DeviceError(message, remedy="add the camera's authority to the box's own", code="camera-denied") from None
    except TimeoutError:
        raise faults.refused(shown, faults.STREAM_FAULTS, faults.EXIT, "") from None
    except socket.gaierror as error:
        raise faults.refused(shown, faults.STREAM_FAULTS, None, f"no such host ({error.strerror})") from None
    except OSError as error:
        raise faults.refused(shown, faults.STREAM_FAULTS, error.errno, error.strerror or "no connection") from None
    except http.client.HTTPException as error:
        raise faults.refused(shown, {}, None, f"no HTTP ({type(error).__name__})") from None
    if answer.status != http_request.OK:
        status, reason = answer.status, answer.response.reason
        answer.close()
        raise faults.refused(shown, faults.STREAM_FAULTS, STATUS_FAULTS.get(status), f"it answers {status} {reason}")
    return answer
