"""A thread that makes steps, and builds what makes them anew when it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Literal, Protocol

from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.pipeline.backoff import Backoff
from edged.telemetry import logs

State = Literal["starting", "running", "paused", "failed", "ended", "stopped"]

LONGEST_WAIT_S = 60.0
"""A fault that lasts (a model that does not load) is tried again once a minute: cheap, and soon enough for a repaired box."""
STABLE_AFTER_S = 60.0
"""Steps for this long without a failure make the next failure a first one again."""
STEP_S = 1.0
"""How long a step may wait for a frame, and so how often the heart beats at least."""
BUILD_S = 120.0
"""How long a model may take to load and to be tried before the watchdog worries: a large one on the slowest board, from a cold SD card."""
BEAT_S = 1.0
"""How often the heart beats while it waits for the next attempt."""

_LOG = logging.getLogger("edged.worker")


class Steps(Protocol):
    """What a worker makes steps with."""

    def step(self, timeout_s: float) -> bool:
        """Make one step within about ``timeout_s``; False when there is nothing more to do, ever."""

    def close(self) -> None:
        """Free what was built."""

    @property
    def reason(self) -> Reason | None:
        """Why its steps are worth less than they should be; None when all is well."""


class Worker:
    """One thread around one thing that steps. A failure costs this worker a wait and nobody else anything.

    ``heartbeat_ns`` is the monotonic time of its last step; while it builds, the time until which it may. ``note`` is what its owner
    has to say of it although it runs (a lesser variant than wished for). ``wait`` sleeps for so many seconds, True when it shall stop.
    ``on_failure`` is called before each such wait. ``last_word`` is said when it ends for good, whatever state it is in then: from its
    own thread, or from that which waits for it in vain. A worker that is paused makes no step; it keeps what it built, unless a pause
    asks it to let go of that: then it is built again when it goes on, and ``rested`` is called once it is freed.
    ``is_replaceable`` says of a step's failure that something else can be built at once.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], Steps],
        clock: Clock,
        backoff: Backoff | None = None,
        wait: Callable[[float], bool] | None = None,
        on_failure: Callable[[], None] | None = None,
        last_word: Callable[[], None] = lambda: None,
        is_replaceable: Callable[[EdgedError], bool] = lambda _: False,
    ) -> None:
        self.name = name
        self.state: State = "starting"
        self.restarts = 0
        self.steps: Steps | None = None
        self.note: Reason | None = None
        self.heartbeat_ns = clock.monotonic_ns()
        self._build = build
        self._clock = clock
        self._backoff = backoff or Backoff(limit_s=LONGEST_WAIT_S)
        self._reason: Reason | None = None
        self.rested: Callable[[], None] = lambda: None
        self._pauses: dict[str, Reason] = {}
        self._lets_go = False
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._again = threading.Event()
        self._sleep = wait or self._wake.wait
        self._on_failure = on_failure
        self._last_word = last_word
        self._is_replaceable = is_replaceable
        self._at_once = False
        self._thread = threading.Thread(target=self._run, name=f"edged-{name}", daemon=True)

    def __repr__(self) -> str:
        return (
            f"<Worker {self.name}: {self.state}{f', {self._reason.message}' if self._reason else ''}, {self.steps!r}>"
        )

    @property
    def reason(self) -> Reason | None:
        """Why it is not running, or not as well as it could; None when all is well."""
        steps = self.steps
        paused = next(iter(self._pauses.values()), None)
        return self._reason or paused or (steps.reason if steps is not None else None) or self.note

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def building(self) -> None:
        """Let the time that building may take begin anew: who shares what it is built from has had its turn until now."""
        self.heartbeat_ns = self._clock.monotonic_ns() + int(BUILD_S * 1e9)

    def stop(self) -> None:
        """Ask to end after the step in hand."""
        self._stop.set()
        self._wake.set()

    def rebuild(self) -> None:
        """Build anew after the step in hand, without a failure: more has to change than can while it runs."""
        self._again.set()

    def retry(self) -> None:
        """Try again now what failed: its cause may have been mended. Without a failure nothing happens."""
        if self.state == "failed":
            self._wake.set()

    def pause(
        self,
        code: str = "paused",
        message: str = "is paused by a command",
        remedy: str = "send the command resume, or restart edged",
        *,
        lets_go: bool = False,
    ) -> None:
        """Make no step from the next one on, until ``resume`` with the same ``code``. May be called twice, and in any state.

        With ``lets_go`` what was built is freed, until nothing pauses it any more.
        """
        if code not in self._pauses:
            reason = Reason(code, self.name, message, self._clock.monotonic_ns(), remedy)
            self._pauses = {**self._pauses, code: reason}
        self._lets_go = self._lets_go or lets_go

    @property
    def paused_by(self) -> frozenset[str]:
        """The codes of what paused it."""
        return frozenset(self._pauses)

    def resume(self, code: str = "paused") -> None:
        """Go on, unless something else paused it, too. May be called twice, and without a pause."""
        self._pauses = {other: reason for other, reason in self._pauses.items() if other != code}
        if not self._pauses:
            self._lets_go = False
            if self.state == "paused":
                self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False when it did not come in time."""
        if self._thread.ident is None:  # it was never started
            return True
        self._thread.join(timeout_s)
        hangs = self._thread.is_alive()
        if hangs and self._stop.is_set():
            self._say_last_word()
        return not hangs

    def _run(self) -> None:
        has_ended = False
        while not (has_ended or self._stop.is_set()):
            if self._lets_go:
                self.rested()
                self._rest()
                continue
            has_ended = self._live()
            if self.state == "failed" and not self._at_once:
                self._wait(self._backoff.next_s())
        self._say_last_word()
        # A source that was stopped has ended, too; what was asked to stop has not done all there was.
        self.state = "stopped" if self._stop.is_set() else "ended"

    def _say_last_word(self) -> None:
        try:
            self._last_word()
        except Exception:  # noqa: BLE001 - as for its steps
            _LOG.exception("worker.last-word", extra={logs.FIELDS: {"worker": self.name}})

    def _live(self) -> bool:
        """Build, step until the end, a stop or a failure, and clean up; True at the end."""
        began_ns, self._at_once = self._beat(), False
        try:
            self.building()
            self._again.clear()
            self.steps = self._build()
            self.state, self._reason = "running", None
            ended = self._step_on(self.steps)
        except EdgedError as error:
            self._failed(error, error.code, error.remedy, began_ns)
            self._at_once = self.steps is not None and self._is_replaceable(error)
        except Exception as error:  # noqa: BLE001 - the supervisor is the one place where anything may arrive
            _LOG.exception("worker.broken", extra={logs.FIELDS: {"worker": self.name}})
            self._failed(error, "internal", "report this with the log", began_ns)
        else:
            return ended
        finally:
            steps, self.steps = self.steps, None
            if steps is not None:
                steps.close()
        return False

    def _step_on(self, steps: Steps) -> bool:
        while not (self._stop.is_set() or self._again.is_set()):
            if self._lets_go:
                return False
            if self._pauses:
                self._rest()
                continue
            more = steps.step(STEP_S)
            self.heartbeat_ns = self._clock.monotonic_ns()
            if not more:
                return True
        return False

    def _rest(self) -> None:
        """Wait until nothing pauses it; what has to be built again first counts as paused until it is."""
        self.state = "paused"
        while self._pauses and not self._stop.is_set() and not (self._lets_go and self.steps is not None):
            self._wait(BEAT_S)
        if self.steps is not None and not self._lets_go:
            self.state = "running"

    def _failed(self, error: Exception, code: str, remedy: str, began_ns: int) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - began_ns > STABLE_AFTER_S * 1e9:
            self._backoff.reset()
        self.restarts += 1
        self.state = "failed"
        message = error.args[0] if isinstance(error, EdgedError) and error.args else f"{type(error).__name__}: {error}"
        self._reason = Reason(code, self.name, str(message), now_ns, remedy, fatal=True)
        logs.event(_LOG, "worker.failed", level=logging.ERROR, worker=self.name, error=error, restarts=self.restarts)
        if self._on_failure is not None:
            self._on_failure()

    def _wait(self, wait_s: float) -> None:
        left_s = wait_s
        while left_s > 0 and not self._sleep(min(BEAT_S, left_s)):
            left_s -= BEAT_S
            self._beat()
        self._wake.clear()

    def _beat(self) -> int:
        self.heartbeat_ns = self._clock.monotonic_ns()
        return self.heartbeat_ns
