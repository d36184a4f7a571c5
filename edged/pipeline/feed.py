"""One source and its thread: opened once, read once, handed to every pipeline that names it."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

from edged.domain.errors import ConfigError, DeviceError, EdgedError, SourceLostError
from edged.domain.frame import Frame, Samples
from edged.domain.health import Reason
from edged.domain.ports import Clock, Source
from edged.pipeline.backoff import Backoff
from edged.pipeline.pace import NS_PER_S, RateLimit, Recorded
from edged.pipeline.reader import Reader
from edged.pipeline.sight import Sight
from edged.telemetry import logs

Condition = Literal["opening", "live", "lost", "ended"]

SLICE_S = 0.25
"""The longest wait within one step: it bounds how late a stop is noticed, and the age of a waiting feed's heartbeat."""

OPENING_S = 15.0
"""A source that neither opens nor fails for this long is told: it may hang in a driver, or in the resolver of names."""

EMPTY_HANDED_S = 0.2
"""How long is waited for the end of a thread that has no source open: a camera that does not answer shall not take the time of others."""

STEADY_S = 10.0
"""A source that delivered for this long is well again: its next loss starts with the shortest delay."""

_LOG = logging.getLogger("edged.feed")


@runtime_checkable
class Counting(Protocol):
    """A source that drops some of what it reads (damaged pictures, rows out of order) says how much of it, by cause."""

    drops: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class FeedState:
    """How a source is. ``reason`` is empty while all is well; ``since_ns`` is the monotonic clock."""

    condition: Condition
    since_ns: int
    reason: str = ""
    error: EdgedError | None = None


class Feed:
    """Steps without a thread; ``start`` gives it one.

    A source that is lost is closed and opened again after a delay, for ever. A finite one (``reopen=False``) ends
    instead, with the error in ``state`` and in every mailbox: opening it again would deliver its frames twice.
    A ConfigError before the first frame ends it too: trying again changes nothing. Any other exception of a source's counts as its loss.

    Args:
        name: the source's, for people.
        open_source: opens it; called in the feed's own thread.
        clock: for heartbeat, states and pace.
        readers: one a pipeline; all get the same frames, which are read-only.
        fps: at most so many frames a second on the source's own time; the others are dropped by cause ``rate``.
        pace: ``recorded`` hands each item out when it is due by the source's own time, stamped then.
        reopen: whether a lost source is opened again.
        sight: looks at the pictures of a camera, for ``trouble``.
        backoff: the delays between tries.
        wait: waits for so many seconds, True when the feed shall stop meanwhile.
        slice_s: the longest wait within one step.
    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], Source],
        clock: Clock,
        *,
        readers: Sequence[Reader] = (),
        fps: float | None = None,
        pace: Literal["fast", "recorded"] = "fast",
        reopen: bool = True,
        sight: Sight | None = None,
        backoff: Backoff | None = None,
        wait: Callable[[float], bool] | None = None,
        slice_s: float = SLICE_S,
    ) -> None:
        self.name = name
        self.frames = 0
        self._open_source = open_source
        self._clock = clock
        self._readers = tuple(readers)
        self._rate = RateLimit(fps)
        self._recorded = Recorded() if pace == "recorded" else None
        self._reopen = reopen
        self._sight = sight
        self._backoff = backoff or Backoff()
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._slice_s = slice_s
        self._thread: threading.Thread | None = None
        self._source: Source | None = None
        self._held: Frame | Samples | None = None  # read, but not due yet
        self._pending: deque[tuple[Reader, Frame]] = deque()  # due, but its reader's place is taken
        self._drops: Counter[str] = Counter()
        self._closed_drops: Counter[str] = Counter()  # what sources that were closed had counted
        self._beat_ns = clock.monotonic_ns()
        self._retry_ns = 0
        self._state = FeedState("opening", self._beat_ns)

    @property
    def state(self) -> FeedState:
        """How the source is; one consistent value from any thread."""
        return self._state

    @property
    def ended(self) -> bool:
        """Whether there will never be another frame."""
        return self._state.condition == "ended"

    @property
    def trouble(self) -> Reason | None:
        """What is wrong with the pictures of a source that delivers; they are handed on all the same."""
        return self._sight.reason if self._sight and self._state.condition == "live" else None

    @property
    def hang(self) -> Reason | None:
        """That the source neither opens nor fails, which it cannot say itself."""
        state = self._state
        for_s = (self._clock.monotonic_ns() - state.since_ns) / NS_PER_S
        if self._thread is None or state.condition != "opening" or for_s <= OPENING_S:
            return None
        message = f"neither opens nor says why not, expected one of them within {OPENING_S:g} s"
        remedy = "look at the source: its power, its cable, the name server on the way to it"
        return Reason("source-hangs", self.name, message, state.since_ns, remedy, fatal=True)

    @property
    def heartbeat_ns(self) -> int:
        """Monotonic time of the thread's last step; it moves while the source is away too."""
        return self._beat_ns

    @property
    def drops(self) -> dict[str, int]:
        """Frames that no reader was offered, by cause; what a reader lost is its mailbox's to tell."""
        drops = self._drops + self._closed_drops
        if isinstance(source := self._source, Counting):
            drops.update(source.drops)
        return dict(drops)

    def start(self) -> None:
        """Begin in a thread of its own; returns at once."""
        # A daemon thread: a native read that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self.run, name=f"feed-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; returns at once. What its readers already hold can still be taken."""
        self._stop.set()
        if (source := self._source) is not None:
            source.close()

    def join(self, timeout_s: float) -> bool:
        """Wait until its thread has ended; False when it has not in time. One that hangs while it opens its source has nothing in hand."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s if self._source is not None else min(timeout_s, EMPTY_HANDED_S))
        return not self._thread.is_alive()

    def run(self) -> None:
        """Step until there is no more; the readers learn of the end even when a bug ends the thread."""
        broken = True
        self._state = FeedState("opening", self._clock.monotonic_ns())
        try:
            while self.step():
                pass
            broken = False
        finally:
            if broken:
                message = f"cannot read source {self.name!r} on: its thread met a fault of its own, expected none"
                self._end(EdgedError(message, remedy="report this with the log", code="internal"))

    def step(self) -> bool:
        """Open, read, wait or hand over, whichever is next; False once nothing will ever be next."""
        self._beat_ns = self._clock.monotonic_ns()
        if self._stop.is_set():
            self._end(None)
        if self.ended:
            return False
        if self._source is None:
            self._open()
        elif self._pending:
            self._hand_over()
        elif self._held is not None:
            self._release(self._held)
        else:
            self._read(self._source)
        return True

    def __repr__(self) -> str:
        """Say how the source is and for how long, and what went through."""
        state = self._state
        for_s = (self._clock.monotonic_ns() - state.since_ns) / NS_PER_S
        why = f" ({state.reason})" if state.reason else ""
        return (
            f"<Feed {self.name!r}: {state.condition} for {for_s:.1f} s{why}, {self.frames} frames, "
            f"drops {self.drops}, {len(self._readers)} readers>"
        )

    def _open(self) -> None:
        left_s = (self._retry_ns - self._beat_ns) / NS_PER_S
        if left_s > 0:
            self._wait(min(self._slice_s, left_s))
            return
        try:
            self._source = self._open_source()
        except DeviceError as error:
            self._lose(error)
        except ConfigError as error:
            self._misfits(error)
        except Exception as error:  # noqa: BLE001 - the supervisor's
            self._lose(self._own_fault(error))
        else:
            self._become("live")
            if self._sight is not None:
                self._sight.restart()
            for reader in self._readers:
                reader.restart()

    def _read(self, source: Source) -> None:
        try:
            item = source.read()
        except DeviceError as error:
            self._lose(error)
        except ConfigError as error:
            self._misfits(error)
        except Exception as error:  # noqa: BLE001 - the supervisor's
            self._lose(self._own_fault(error))
        else:
            if item is None:
                self._end(None)
            else:
                self._admit(item)

    def _misfits(self, error: ConfigError) -> None:
        """End what never can be read; what could be read before is away, such as a file that is being replaced."""
        if self.frames:
            self._lose(error)
        else:
            self._end(error)

    def _own_fault(self, error: Exception) -> SourceLostError:
        """Take a source's own bug for its loss: one odd byte shall not darken a box until somebody comes."""
        _LOG.exception("source.broken")
        message = f"cannot read source {self.name!r} on: it met a fault of its own, {type(error).__name__}: {error}, expected none"
        return SourceLostError(message, remedy="report this with the log", code="internal")

    def _admit(self, item: Frame | Samples) -> None:
        self.frames += 1
        if self._backoff.failures and self._beat_ns - self._state.since_ns > STEADY_S * NS_PER_S:
            self._backoff.reset()
        if isinstance(item, Frame):
            if not self._rate.passes(item.stamp.source_s):
                self._drops["rate"] += 1
                return
            if self._sight is not None:
                self._sight.look(item.data, item.stamp.mono_ns)
            item.data.flags.writeable = False  # several pipelines share it
        if self._recorded is None:
            self._fan_out(item)
        else:
            self._held = item

    def _release(self, item: Frame | Samples) -> None:
        """Hand out what a recording held, when it is due; its capture is now."""
        assert self._recorded is not None  # noqa: S101 - nothing is held otherwise
        now_ns = self._clock.monotonic_ns()
        left_s = (self._recorded.due_ns(item.stamp.source_s, now_ns) - now_ns) / NS_PER_S
        if left_s > 0:
            self._wait(min(self._slice_s, left_s))
            return
        self._held = None
        stamp = replace(item.stamp, mono_ns=now_ns, wall_ns=self._clock.wall_ns())
        self._fan_out(replace(item, stamp=stamp))

    def _fan_out(self, item: Frame | Samples) -> None:
        for reader in self._readers:
            self._pending.extend((reader, frame) for frame in self._frames_for(reader, item))
        self._hand_over()

    def _frames_for(self, reader: Reader, item: Frame | Samples) -> Sequence[Frame]:
        try:
            return reader.frames_of(item)
        except ConfigError as error:
            # This pipeline and this source do not go together; the source's other pipelines know nothing of it.
            reader.mailbox.close(error)
            self._readers = tuple(other for other in self._readers if other is not reader)
            return ()

    def _hand_over(self) -> None:
        while self._pending:
            reader, frame = self._pending[0]
            if not reader.offer(frame, self._slice_s):
                return
            self._pending.popleft()

    def _lose(self, error: ConfigError | DeviceError) -> None:
        if self._stop.is_set() or not self._reopen:
            self._end(error)
            return
        self._shut()
        delay_s = self._backoff.next_s()
        self._retry_ns = self._clock.monotonic_ns() + int(delay_s * NS_PER_S)
        self._become("lost", error)
        logs.event(
            _LOG,
            "source.lost",
            level=logging.WARNING,
            source=self.name,
            reason=str(error),
            retry_in_s=round(delay_s, 1),
        )

    def _end(self, error: EdgedError | None) -> None:
        if self.ended:
            return
        self._shut()
        cut_off = len(self._pending) + (self._held is not None)
        if cut_off:
            self._drops["stopped"] += cut_off
        self._pending.clear()
        self._held = None
        self._become("ended", error)
        logs.event(_LOG, "source.ended", source=self.name, frames=self.frames, reason=str(error or ""))
        for reader in self._readers:
            reader.mailbox.close(error)

    def _shut(self) -> None:
        if (source := self._source) is not None:
            source.close()
            if isinstance(source, Counting):
                self._closed_drops.update(source.drops)
            self._source = None

    def _become(self, condition: Condition, error: EdgedError | None = None) -> None:
        since_ns = self._clock.monotonic_ns()
        if condition == self._state.condition:  # still lost: the newest reason, since the first
            since_ns = self._state.since_ns
        self._state = FeedState(condition, since_ns, str(error or ""), error)
