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

    def finish(self) -> None:
        """Say the last word; called once, when the worker ends for good."""

    def close(self) -> None:
        """Free what was built."""


class Worker:
    """One thread around one thing that steps. A failure costs this worker a wait and nobody else anything.

    ``heartbeat_ns`` is the monotonic time of its last step; while it builds, the time until which it may. ``note`` is what its owner
    has to say of it although it runs (a lesser variant than wished for). ``wait`` sleeps for so many seconds, True when it shall stop.
    ``on_failure`` is called before each such wait. A worker that is paused keeps what it built and makes no step.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], Steps],
        clock: Clock,
        backoff: Backoff | None = None,
        wait: Callable[[float], bool] | None = None,
        on_failure: Callable[[], None] | None = None,
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
        self._pause: Reason | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._sleep = wait or self._wake.wait
        self._on_failure = on_failure
        self._thread = threading.Thread(target=self._run, name=f"edged-{name}", daemon=True)

    def __repr__(self) -> str:
        return (
            f"<Worker {self.name}: {self.state}{f', {self._reason.message}' if self._reason else ''}, {self.steps!r}>"
        )

    @property
    def reason(self) -> Reason | None:
        """Why it is not running, or not as well as it could; None when all is well."""
        return self._reason or self._pause or self.note

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

    def retry(self) -> None:
        """Try again now what failed: its cause may have been mended. Without a failure nothing happens."""
        if self.state == "failed":
            self._wake.set()

    def pause(self) -> None:
        """Make no step from the next one on, until ``resume``. May be called twice, and in any state."""
        if self._pause is None:
            message, remedy = "is paused by a command", "send the command resume, or restart edged"
            self._pause = Reason("paused", self.name, message, self._clock.monotonic_ns(), remedy)

    def resume(self) -> None:
        """Go on. May be called twice, and without a pause."""
        self._pause = None
        if self.state == "paused":
            self._wake.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False when it did not come in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            if self._live():
                self.state = "ended"
                return
            if self.state == "failed":
                self._wait(self._backoff.next_s())
        self.state = "stopped"

    def _live(self) -> bool:
        """Build, step until the end, a stop or a failure, and clean up; True at the end."""
        began_ns = self._beat()
        try:
            self.building()
            self.steps = self._build()
            self.state, self._reason = "running", None
            ended = self._step_on(self.steps)
            self.steps.finish()
        except EdgedError as error:
            self._failed(error, error.code, error.remedy, began_ns)
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
        while not self._stop.is_set():
            if self._pause is not None:
                self._rest()
                continue
            more = steps.step(STEP_S)
            self.heartbeat_ns = self._clock.monotonic_ns()
            if not more:
                return True
        return False

    def _rest(self) -> None:
        self.state = "paused"
        while self._pause is not None and not self._stop.is_set():
            self._wait(BEAT_S)
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
