"""Measures one candidate in a child process, with a deadline for each of its steps: a crash or a hang is a result like any other."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil

from edged.assembly.candidate import ENDED, FAILED, LOADED, SAMPLES, Order
from edged.assembly.own_child import start_child
from edged.control.benchmark import Effort, Later, Outcome, Run, Sample, Unfit, overdue
from edged.control.downfall import death, failure
from edged.hardware.spare import waiting_ns

Rest = Callable[[float], bool]
"""Called after so many seconds of processor time; comes back when there may be more, with False when there shall be none.

By the clock it may have been longer: what waits for a processor disturbs nobody.
"""

PROGRAM = "from edged.assembly.candidate import main; main()"
TAIL_BYTES = 2000
LOOK_S = 0.5
"""How often is looked what keeps an answer."""
LEAST_WORK_S = 0.01
"""What the kernel counts processor time in."""
_READ_BYTES = 65_536


def measure(order: Order, effort: Effort, rest: Rest) -> Outcome:
    """Measure and give what came of it; the child has ended then, whatever it did."""
    with tempfile.TemporaryFile() as log:
        try:
            child = _Child(order, log)
        except OSError as error:
            return Later(f"cannot start a process: {error.strerror}")
        try:
            return _measured(child, effort, rest)
        except _FellError as fell:
            return fell.outcome
        finally:
            child.end()


def _measured(child: _Child, effort: Effort, rest: Rest) -> Outcome:
    loaded = child.answer(LOADED, "loading", effort)
    samples: list[Sample] = []
    while not effort.is_enough(samples):
        if not rest(child.worked_s()):
            return Later("it was called off")
        child.ask(effort.burst_ms)
        samples += [Sample(*row) for row in child.answer(SAMPLES, "a call", effort)]
    child.ask(None)
    ended = child.answer(ENDED, "the end", effort)
    rest(child.worked_s())
    return Run(tuple(samples), loaded["load_ms"], ended["peak_memory_mb"])


class _FellError(Exception):
    """The child gave no answer."""

    def __init__(self, outcome: Unfit | Later) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


class _Child:
    """The process and both ends of its pipes."""

    def __init__(self, order: Order, log: Any) -> None:
        self._log = log
        self._process = start_child(PROGRAM, order.text(), stdin=subprocess.PIPE, log=log)
        self._heard = b""
        self._worked_s = 0.0

    def worked_s(self) -> float:
        """Give the processor time, in seconds, that it took since it was asked last."""
        before = self._worked_s
        # A child that has ended keeps its times until it is waited for.
        with suppress(psutil.Error):
            times = psutil.Process(self._process.pid).cpu_times()
            self._worked_s = times.user + times.system
        return max(LEAST_WORK_S, self._worked_s - before)

    def ask(self, burst_ms: float | None) -> None:
        """Ask for a burst, or with None for the end."""
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - it is a pipe, as asked for above
        # A child that is gone is found when its answer is read.
        with suppress(OSError):
            if burst_ms is None:
                stdin.close()
            else:
                stdin.write(f"{burst_ms}\n".encode())
                stdin.flush()

    def answer(self, what: str, doing: str, effort: Effort) -> Any:
        """Wait for the next line. Raises _FellError when there is none, or when it tells of a failure."""
        try:
            document = json.loads(self._line(doing, effort))
            return document[what] if what in document else self._failed(document[FAILED])
        except (ValueError, KeyError) as error:
            raise _FellError(Unfit(f"the child said something else than expected: {error}")) from error

    def end(self) -> None:
        """End the whole group, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _line(self, doing: str, effort: Effort) -> bytes:
        began_s, waited_ns = time.monotonic(), waiting_ns(str(self._process.pid))
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - it is a pipe, as asked for above
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                if not selector.select(min(LOOK_S, effort.deadline_s)):
                    waited_s = (waiting_ns(str(self._process.pid)) - waited_ns) / 1e9
                    if late := overdue(waited_s, time.monotonic() - began_s, effort, doing):
                        raise _FellError(late)
                    continue
                got = os.read(stdout.fileno(), _READ_BYTES)
                if not got:
                    raise _FellError(self._died(doing))
                self._heard += got
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def _died(self, doing: str) -> Unfit | Later:
        return death(self._process.wait(), doing, self._said())

    def _failed(self, told: dict[str, str]) -> Any:
        raise _FellError(failure(told["kind"], told["message"]))

    def _said(self) -> str:
        """Give the last that it printed."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - TAIL_BYTES))
        return str(self._log.read().decode("utf-8", "replace"))
