"""Tries a candidate in a limited child before anything changes: that it crashes, hangs or eats memory is a result like any other."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edged.assembly.box import Box, free_mb, ladder
from edged.assembly.models import golden_fault, open_rung
from edged.assembly.own_child import start_child
from edged.assembly.trial_child import FAILED, OPENS, PASSED, REFUSED, TrialOrder
from edged.assembly.uses import USUAL, Use
from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, DeviceError, RetryableError
from edged.domain.variant import Identity, Rung

PROGRAM = "from edged.assembly.trial_child import main; main()"
LOOK_S = 0.1
"""How often its memory is looked at: a runaway takes some hundred MB until then."""
DEADLINE_S = 60.0
OWN_MB = 200.0
"""What Python, NumPy, OpenCV and a runtime take besides the model."""
LATENCY_MARGIN = 2.0
"""Of a pipeline's latency, for a trial that runs beside the pipelines with the least priority; the probation looks closer."""
TAIL_BYTES = 300
_READ_BYTES = 65_536
_KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class Budget:
    """What a candidate may take; None is not bounded. ``latency_ms`` bounds the p95 of its calls."""

    latency_ms: float | None = None
    memory_mb: float | None = None
    deadline_s: float = DEADLINE_S


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended: ``reason`` is empty when it was passed. ``figures`` in ms and MB."""

    reason: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether the candidate may go live."""
        return not self.reason


def try_candidate(
    bundle: Bundle,
    box: Box,
    budget: Budget | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    uses: Sequence[Use] = USUAL,
) -> TrialResult:
    """Try, for each of the uses, the rung that would run; the next one where its file does not open on this box.

    An accelerator's rung is tried through its own sandbox, which is such a child already. The figures are the first use's. Raises
    DeviceError when it is the box that cannot: no fault of the bundle; RetryableError, code ``cancelled``, soon after ``cancelled``
    says so.
    """
    trials = _Trials(bundle, box, budget or Budget(memory_mb=free_mb(box)), cancelled)
    results: list[TrialResult] = []
    for use in uses or USUAL:
        results.append(trials.of(use))
        if not results[-1].passed:
            return results[-1]
    return results[0]


def try_rung(
    bundle: Bundle, rung: Rung, budget: Budget, cancelled: Callable[[], bool] = lambda: False
) -> tuple[TrialResult, bool]:
    """Try one rung, and tell whether its file opened. Raises as ``try_candidate``."""
    order = TrialOrder(
        str(bundle.folder.resolve()), rung.variant.id, rung.accelerator, rung.threads, cpu_s=2 * budget.deadline_s
    )
    with _log() as log:
        child = _Child(order, log)
        try:
            said, reason = child.watched(budget, cancelled)
        finally:
            child.end()
    if FAILED in said:
        raise DeviceError(said[FAILED]["message"], code=said[FAILED]["code"])
    reason = reason or said.get(REFUSED, "")
    figures = {name: float(value) for name, value in said.get(PASSED, {}).items()}
    return TrialResult(reason or _above(figures, budget), figures), OPENS in said


def _log() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:
        message = f"cannot try a model: no temporary file: {error.strerror}, expected a folder that takes one"
        raise DeviceError(
            message, remedy="free space, or set TMPDIR to a folder that edged may write", code="process"
        ) from error


class _Trials:
    """What was tried of a bundle: a rung that several uses choose is tried once."""

    def __init__(self, bundle: Bundle, box: Box, budget: Budget, cancelled: Callable[[], bool]) -> None:
        self._bundle, self._box, self._budget, self._cancelled = bundle, box, budget, cancelled
        self._opened: dict[Identity, TrialResult] = {}
        self._unopened: dict[tuple[str, str], BundleError | DeviceError] = {}

    def of(self, use: Use) -> TrialResult:
        """Try what a use would run. Raises DeviceError, RetryableError."""
        failed: dict[str, BundleError | DeviceError] = {}
        for rung in ladder(self._bundle, self._box, use.pin, use.objective).runnable:
            way = rung.variant.id, rung.accelerator
            if rung.identity not in self._opened and way not in self._unopened:
                self._try(rung)
            if rung.identity in self._opened:
                return _held(self._opened[rung.identity], use, rung)
            # What does not open does not open with another number of threads.
            failed[f"{rung.variant.id} on {rung.accelerator}"] = self._unopened[way]
        reasons = "; ".join(f"{name}: {error.args[0]}" for name, error in failed.items())
        if failed and all(isinstance(error, BundleError) for error in failed.values()):
            return TrialResult(reasons)
        manifest, pinned = self._bundle.manifest, f" pinned to {use.pin}" if use.pin else ""
        why = reasons or f"this box can run none of its variants{pinned}"
        message = f"cannot try {manifest.name} {manifest.version}: {why}"
        raise DeviceError(message, remedy=f"edged explain {manifest.name} shows every variant")

    def _try(self, rung: Rung) -> None:
        result: TrialResult | BundleError | DeviceError
        if self._box.engines.isolates(rung):
            result = self._isolated(rung)
        else:
            result, has_opened = try_rung(self._bundle, rung, self._budget, self._cancelled)
            result = result if has_opened or result.passed else BundleError(result.reason)
        if isinstance(result, TrialResult):
            self._opened[rung.identity] = result
        else:
            self._unopened[rung.variant.id, rung.accelerator] = result

    def _isolated(self, rung: Rung) -> TrialResult | BundleError | DeviceError:
        """Run the golden samples in the sandbox where it would run; gives why it did not open there."""
        try:
            model = open_rung(self._bundle, rung, self._box.engines)
        except (BundleError, DeviceError) as error:
            if self._box.lost is not None:
                self._box.lost.failed(rung, error)
            return error
        try:
            return TrialResult(golden_fault(self._bundle, rung.variant, model) or "")
        finally:
            model.engine.close()


def _held(result: TrialResult, use: Use, rung: Rung) -> TrialResult:
    """Hold what passed to the time that the use allows."""
    if not result.passed or use.latency_ms is None:
        return result
    late = _above(result.figures, Budget(latency_ms=LATENCY_MARGIN * use.latency_ms))
    return TrialResult(f"{rung.variant.id} on {rung.accelerator}: {late}" if late else "", result.figures)


def _above(figures: Mapping[str, float], budget: Budget) -> str:
    p95_ms, memory_mb = figures.get("p95_ms", 0.0), figures.get("peak_memory_mb", 0.0)
    if budget.latency_ms is not None and p95_ms > budget.latency_ms:
        return f"p95 of its calls {p95_ms:.1f} ms, expected at most {budget.latency_ms:.1f} ms"
    if budget.memory_mb is not None and memory_mb > budget.memory_mb:
        return f"takes {memory_mb:.0f} MB, expected at most {budget.memory_mb:.0f} MB"
    return ""


class _Child:
    """The process, what it says, and what it weighs."""

    def __init__(self, order: TrialOrder, log: IO[bytes]) -> None:
        self._log = log
        try:
            self._process = start_child(PROGRAM, order.text(), stdin=subprocess.DEVNULL, log=log)
        except OSError as error:
            message = f"cannot try a model: no process: {error.strerror}, expected one"
            raise DeviceError(message, code="process") from error
        self._heard = b""

    def watched(self, budget: Budget, cancelled: Callable[[], bool]) -> tuple[dict[str, Any], str]:
        """Wait for its end; gives what it said, and why it was ended or how it died (empty when it ended well)."""
        most_mb = None if budget.memory_mb is None else budget.memory_mb + OWN_MB
        until_s = time.monotonic() + budget.deadline_s
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - it is a pipe, as asked for above
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while True:
                if cancelled():
                    message = "cannot go on with the trial: it was cancelled"
                    raise RetryableError(message, code="cancelled")
                if selector.select(LOOK_S):
                    got = os.read(stdout.fileno(), _READ_BYTES)
                    if not got:
                        return self._said(), self._death()
                    self._heard += got
                memory_mb = self._memory_mb()
                if most_mb is not None and memory_mb > most_mb:
                    return self._said(), f"took {memory_mb:.0f} MB, expected at most {most_mb:.0f} MB"
                if time.monotonic() > until_s:
                    return self._said(), f"did not end within {budget.deadline_s:.0f} s"

    def end(self) -> None:
        """End the whole group, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _said(self) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for line in self._heard.splitlines():
            # The last line of one that was killed may be torn.
            with suppress(ValueError):
                said |= json.loads(line)
        return said

    def _death(self) -> str:
        status = self._process.wait()
        if status == 0:
            return ""
        how = f"crashed with {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"{how} in its trial{self._tail()}"

    def _tail(self) -> str:
        """Give the last line that it printed, if any."""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - TAIL_BYTES))
        lines = [line.strip() for line in self._log.read().decode("utf-8", "replace").split("\n")]
        said = [line for line in lines if line]
        return f": {said[-1]}" if said else ""

    def _memory_mb(self) -> float:
        try:
            text = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return 0.0
        rows = (line.split() for line in text.splitlines() if line.startswith("VmRSS:"))
        return next((int(row[1]) for row in rows), 0) / _KIB_PER_MIB
