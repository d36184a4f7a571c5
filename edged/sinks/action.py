"""What is done about events on the box itself: functions of installed packages, called beside the pipeline and never within it."""

from __future__ import annotations

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.domain.result import Event, Result
from edged.telemetry import logs

WAITING = 64
"""Events that wait for a slow action; one more is left out and counts as a failure: a pipeline waits for no relay."""
JUDGED = 20
"""So many of an action's latest runs make its rate of failure."""

Document = dict[str, Any]
Act = Callable[[Document], object]

_LOG = logging.getLogger("edged.action")


@dataclass(slots=True)
class _Record:
    """An action's latest runs: empty text for one that went well."""

    runs: deque[str] = field(default_factory=lambda: deque(maxlen=JUDGED))
    since_ns: int = 0


class Actions:
    """A sink that hands events to a thread of its own, which calls what each rule names, in order.

    Args:
        pipeline: its name, for people.
        wanted: names of actions by rule.
        load: gives an action by name; called in the thread.
        document: makes an event's document.
        clock: dates failures.
    """

    def __init__(
        self,
        pipeline: str,
        wanted: Mapping[str, Sequence[str]],
        load: Callable[[str], Act],
        document: Callable[[Event], Document],
        clock: Clock,
    ) -> None:
        self._pipeline = pipeline
        self._wanted = {rule: tuple(names) for rule, names in wanted.items()}
        self._load = load
        self._document = document
        self._clock = clock
        self._records = {name: _Record() for names in self._wanted.values() for name in names}
        self._acts: dict[str, Act] = {}
        self._lock = threading.Lock()
        self._inbox: queue.Queue[tuple[str, Document] | None] = queue.Queue(WAITING)
        # A daemon thread: an action that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"edged-act-{pipeline}", daemon=True)

    def __repr__(self) -> str:
        return f"<Actions of {self._pipeline}: {', '.join(self._records)}, {self._inbox.qsize()} waiting>"

    def result(self, _result: Result) -> None:
        """Leave results to others."""

    def event(self, event: Event) -> None:
        """Hand over an event of a rule that names actions; returns at once."""
        names = self._wanted.get(event.rule, ())
        if not names:
            return
        document = self._document(event)
        for name in names:
            try:
                self._inbox.put_nowait((name, document))
            except queue.Full:
                self._judge(name, f"left out, since {WAITING} events waited for it")

    def start(self) -> None:
        """Begin; the packages are imported in the thread."""
        self._thread.start()

    def close(self, timeout_s: float) -> bool:
        """Do what is still waiting and end; False when that took longer than it may."""
        if self._thread.ident is None:
            return True
        try:
            self._inbox.put(None, timeout=timeout_s)
        except queue.Full:
            return False
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def reasons(self) -> Sequence[Reason]:
        """Tell each action of whose latest runs some failed: how many, and how the last of them."""
        found = []
        for name, record in self._records.items():
            with self._lock:
                runs = list(record.runs)
            failures = [run for run in runs if run]
            if failures:
                message = (
                    f"action {name!r}: {len(failures)} of its last {len(runs)} runs failed, lately: {failures[-1]}"
                )
                found.append(Reason("action-failing", self._pipeline, message, record.since_ns, "see its package"))
        return found

    def _run(self) -> None:
        for name in self._records:
            if failure := self._loaded(name):
                self._judge(name, failure)
        while (waiting := self._inbox.get()) is not None:
            name, document = waiting
            # A copy for each: what one action does to its document is nothing to the next.
            self._judge(name, self._loaded(name) or self._called(name, dict(document)))

    def _loaded(self, name: str) -> str:
        """Load an action unless that is done; gives why it cannot be, or nothing."""
        try:
            self._acts[name] = self._acts.get(name) or self._load(name)
        except EdgedError as error:
            return str(error)
        return ""

    def _called(self, name: str, document: Document) -> str:
        """Call an action; gives why it failed, or nothing."""
        try:
            self._acts[name](document)
        except Exception as error:  # noqa: BLE001 - a package's own code runs here, and may raise whatever it likes
            return " ".join(f"{type(error).__name__}: {error}".split())
        return ""

    def _judge(self, name: str, failure: str) -> None:
        with self._lock:
            record = self._records[name]
            is_first = bool(failure) and not any(record.runs)
            record.runs.append(failure)
            if is_first:
                record.since_ns = self._clock.monotonic_ns()
        if is_first:
            logs.event(_LOG, "action.failed", level=logging.WARNING, action=name, why=failure)
