"""Compiles models for this box's accelerators behind the running pipelines, one at a time; the next rung serves meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edged.assembly.adapters import adapter
from edged.assembly.box import Box, ladder, size_bytes
from edged.assembly.compiling import Compiling
from edged.assembly.engines import MEASURING_RUNS, WARMING_RUNS, figures
from edged.assembly.jobs import feel
from edged.assembly.side_part import SidePart
from edged.control.benchmark import hindrance
from edged.domain.bundle import Bundle
from edged.domain.errors import EdgedError
from edged.domain.message import Draft
from edged.domain.ports import Clock, Outbox
from edged.domain.variant import Rung
from edged.engines.engine_cache import Key
from edged.engines.providers import BUILT
from edged.fleet.topics import ALERT, Stamper, rfc3339
from edged.hardware.spare import LEAST_NICE
from edged.pipeline.line import Line
from edged.telemetry import logs

PART = ".building"
"""Its name among the daemon's parts; no source can have it."""
BUILDING, BUILT_NOW, UNBUILT = "engine-building", "engine-built", "engine-unbuilt"
"""The alerts' codes."""
SETTLE_S = 5.0
"""From the start: the pipelines come first, and compiling takes every processor that is left."""
TICK_S = 1.0
LOOK_AGAIN_S = 60.0
"""For what nobody tells of: a box that has cooled down, a try that is due again."""
LONGEST_S = 3600.0
"""TensorRT takes up to a quarter of an hour for a large model on a small Jetson; what takes longer hangs."""
FIRST_WAIT_S, LONGEST_WAIT_S = 60.0, 21_600.0
"""After a failure, doubled with each: a full disk or a library that is missing is mended by somebody."""
PRIORITY = 0

_LOG = logging.getLogger("edged.building")


@dataclass(frozen=True, slots=True)
class Job:
    """A rung whose model is not compiled for its device yet."""

    bundle: Bundle
    rung: Rung
    key: Key

    @property
    def words(self) -> str:
        """Name it for people."""
        return f"{self.rung.variant.id} of {self.bundle.manifest.name} for {self.rung.accelerator}"


class Building(SidePart):
    """A part of the daemon. ``bundles`` gives the models that are asked for, ``lines`` who is told when one is ready.

    ``news`` is another number when models may have changed: each look reads every file of every model.
    """

    def __init__(
        self,
        box: Box,
        compiling: Compiling,
        bundles: Callable[[], Sequence[Bundle]],
        news: Callable[[], int],
        lines: Callable[[], Sequence[Line]],
        outbox: Outbox,
        stamper: Stamper,
        *,
        settle_s: float = SETTLE_S,
    ) -> None:
        super().__init__("edged-building")
        self._box, self._compiling, self._bundles, self._lines = box, compiling, bundles, lines
        self._news, self._seen, self._again_ns = news, (-1, -1), 0
        self._outbox, self._stamper = outbox, stamper
        self._clock: Clock = stamper.clock
        self._settle_s = settle_s
        self._failures: dict[Key, tuple[int, int]] = {}
        """How often in a row, and when it may be tried again."""
        self._child: Any = None

    def __repr__(self) -> str:
        return f"<Building: {'compiles' if self._child is not None else 'waits'}, {self._compiling!r}>"

    def start(self) -> None:
        """Begin, in the background."""
        self._compiling.cache.sweep()
        super().start()

    def stop(self) -> None:
        """Ask it to end; a child in hand is ended at once."""
        super().stop()
        child = self._child
        if child is not None:
            child.process.kill()

    def step(self) -> bool:
        """Compile what is most wanted, if the box lets it; False when there was nothing to do."""
        job = self._next()
        if job is None:
            return False
        began_ns = self._clock.monotonic_ns()
        try:
            measured = self._compile(job)
        except EdgedError as error:
            if not self._stop.is_set():
                self._failed(job, error)
            return True
        finally:
            self._child = None
        self._failures.pop(job.key, None)
        self._compiling.changed(job.key)
        took_s = (self._clock.monotonic_ns() - began_ns) / 1e9
        message = f"compiled {job.words} in {took_s:.0f} s; a call takes {measured:.3g} ms"
        self._tell(BUILT_NOW, job, message, "")
        for line in self._lines():
            line.reload()
        return True

    def _run(self) -> None:
        self._stop.wait(self._settle_s)
        while not self._stop.is_set():
            try:
                while not self._stop.is_set() and self.step():
                    pass
            except Exception:  # noqa: BLE001 - the pipelines run on other rungs, too: whatever happens here is no reason to end
                _LOG.exception("building.broken")
            self._stop.wait(TICK_S)

    def _next(self) -> Job | None:
        """Give the best rung of a ladder that waits for nothing but this."""
        now_ns, seen = self._clock.monotonic_ns(), (self._news(), self._compiling.revision)
        if seen == self._seen and now_ns < self._again_ns:
            return None
        self._seen, self._again_ns = seen, now_ns + int(LOOK_AGAIN_S * 1e9)
        for bundle in self._bundles():
            for rung in ladder(bundle, self._box, holds=False, waits=False).runnable:
                if rung.accelerator not in BUILT or rung.variant.runtime != "onnx":
                    continue
                key = self._compiling.key(rung.variant, rung.accelerator)
                is_due = now_ns >= self._failures.get(key, (0, 0))[1]
                if is_due and not self._compiling.cache.has(key):
                    job = Job(bundle, replace(rung, figures=None), key)
                    why_not = hindrance(feel(self._box.root), size_bytes(bundle, rung.variant))
                    self._compiling.hindered(key, why_not)
                    self._seen = self._news(), self._compiling.revision
                    return None if why_not else job
        return None

    def _compile(self, job: Job) -> float:
        """Compile it, keep it, load it as it is kept and measure that; gives milliseconds a call. Raises EdgedError."""
        cache = self._compiling.cache
        making = cache.begin(job.key)
        self._compiling.changed(job.key)
        self._tell(BUILDING, job, f"compiles {job.words} ({job.key.device}); other variants serve meanwhile", "")
        self._open(job, making, WARMING_RUNS)
        kept = cache.finish(job.key)
        try:
            cost = self._open(job, kept, MEASURING_RUNS)
        except EdgedError:
            cache.drop(job.key)
            raise
        cache.accept(job.key)
        found = figures(cost, job.rung.threads)
        if self._box.engines.learned is not None:
            self._box.engines.learned(job.rung, found)
        return found.p50_ms

    def _open(self, job: Job, folder: Any, runs: int) -> Any:
        """Open it in a child and close it again; gives what that cost."""
        sandbox, engines = adapter("edged.engines.sandbox"), self._box.engines
        file = job.bundle.path_of(job.rung.variant)
        home = engines.home(job.rung)
        home = replace(home, nice=LEAST_NICE, patience=replace(home.patience, opening_s=LONGEST_S))
        child = self._child = sandbox.Sandbox("onnx", home, job.words)
        try:
            if self._stop.is_set():
                child.process.kill()
            return child.open(engines.order(file, job.rung, folder, runs), home).cost
        finally:
            child.close()

    def _failed(self, job: Job, error: EdgedError) -> None:
        tries = self._failures.get(job.key, (0, 0))[0] + 1
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(tries - 1, 16))
        self._failures[job.key] = tries, self._clock.monotonic_ns() + int(wait_s * 1e9)
        again_at = rfc3339(self._clock.wall_ns() + int(wait_s * 1e9))
        why = f"{error.args[0]}; tried again at {again_at}"
        self._compiling.failed(job.key, why)
        self._tell(UNBUILT, job, f"cannot compile {job.words}: {why}", error.remedy)

    def _tell(self, code: str, job: Job, message: str, remedy: str) -> None:
        """Write it into the log, and tell the fleet."""
        level = logging.WARNING if code == UNBUILT else logging.INFO
        logs.event(_LOG, code.replace("-", "."), level=level, model=job.bundle.manifest.name, message=message)
        body = {
            "schema": "edged.alert/1",
            "code": code,
            "component": job.bundle.manifest.name,
            "message": message,
            "remedy": remedy,
        }
        self._outbox.put(Draft(ALERT, {**body, **self._stamper.now()}, lane="event", priority=PRIORITY))
