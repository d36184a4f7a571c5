"""A pipeline's watch for drift: figures of its frames and answers, kept for learning, held against a reference, alarms to the fleet."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edged.assembly.drift_files import DriftFiles, keep, read_reference
from edged.assembly.models import Opened
from edged.config import schema
from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.health import Reason
from edged.domain.message import Draft
from edged.domain.ports import Clock, Outbox
from edged.domain.result import Output
from edged.fleet.topics import ALERT, Stamper
from edged.hardware.gathered import scatter
from edged.pipeline.drift import Finding, Monitor, evidence
from edged.pipeline.drift_learning import Row
from edged.pipeline.reference import Reference
from edged.pipeline.traits import traits
from edged.telemetry import logs

NS_PER_S = 1_000_000_000
FLUSH_ROWS = 30
"""Samples that are written together: five minutes of them, and a write every five minutes wears no card."""
MOST_ROWS = 360
"""While a disk hangs no more samples than the last hour's are held."""
PRIORITY = 0
MOST_UNSAID = 32
REMEDY = (
    "look at the camera or sensor, and at what it sees; if this is normal now, learn it: edgectl drift learn {pipeline}"
)
OUTPUTS = "output."

_LOG = logging.getLogger("edged.drift")


@dataclass(frozen=True, slots=True)
class Runs:
    """What runs: the model by name and version, whatever its variant, and the reference in its bundle, if there is one."""

    model: str
    bundled: Path | None


class Drifting:
    """Watches one pipeline; outlives its models. A loop's refinement that changes no answer, so that it sees only answers that count.

    ``runs`` may be called from any thread, and so may ``reasons``; everything else is the worker's. ``is_unwell`` says whether the source
    is in trouble of its own (dark, frozen), which is told as such: what it gives then is neither judged nor learned from.
    """

    is_unwell: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(self, pipeline: str, settings: schema.Drift, state: Path, outbox: Outbox, stamper: Stamper) -> None:
        """Nothing is read before the first frame."""
        self._pipeline, self._every_s = pipeline, settings.every_s
        self._files = DriftFiles(state, pipeline)
        self._outbox, self._stamper = outbox, stamper
        self._clock: Clock = stamper.clock
        self._runs: Runs | None = None
        self._monitor: Monitor | None = None
        self._against: tuple[Runs, int] | None = None
        self._last_s: float | None = None
        self._rows: deque[tuple[Row, str]] = deque(maxlen=MOST_ROWS)
        self._is_asked = False
        self._stands: tuple[Reference, dict[str, object]] | None = None
        self._lock = threading.Lock()
        """Of what is to be written, which the thread that writes takes."""
        self._unsaid: list[Finding] = []
        self._since_ns: dict[str, int] = {}
        self._trouble: Reason | None = None
        self._writing: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Drifting {self._pipeline}: {self._monitor or 'no reference'}>"

    def runs(self, opened: Opened) -> None:
        """Take that another model runs from the next frame on."""
        ref, named = opened.model.ref, opened.bundle.manifest.drift
        self._runs = Runs(f"{ref.name} {ref.version}", opened.bundle.folder / named.reference if named else None)

    def __call__(self, output: Output, frame: Frame) -> Output:
        """Take a frame and its answer; gives the answer as it is."""
        runs = self._runs
        if runs is not None and not self.is_unwell() and self._is_due(frame.stamp.source_s):
            self._sample(runs, Row(frame.stamp.wall_ns / NS_PER_S, frame.stamp.source_s, traits(frame, output)))
        return output

    def reasons(self) -> Sequence[Reason]:
        """Say what drifts, and why nothing is watched where that is a fault."""
        trouble, monitor = self._trouble, self._monitor
        found = [trouble] if trouble is not None else []
        names = monitor.drifting if monitor is not None else ()
        if names:
            message = f"is no longer as its reference says: {', '.join(names)}"
            since_ns = min(self._since_ns.get(name, self._clock.monotonic_ns()) for name in names)
            found.append(Reason("drift", self._pipeline, message, since_ns, REMEDY.format(pipeline=self._pipeline)))
        return found

    def close(self) -> None:
        """Have it written down where it stands. May be called twice, and goes on with the next frame.

        Returns at once, since the next rung has to see again; the thread that writes keeps the process from ending before it is done.
        """
        if self._rows or self._monitor is not None:
            self._write_aside()

    @property
    def _is_writing(self) -> bool:
        writing = self._writing
        return writing is not None and writing.is_alive()

    def _is_due(self, source_s: float) -> bool:
        last_s = self._last_s
        if last_s is not None and 0 <= source_s - last_s < self._every_s - 1e-6:
            return False
        self._last_s = source_s
        return True

    def _sample(self, runs: Runs, row: Row) -> None:
        self._look_for_reference(runs)
        with self._lock:
            self._rows.append((row, runs.model))
        monitor = self._monitor
        if monitor is not None:
            findings = monitor.step(row.source_s, row.wall_s, row.traits, is_dated=self._clock.synced())
            for finding in findings:
                self._since_ns[finding.name] = self._clock.monotonic_ns()
            self._unsaid = [*self._unsaid, *findings][-MOST_UNSAID:]
        self._say()
        if len(self._rows) >= FLUSH_ROWS and not self._is_writing:
            self._write_aside()

    def _write_aside(self) -> None:
        """Write on a thread of its own, and one alone: a disk may take seconds, or hang, and no frame waits for it."""
        monitor = self._monitor
        with self._lock:
            self._is_asked = True
            self._stands = (monitor.reference, monitor.state()) if monitor is not None else None
            if not self._is_writing:
                self._writing = threading.Thread(target=self._write, name=f"edged-drift-{self._pipeline}")
                self._writing.start()

    def _look_for_reference(self, runs: Runs) -> None:
        """Take another reference when another model runs, or another reference of the site's lies there."""
        against = runs, self._files.age()
        if against == self._against:
            return
        self._against, self._trouble = against, None
        try:
            reference = self._reference(runs)
        except BundleError as error:
            reference, now_ns = None, self._clock.monotonic_ns()
            logs.event(_LOG, "drift.unread", level=logging.ERROR, pipeline=self._pipeline, error=error)
            self._trouble = Reason(error.code, self._pipeline, str(error.args[0]), now_ns, error.remedy)
        self._monitor = Monitor(reference, self._files.read_state(reference)) if reference is not None else None
        logs.event(_LOG, "drift.watches", pipeline=self._pipeline, features=len(reference.features) if reference else 0)

    def _reference(self, runs: Runs) -> Reference | None:
        """Give the site's own, else the bundle's. One that was learned on another model says nothing of what this one puts out."""
        reference = read_reference(self._files.reference)
        if reference is None:
            return read_reference(runs.bundled) if runs.bundled is not None else None
        if reference.about.get("model") == runs.model:
            return reference
        inputs = tuple(one for one in reference.features if not one.name.startswith(OUTPUTS))
        return Reference(inputs, reference.about) if inputs else None

    def _write(self) -> None:
        """Write as long as somebody asked for it while the disk took its time."""
        scatter()
        while (taken := self._taken()) is not None:
            rows, stands = taken
            if rows:
                keep("history", partial(self._files.append, rows))
            if stands is not None:
                keep("state", partial(self._files.write_state, *stands))

    def _taken(self) -> tuple[list[tuple[Row, str]], tuple[Reference, dict[str, object]] | None] | None:
        with self._lock:
            if not self._is_asked:
                self._writing = None
                return None
            rows = list(self._rows)
            self._rows.clear()
            self._is_asked = False
            return rows, self._stands

    def _say(self) -> None:
        """Tell the fleet; what the outbox does not take now is told with a later sample."""
        while self._unsaid and self._outbox.put(self._draft(self._unsaid[0])):
            finding = self._unsaid.pop(0)
            told = evidence(finding)
            code = "drift.found" if finding.kind == "drift" else "drift.over"
            logs.event(_LOG, code, level=logging.WARNING, pipeline=self._pipeline, evidence=told)

    def _draft(self, finding: Finding) -> Draft:
        last = finding.verdicts[-1]
        drifts = finding.kind == "drift"
        statement = (
            f"{finding.name} is no longer as its reference says: stability index {last.stability:.2f}"
            f" (limit {last.feature.limits.stability:.2f}), rise of its mean {last.rise:.2f}"
            f" (limit {last.feature.limits.rise:.2f})"
        )
        body = {
            "schema": "edged.alert/1",
            "code": finding.kind,
            "component": self._pipeline,
            "message": statement if drifts else f"{finding.name} is again as its reference says",
            "remedy": REMEDY.format(pipeline=self._pipeline) if drifts else "",
            "evidence": evidence(finding),
        }
        return Draft(ALERT, {**body, **self._stamper.now()}, lane="event", priority=PRIORITY)
