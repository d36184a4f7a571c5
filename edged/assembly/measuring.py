"""Measures, behind the running pipelines, what was not measured on this box yet: one candidate at a time, in the time that they spare.

A child lives for a spell of a second or two, and ends before the rest that it owes the pipelines, which may be minutes: what rests would
hold its model's memory. What takes longer than a spell is measured in several.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from edged.assembly.bench import Rest, measure
from edged.assembly.box import Box
from edged.assembly.candidate import Order
from edged.assembly.figures_store import FiguresStore
from edged.assembly.jobs import Job, feel, jobs, name_of, record
from edged.assembly.side_part import SidePart
from edged.assembly.supply import Supply
from edged.assembly.witness import Witness
from edged.control.benchmark import (
    Effort,
    Later,
    Outcome,
    Run,
    hindrance,
    judge,
    retry_after_s,
)
from edged.control.pace import pause_s
from edged.domain.figures import Subject
from edged.domain.ports import Clock
from edged.pipeline.line import Line
from edged.telemetry import logs

PART = ".measuring"
"""Its name among the daemon's parts; no source can have it."""
SETTLE_S = 20.0
"""After pipelines were started or changed: their first frames are no measure, and a start is disturbed by everything."""
BACKGROUND = Effort(measure_s=0.3, max_runs=200, starved_s=10.0)
"""Every call costs the pipelines' patience; 30 give a median within a few per cent. On a busy box a child waits for its processor for ten
seconds and is ended: it would hold its memory, and give no figures that count."""
SPELL_S = 1.0
"""Of calls, about as much as starting a child and loading a model take: to begin again costs no more than what it was begun for."""
TICK_S = 2.0
"""How often is looked whether something is left to measure, and for figures that ``edgectl bench`` has written meanwhile."""
NEVER_NS = 1 << 62
SLICE_S = 1.0

Key = tuple[Subject, int]
"""What is measured, and with how many threads: its place on the ladder changes with what is learned."""

_LOG = logging.getLogger("edged.measuring")


class Measuring(SidePart):
    """A part of the daemon: measures what ``supply`` has opened, and asks the lines to look again when something was learned."""

    def __init__(
        self,
        box: Box,
        store: FiguresStore,
        supply: Supply,
        lines: Callable[[], Sequence[Line]],
        clock: Clock,
        *,
        effort: Effort | None = None,
        settle_s: float = SETTLE_S,
        measures: Callable[[Order, Effort, Rest], Outcome] = measure,
    ) -> None:
        super().__init__("edged-measuring")
        self._box, self._store, self._supply, self._lines, self._clock = box, store, supply, lines, clock
        self._effort = effort or BACKGROUND
        self._settle_s = settle_s
        self._measures = measures
        self._parts: dict[Key, Run] = {}
        """What was measured in spells that were not enough yet."""
        self._owed_s = 0.0
        self._witness = Witness(lines)
        self._not_before: dict[Key, tuple[int, int]] = {}
        self._calm_ns = clock.monotonic_ns()
        store.known()
        self._told = store.revision
        self._seen = (-1, -1)
        self._again_ns = 0
        self._doing = "waits"

    def __repr__(self) -> str:
        return f"<Measuring: {self._doing}, {self._store!r}>"

    def step(self) -> bool:
        """Measure the most urgent candidate, if the box lets it; False when there was none."""
        job = self._next()
        if job is None:
            return False
        why_not = hindrance(feel(), job.candidate.size_bytes)
        if why_not:
            self._put_off(job, Later(why_not))
            return True
        self._doing = f"measures {name_of(job)}"
        logs.event(_LOG, "candidate.begun", level=logging.DEBUG, candidate=name_of(job))
        self._witness.look(busy=False)
        spell = replace(self._effort, patience=SPELL_S / self._effort.measure_s)
        outcome = self._measures(job.order(polite=True), spell, self._worked)
        self._doing = "waits"
        if not self._stop.is_set():
            self._take(job, outcome)
        self._rest()
        return True

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            try:
                while self.tick():
                    pass
            except Exception:  # noqa: BLE001 - the pipelines run without figures, too: whatever happens here is no reason to end
                _LOG.exception("measuring.broken")

    def tick(self) -> bool:
        """Look whether the pipelines are calm and something is left to do, and do it; False when it was nothing."""
        self._witness.look(busy=False)
        self._tell_news()
        now_ns = self._clock.monotonic_ns()
        if not self._is_calm():
            self._calm_ns = now_ns
        is_settled = now_ns - self._calm_ns >= self._settle_s * 1e9
        return not self._stop.is_set() and is_settled and self._has_news(now_ns) and self.step()

    def _tell_news(self) -> None:
        """Let the pipelines look again when figures are new, whoever measured them."""
        self._store.known()
        if self._told == self._store.revision:
            return
        self._told = self._store.revision
        for line in self._lines():
            line.reload()

    def _is_calm(self) -> bool:
        return self._witness.is_calm() and not self._supply.is_busy

    def _has_news(self, now_ns: int) -> bool:
        """Whether another look can find something: it reads every file of every model."""
        return (self._store.revision, self._supply.looks) != self._seen or now_ns >= self._again_ns

    def _next(self) -> Job | None:
        now_ns = self._clock.monotonic_ns()
        found = jobs(self._supply.bundles(), self._box, self._store)
        self._seen = self._store.revision, self._supply.looks
        ready = [job for job in found if self._not_before.get(_key(job), (0, 0))[1] <= now_ns]
        waiting = [self._not_before[_key(job)][1] for job in found if job not in ready]
        self._again_ns = now_ns if len(ready) > 1 else min(waiting, default=NEVER_NS)
        return ready[0] if ready else None

    def _worked(self, busy_s: float) -> bool:
        """Note so much work of the child; whether it may go on."""
        self._witness.look(busy=True)
        self._owed_s += busy_s
        return not self._stop.is_set()

    def _rest(self) -> None:
        """Rest after the work of a spell, as long as the pipelines ask for."""
        share, busy_s, self._owed_s = self._witness.share(), self._owed_s, 0.0
        left_s = pause_s(busy_s, share)
        logs.event(_LOG, "candidate.rests", level=logging.DEBUG, worked_s=busy_s, share=share, rest_s=left_s)
        while left_s > 0 and not self._stop.wait(min(SLICE_S, left_s)):
            left_s -= SLICE_S
            self._witness.look(busy=False)
            if not self._is_calm():
                left_s = max(left_s, self._settle_s)

    def _take(self, job: Job, outcome: Outcome) -> None:
        """Add what a spell gave to what was measured before, and learn from the whole once it is enough."""
        before = self._parts.get(_key(job))
        if isinstance(outcome, Later):
            # What was measured before holds: a model of many spells would never be measured on a box that is busy now and then.
            self._put_off(job, outcome)
            return
        self._parts.pop(_key(job), None)
        whole = _joined(before, outcome) if before is not None and isinstance(outcome, Run) else outcome
        if isinstance(whole, Run) and not self._effort.is_enough(whole.samples):
            self._parts[_key(job)] = whole
            self._again_ns = self._clock.monotonic_ns()
            return
        self._learn(job, whole)

    def _learn(self, job: Job, outcome: Outcome) -> None:
        result = judge(outcome, job.candidate.threads, feel()) if isinstance(outcome, Run) else outcome
        if isinstance(result, Later):
            self._put_off(job, result)
            return
        self._not_before.pop(_key(job), None)
        record(self._store, job, result, self._clock)

    def _put_off(self, job: Job, why: Later) -> None:
        tries = self._not_before.get(_key(job), (0, 0))[0] + 1
        wait_s = retry_after_s(tries)
        again_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        self._not_before[_key(job)] = tries, again_ns
        self._again_ns = min(self._again_ns, again_ns)
        logs.event(_LOG, "candidate.postponed", candidate=name_of(job), reason=why.reason, again_in_s=wait_s)


def _joined(one: Run, other: Run) -> Run:
    """Take two spells as one: the file is in the page cache at the second, so that the first says what loading takes."""
    return Run((*one.samples, *other.samples), one.load_ms, max(one.peak_memory_mb, other.peak_memory_mb))


def _key(job: Job) -> Key:
    return job.candidate.subject, job.candidate.threads
