"""One loaded model at work: who asks waits in one bounded line, and as many instances as pay answer it.

A deadline holds in the line: who has waited so long is refused then, and not after the run that was in the way. Once a run has begun
it comes to its end, and its answer is given. The turn on a processor is taken before the job is, so that waiting for it is waiting in
the line, too. Where the box gains by it, jobs that wait share a run (see ``edged.api.batching``).
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from edged.api import batching
from edged.api.counts import Counts, Took
from edged.api.outcome import Outcome
from edged.api.ports import Brought, Instance
from edged.api.refusal import RefusedError, refusal
from edged.api.scaling import Scaling
from edged.api.waiting import Waiting
from edged.domain.errors import BudgetError, DeviceError, EdgedError, EngineLostError
from edged.domain.ports import Clock
from edged.domain.tensor import Array
from edged.telemetry import logs

LOOK_S = 1.0
"""How often an instance that has nothing to do asks whether it is still needed."""
LEAVE_S = 10.0
"""What runs that have begun get when a model is unloaded."""
SMOOTHING = 0.1
"""Of the time that a run takes, for telling clients when to come again."""
NS_PER_S, NS_PER_MS = 1_000_000_000, 1_000_000

_LOG = logging.getLogger("edged.serving")


@dataclass(eq=False, slots=True)
class Job:
    """What is asked of an instance: ``ask`` is called with it, on its thread, and ``outcome`` told what came of it."""

    ask: Callable[[Instance], Any]
    deadline_ns: int
    arrived_ns: int
    began_ns: int = 0
    """When its run began; 0 before."""
    outcome: Outcome = field(default_factory=Outcome)
    tensors: Sequence[Array] | None = None
    """What the engine is given for it; None when it cannot share a run."""
    rows: int = 1
    """How many items they bring."""
    level: int = 0


@dataclass(frozen=True, slots=True)
class Batches:
    """How many items may share a run, and how long the first of them waits for others."""

    most: int = 1
    delay_s: float = 0.0


ALONE = Batches()


class Served:
    """A model that is ready: opened once and warmed up. ``close`` ends it. Thread-safe."""

    def __init__(self, brought: Brought, clock: Clock, queue: int, batches: Batches = ALONE) -> None:
        """Open the first instance, which takes as long as loading does. ``queue`` jobs may wait. Raises EdgedError."""
        self.brought = brought
        self.batch = 1
        """So many items share a run now."""
        self._batches = batches
        self._may_batch = batches.most > 1 and batching.is_batchable(brought.inputs, brought.outputs)
        self.counts = Counts()
        self._clock = clock
        self._waiting: Waiting[Job] = Waiting(queue)
        self._scaling = Scaling(brought.most, clock.monotonic_ns())
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._learner: threading.Thread | None = None
        self._run_ns = 0.0
        self._lost: RefusedError | None = None
        self._absent = 0
        """Of the instances, how many are lost and not opened again."""
        self._hire(self._another())

    def __repr__(self) -> str:
        about = f"{self.brought.name} {self.brought.version}"
        return f"<Served {about}: {self.instances} instances, {len(self._waiting)} wait>"

    @property
    def instances(self) -> int:
        """How many instances work."""
        return len(self._threads)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._waiting)

    @property
    def lost(self) -> RefusedError | None:
        """Why no instance can be had, after one failed; None while all is well."""
        return self._lost

    def check_room(self) -> None:
        """Raise RefusedError when the line is full now: who knows that needs not read the request first."""
        if self._waiting.is_full:
            self.counts.refused("overloaded")
            raise self._full()

    def submit(self, job: Job, level: int = 0) -> None:
        """Let a job wait for an instance; 1 is a higher ``level`` than 2. Raises RefusedError, at once, when the line is full."""
        if self._lost is not None:
            raise self._lost.again()
        job.level = level
        tensors = job.tensors
        if not self._waiting.put(job, level):
            self.counts.refused("overloaded")
            raise self._full()
        if self._may_batch and tensors is not None and len(self._waiting) > 1:
            self._begin_to_learn(batching.shape_of(tensors))

    def withdraw(self, job: Job) -> bool:
        """Take a job out of the line; False when it runs, or ran."""
        return self._waiting.withdraw(job)

    def close(self) -> None:
        """Refuse who waits, let runs that have begun end, and free the model."""
        for job in self._waiting.close():
            _refuse(job, RefusedError(f"cannot run {self.brought.name!r}: it is being unloaded", "unready"))
        with self._lock:
            self._may_batch, learner = False, self._learner
        for thread in (*self._threads, *((learner,) if learner is not None else ())):
            thread.join(LEAVE_S)
        self.brought.close()

    def _full(self) -> RefusedError:
        name, waiting = self.brought.name, len(self._waiting)
        if self._waiting.closed:
            return RefusedError(f"cannot run {name!r}: it is being unloaded", "unready")
        seconds = max(1, math.ceil(waiting * self._run_ns / max(1, self.instances) / NS_PER_S))
        message = f"cannot run {name!r} now: {waiting} requests wait already, expected fewer"
        return RefusedError(message, "overloaded", remedy="come again later", retry_after_s=seconds)

    def _hire(self, instance: Instance | None) -> None:
        thread = threading.Thread(
            target=self._work, args=(instance,), name=f"edged-serve-{self.brought.name}", daemon=True
        )
        self._threads.add(thread)
        thread.start()

    def _work(self, instance: Instance | None) -> None:
        """Answer until nobody is left or this instance is one too many; without one, open it first."""
        try:
            instance = instance or self._open_more()
            while instance is not None and not self._waiting.closed:
                if not self._waiting.wait(LOOK_S):
                    if self._is_too_many(self._waiting_looked()):
                        break
                    continue
                instance, leaves = self._serve_one(instance)
                if leaves:
                    break
        finally:
            if instance is not None:
                instance.close()
            self._threads.discard(threading.current_thread())

    def _serve_one(self, instance: Instance) -> tuple[Instance | None, bool]:
        """Answer the first that waits, and who can share its run; gives the instance to go on with, and whether it shall leave."""
        if self.batch > 1 and self._batches.delay_s:
            self._gather()
        with self.brought.turn():
            jobs = self._next()
            is_sound = self._run(instance, jobs)
        if not jobs:
            return instance, False
        if not is_sound:
            instance.close()
            return self._reopened(), False
        with self._lock:
            move = self._scaling.answered(self._clock.monotonic_ns(), waiting=len(self._waiting), items=len(jobs))
        return instance, self._is_too_many(move)

    def _gather(self) -> None:
        """Wait for company for as long as the first may; whose time would be over by then, or who can have none, holds up nobody."""
        first = self._waiting.first()
        if first is None:
            return
        until_ns = first.arrived_ns + int(self._batches.delay_s * NS_PER_S)

        def is_enough(jobs: Collection[Job]) -> bool:
            rows = sum(job.rows for job in jobs)
            return rows >= self.batch or any(job.tensors is None or job.deadline_ns <= until_ns for job in jobs)

        self._waiting.gather(is_enough, (until_ns - self._clock.monotonic_ns()) / NS_PER_S)

    def _next(self) -> list[Job]:
        """Take the first that waits, with those behind it that fit into its run."""
        first = self._waiting.take()
        if first is None or self.batch == 1 or first.tensors is None:
            return [] if first is None else [first]
        shape, room = batching.shape_of(first.tensors), self.batch - first.rows

        def fits(job: Job) -> bool:
            nonlocal room
            if job.tensors is None or batching.shape_of(job.tensors) != shape:
                return False
            room -= job.rows
            return room >= 0

        return [first, *self._waiting.take_like(fits)] if room > 0 else [first]

    def _run(self, instance: Instance, taken: Sequence[Job]) -> bool:
        """Do jobs in one run; False when the instance is lost by it."""
        began_ns = self._clock.monotonic_ns()
        jobs = [job for job in taken if self._begins(job, began_ns)]
        if not jobs:
            return True
        try:
            answers = _asked(instance, jobs)
        except EdgedError as error:
            self._failed(jobs, refusal(error))
            return not isinstance(error, EngineLostError)
        except Exception as error:  # noqa: BLE001 - one request must not cost the others their engine
            _LOG.exception("serving.broken", extra={logs.FIELDS: {"model": self.brought.name}})
            self._failed(jobs, RefusedError(f"met a fault of its own: {type(error).__name__}", "fault"))
            return False
        took_ns = self._clock.monotonic_ns() - began_ns
        each_ns = took_ns / len(jobs)
        self._run_ns += SMOOTHING * (each_ns - self._run_ns) if self._run_ns else each_ns
        self.counts.ran(sum([job.rows for job in jobs]), took_ns)
        for place, (job, answer) in enumerate(zip(jobs, answers, strict=True)):
            # What it was asked with lies on the request's memory, which is used again as soon as the answer is out.
            job.ask, job.tensors = _nothing, None
            took = Took(began_ns - job.arrived_ns, infer_ns=took_ns)
            self.counts.answered(took, self._clock.wall_ns() // NS_PER_MS, runs=int(place == 0))
            job.outcome.tell(answer)
        return True

    def _begins(self, job: Job, now_ns: int) -> bool:
        """Whether a job's run begins: nobody has gone away, and its time is not over."""
        if not job.outcome.begin():
            return False
        job.began_ns = now_ns
        if now_ns <= job.deadline_ns:
            return True
        self.counts.refused("late")
        job.outcome.fail(late(self.brought.name, now_ns - job.arrived_ns))
        return False

    def _failed(self, jobs: Sequence[Job], why: RefusedError) -> None:
        """Tell whose run it was. Several go back for runs of their own: one of them may be to blame, and the others are not."""
        now_ns = self._clock.monotonic_ns()
        if len(jobs) == 1:
            self.counts.failed(Took(jobs[0].began_ns - jobs[0].arrived_ns, infer_ns=now_ns - jobs[0].began_ns))
            jobs[0].outcome.fail(why)
            return
        for job in reversed(jobs):
            job.tensors = None
            job.outcome.again()
            if not self._waiting.put_back(job, job.level):
                _refuse(job, self._full())

    def _begin_to_learn(self, kind: batching.Kind) -> None:
        with self._lock:
            if not self._may_batch:
                return
            self._may_batch = False
            name = f"edged-batch-{self.brought.name}"
            self._learner = threading.Thread(target=self._learn, args=(kind,), name=name, daemon=True)
            self._learner.start()

    def _learn(self, kind: batching.Kind) -> None:
        """Measure what a run of several requests of a kind brings here, behind those who wait."""
        try:
            instance = self._another()
            try:
                took_s = batching.measure(instance, kind, self._batches.most, self._timed)
            finally:
                instance.close()
        except EdgedError as error:
            logs.event(_LOG, "serving.unbatched", level=logging.WARNING, model=self.brought.name, error=error)
            return
        self.batch = batching.best_size(took_s)
        per_s = {size: round(size / seconds, 1) for size, seconds in took_s.items()}
        logs.event(_LOG, "serving.batches", model=self.brought.name, items=self.batch, items_a_second=per_s)

    def _timed(self, run: Callable[[], object]) -> float:
        with self.brought.turn():
            if self._waiting.closed:
                message = f"cannot measure {self.brought.name!r}: it is being unloaded"
                raise DeviceError(message)
            began_ns = self._clock.monotonic_ns()
            run()
            return (self._clock.monotonic_ns() - began_ns) / NS_PER_S

    def _waiting_looked(self) -> str:
        with self._lock:
            return self._scaling.looked(self._clock.monotonic_ns())

    def _is_too_many(self, move: str) -> bool:
        """Act on the scaling's word; whether the instance that asks is the one to leave."""
        if move == "more":
            logs.event(_LOG, "serving.more", model=self.brought.name, instances=self.instances + 1)
            self._hire(None)
        if move == "fewer":
            logs.event(_LOG, "serving.fewer", model=self.brought.name, instances=self.instances - 1)
        return move == "fewer"

    def _open_more(self) -> Instance | None:
        try:
            return self._another()
        except EdgedError as error:
            logs.event(_LOG, "serving.no-more", level=logging.WARNING, model=self.brought.name, error=error)
            with self._lock:
                self._scaling.lost(for_good=isinstance(error, BudgetError))
            return None

    def _another(self) -> Instance:
        """Open an instance. Raises EdgedError, whatever broke: its thread has to live, since nobody else answers who waits."""
        try:
            return self.brought.instance()
        except EdgedError:
            raise
        except Exception as error:
            _LOG.exception("serving.broken", extra={logs.FIELDS: {"model": self.brought.name}})
            message = f"cannot open {self.brought.name!r}: {type(error).__name__}, expected an instance"
            raise DeviceError(message) from error

    def _reopened(self) -> Instance | None:
        """Open another instance in place of one that is lost, until one opens; who asks meanwhile is refused."""
        wait_s = LOOK_S / 10
        self._are_absent(1)
        try:
            while not self._waiting.closed:
                try:
                    instance = self._another()
                except EdgedError as error:
                    logs.event(_LOG, "serving.lost", level=logging.ERROR, model=self.brought.name, error=error)
                    self._is_lost(refusal(error))
                    self._waiting.pause(wait_s)
                    wait_s = min(2 * wait_s, 60 * LOOK_S)
                else:
                    return instance
            return None
        finally:
            self._are_absent(-1)

    def _are_absent(self, more: int) -> None:
        with self._lock:
            self._absent += more
            self._lost = self._lost if more > 0 else None

    def _is_lost(self, why: RefusedError) -> None:
        with self._lock:
            are_all = self._absent >= self.instances
            self._lost = why if are_all else self._lost
        if are_all:
            while (job := self._waiting.take()) is not None:
                _refuse(job, why.again())


def late(model: str, waited_ns: int) -> RefusedError:
    """Say that a request's time was over before a run began."""
    message = f"cannot run {model!r} in time: its timeout was over after {waited_ns / NS_PER_MS:.0f} ms in the queue"
    return RefusedError(message, "late")


def _refuse(job: Job, why: RefusedError) -> None:
    if job.outcome.begin():
        job.outcome.fail(why)


def _asked(instance: Instance, jobs: Sequence[Job]) -> Sequence[Any]:
    """Give each job's answer: of one as it asks, of several from one run."""
    if len(jobs) == 1:
        return [jobs[0].ask(instance)]
    several = [job.tensors for job in jobs if job.tensors is not None]
    return batching.parted(instance.infer(batching.joined(several)), [job.rows for job in jobs])


def _nothing(_instance: Instance) -> None:
    """Ask nothing any more."""
