"""Several sensors as one: their samples, aligned in time, side by side in one window."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edged.domain.errors import ConfigError, DeviceError, EdgedError, SourceLostError
from edged.domain.frame import Frame, Samples, Stamp
from edged.domain.ports import Clock, Source
from edged.sources.alignment import Aligner, Method, Missing
from edged.telemetry import logs

NS_PER_S = 1_000_000_000

WAIT_S = 0.05
"""The longest wait for samples: instants are settled by the time that passes, too."""

HELD = 256
"""Blocks of a sensor that may wait: a reader that is so far behind loses the oldest, newest wins."""

REOPEN_S = 1.0
"""Between two tries to open a sensor that is missing while the others go on."""

_LOG = logging.getLogger("edged.sources.join")


@dataclass(frozen=True, slots=True)
class Part:
    """One of the sensors. Its samples' time is the monotonic clock, as it is for every live one."""

    name: str
    channels: int
    open: Callable[[], Source]


def open_source(
    *,
    parts: Sequence[Part],
    clock: Clock,
    rate_hz: float,
    method: Method = "linear",
    max_wait_s: float = 1.0,
    missing: Missing = "gap",
) -> JoinSource:
    """Begin to open the sensors, each in a thread of its own.

    Args:
        parts: the sensors; their channels stand side by side in this order.
        clock: stamps the blocks.
        rate_hz: instants a second.
        method: how values between samples are found.
        max_wait_s: how long is waited for a sensor that is late.
        missing: what becomes of an instant at which a sensor is missing; see ``Aligner``. With ``gap`` the loss of one
            sensor is the loss of this source, with ``nan`` only the loss of all.
    """
    aligner = Aligner([part.channels for part in parts], rate_hz, method=method, max_wait_s=max_wait_s, missing=missing)
    return JoinSource([_Member(part, goes_on=missing == "nan") for part in parts], clock, aligner)


class JoinSource:
    """Blocks of the instants that were settled together. ``drops`` names its sensors, as in ``oven.malformed``."""

    def __init__(self, members: Sequence[_Member], clock: Clock, aligner: Aligner) -> None:
        self._members = tuple(members)
        self._clock = clock
        self._aligner = aligner
        self._closed = threading.Event()
        self._arrived = threading.Event()
        self._samples = 0
        for member in self._members:
            member.start(self._arrived)

    @property
    def drops(self) -> Counter[str]:
        """What was left out, by sensor and cause; ``missing`` are instants."""
        drops: Counter[str] = Counter()
        for member in self._members:
            drops.update({f"{member.name}.{cause}": count for cause, count in member.drops.items()})
        if self._aligner.left_out:
            drops["missing"] = self._aligner.left_out
        return drops

    def read(self) -> Samples | None:
        """Wait for the next instants; None after ``close``.

        Raises:
            ConfigError: a sensor's settings are wrong.
            SourceLostError: a sensor is lost, or all of them are where a missing one is borne.
        """
        while not self._closed.is_set():
            self._arrived.wait(WAIT_S)
            self._arrived.clear()
            for number, member in enumerate(self._members):
                for samples in member.taken():
                    self._aligner.push(number, samples.times_s, samples.values)
            now_ns = self._clock.monotonic_ns()
            aligned = self._aligner.take(now_ns / NS_PER_S)
            if aligned is not None:
                self._samples += len(aligned[0])
                stamp = Stamp(self._samples - 1, now_ns, self._clock.wall_ns(), float(aligned[0][-1]))
                return Samples(aligned[1], aligned[0], stamp)
            self._judge()
        return None

    def close(self) -> None:
        """Close every sensor."""
        self._closed.set()
        self._arrived.set()
        for member in self._members:
            member.close()

    def __repr__(self) -> str:
        """Say which sensors it joins."""
        names = ", ".join(member.name for member in self._members)
        state = "closed" if self._closed.is_set() else "open"
        return f"<JoinSource of {names}: {state}, {self._samples} samples, {self._aligner!r}>"

    def _judge(self) -> None:
        """Raise when this cannot go on."""
        lost = [(member, member.error) for member in self._members if member.error is not None]
        for member, error in lost:
            if isinstance(error, ConfigError):
                message = f"cannot join {member.name}: {error.args[0]}"
                raise ConfigError(message, remedy=error.remedy)
        if lost and (len(lost) == len(self._members) or not self._members[0].goes_on):
            member, error = lost[0]
            message = f"cannot join {member.name}: {error.args[0]}"
            raise SourceLostError(message, remedy=error.remedy, code=error.code)


class _Member:
    """A sensor and the thread that reads it. ``error`` says why it is missing, None while it is not."""

    def __init__(self, part: Part, *, goes_on: bool) -> None:
        self.name = part.name
        self.goes_on = goes_on
        self.error: EdgedError | None = None
        self._open = part.open
        self._blocks: deque[Samples] = deque(maxlen=HELD)
        self._lock = threading.Lock()
        self._source: Source | None = None
        self._closed = threading.Event()
        self._dropped: Counter[str] = Counter()  # by sources that were closed

    @property
    def drops(self) -> Counter[str]:
        """What its source left out, by cause."""
        return self._dropped + Counter(getattr(self._source, "drops", {}))

    def start(self, arrived: threading.Event) -> None:
        """Begin to read; ``arrived`` is set for each block and each error."""
        threading.Thread(target=self._run, args=(arrived,), name=f"join-{self.name}", daemon=True).start()

    def taken(self) -> list[Samples]:
        """Give what came since the last time."""
        with self._lock:
            taken = list(self._blocks)
            self._blocks.clear()
        return taken

    def close(self) -> None:
        """Close its source, or let its thread do so as soon as it is open."""
        self._closed.set()
        if (source := self._source) is not None:
            source.close()

    def _run(self, arrived: threading.Event) -> None:
        while not self._closed.is_set():
            try:
                self._read_on(arrived)
            except (ConfigError, DeviceError) as error:
                self.error = error
                logs.event(_LOG, "part.lost", level=logging.WARNING, part=self.name, reason=error)
            finally:
                self._shut()
            arrived.set()
            if not self.goes_on or self._closed.wait(REOPEN_S):
                return

    def _read_on(self, arrived: threading.Event) -> None:
        self._source = source = self._open()
        while not self._closed.is_set():
            item = source.read()
            if item is None:
                return
            if isinstance(item, Frame):
                message = f"cannot join a picture of {self.name}, expected samples"
                raise ConfigError(message)
            self.error = None
            with self._lock:
                self._blocks.append(item)
            arrived.set()

    def _shut(self) -> None:
        if (source := self._source) is not None:
            self._source = None
            source.close()
            self._dropped.update(getattr(source, "drops", {}))
