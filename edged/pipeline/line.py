"""A source and the pipelines that read it: they start together, and each fails alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from edged.domain.health import Reason
from edged.domain.result import Event
from edged.pipeline.companion import Companion
from edged.pipeline.feed import Feed
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.worker import Worker
from edged.telemetry.metrics import PipelineMetrics

NEVER_STUCK_NS = 1 << 62
"""The heartbeat of what has nothing left to do."""
LOOK = "look at the source: its power, its cable, the way to it"
"""What to do about one that is lost, where its own words do not say."""


class Renewal(Protocol):
    """Looks for a newer model and has the loop run it; called in a thread of its own."""

    def __call__(self) -> None:
        """Return when the newer model was handed over, or there is none."""


class Aside(Protocol):
    """What runs beside a pipeline, on its events; slow or failing, it costs the pipeline nothing."""

    def start(self) -> None:
        """Begin; returns at once."""

    def close(self, timeout_s: float) -> bool:
        """Finish what is waiting and end; False when it has not in time."""

    def reasons(self) -> Sequence[Reason]:
        """Why it is not well; empty when it is."""


class Watch(Protocol):
    """What watches a pipeline for drift."""

    def reasons(self) -> Sequence[Reason]:
        """Say what drifts, and what keeps it from watching; empty when all is as it was."""


class Learning(Protocol):
    """What a pipeline learns of its machine before its results count."""

    @property
    def is_wanted(self) -> bool:
        """Whether the model that runs learns anything."""

    def recalibrate(self) -> None:
        """Forget it and begin anew. Raises DeviceError when the disk does not let it go."""

    def reasons(self) -> Sequence[Reason]:
        """Say that it learns, and what is wrong with that; empty when it has learned."""


class Levers(Protocol):
    """What a pipeline can do less of. Each kind of step is a word, and a number says how many steps are taken."""

    @property
    def priority(self) -> int:
        """The pipeline's."""

    @property
    def objective_ms(self) -> float | None:
        """The latency that is asked of it; None when none is, or when what runs cannot meet it on a box that is well either."""

    @property
    def accelerator(self) -> str:
        """What its model runs on."""

    def reach(self) -> Mapping[str, int]:
        """How many steps there are of each kind; absent is none."""

    def taken(self) -> Mapping[str, int]:
        """How many are taken; absent is none."""

    def move(self, kind: str, steps: int, why: str) -> None:
        """Take so many steps of a kind; ``why`` is told people. May take seconds. Raises EdgedError when it cannot be done."""

    def words(self) -> Mapping[str, str]:
        """What each kind that can be moved stands at, for people."""

    def measure(self, now_ns: int) -> None:
        """Note how fast frames are taken; called about once a second."""


class Glance(Protocol):
    """What somebody who looks on sees: its latest results and events, and its next frame when they ask for one."""

    @property
    def trail(self) -> Sequence[Any]:
        """The latest results: time of the frame, output, reason."""

    @property
    def events(self) -> Sequence[Event]:
        """The latest events."""

    def take(self, timeout_s: float) -> Any:
        """Wait for the next frame and its result; None when none came in time."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline of a line, as it runs."""

    name: str
    worker: Worker
    mailbox: Mailbox
    metrics: PipelineMetrics
    renew: Renewal
    reader: Reader | None = None
    """What drops frames while it is paused; None when its source shall wait instead, so that nothing of a recording is lost."""

    snapshot: Callable[[], None] | None = None
    """Asks for a picture of the next frame; None where there are no pictures."""

    aside: Aside | None = None
    """What is done about its events besides telling them."""

    learning: Learning | None = None
    """What it learns of its machine first."""

    drift: Watch | None = None
    """What holds its frames and results against what is normal for it."""

    levers: Levers | None = None
    """What it can do less of when the box suffers."""

    glance: Glance | None = None
    """What somebody who looks on sees of it."""

    companion: Companion | None = None
    """Where a candidate may run beside its model; None where none ever comes."""

    record: Callable[[float], None] | None = None
    """Records what goes through it for so many seconds; None where nothing is recorded."""

    def pause(self, *why: str, lets_go: bool = False) -> None:
        """Make no results, from the next frame on. The source stays open. As in ``Worker.pause``; default: by a command."""
        self.worker.pause(*why, lets_go=lets_go)
        if self.reader is not None:
            self.reader.pause()

    def resume(self, code: str = "paused") -> None:
        """Go on with the next frame that comes, unless something else paused it, too."""
        if self.reader is not None and self.worker.paused_by <= {code}:
            # What still lies there is from before the pause.
            self.mailbox.take(0.0)
            self.reader.resume()
        self.worker.resume(code)


class Gate:
    """Opens once, when as many as were announced have arrived: a source starts when its models are loaded or have failed."""

    def __init__(self, expected: Sequence[str], opened: Callable[[], None]) -> None:
        self._missing = set(expected)
        self._opened = opened
        self._lock = threading.Lock()

    def arrive(self, name: str) -> None:
        """Count one in; every arrival but the first of a name changes nothing."""
        with self._lock:
            if name not in self._missing:
                return
            self._missing.discard(name)
            is_open = not self._missing
        if is_open:
            self._opened()


class _Renewing:
    """A pipeline's renewals, one at a time. Asked while one runs, it runs once more: a storm of reloads is no storm of threads."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._lock = threading.Lock()
        self._is_asked = self._runs = False

    def ask(self) -> None:
        """Have it run, from now on; returns at once."""
        with self._lock:
            self._is_asked = True
            if self._runs:
                return
            self._runs = True
        threading.Thread(target=self._run, name=f"edged-renew-{self._pipeline.name}", daemon=True).start()

    def _run(self) -> None:
        try:
            while self._is_due():
                self._pipeline.renew()
        except BaseException:
            with self._lock:
                self._runs = False
            raise

    def _is_due(self) -> bool:
        with self._lock:
            self._runs, self._is_asked = self._is_asked, False
            return self._runs


class Line:
    """The part that the daemon starts, stops and watches."""

    def __init__(self, feed: Feed, pipelines: Sequence[Pipeline]) -> None:
        self.feed = feed
        self.pipelines = tuple(pipelines)
        self._renewing = tuple(_Renewing(pipeline) for pipeline in pipelines)

    def __repr__(self) -> str:
        return f"<Line {self.feed!r} {' '.join(repr(pipeline.worker) for pipeline in self.pipelines)}>"

    def start(self) -> None:
        """Load the models; the source starts when the last of them is there (see ``Gate``)."""
        for pipeline in self.pipelines:
            pipeline.worker.start()
        for aside in self._asides:
            aside.start()

    def stop(self) -> None:
        """End the source; the loops finish the step in hand."""
        # The loops first: a source that ends before them would pass for one that was read to its end.
        for pipeline in self.pipelines:
            pipeline.worker.stop()
        for pipeline in self.pipelines:
            pipeline.mailbox.close()
        self.feed.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for every thread; False when one has not ended in time."""
        each_s = timeout_s / (1 + len(self.pipelines) + len(self._asides))
        stopped = [self.feed.join(each_s), *(pipeline.worker.join(each_s) for pipeline in self.pipelines)]
        # Last, since a loop that ends still closes its events.
        stopped += [aside.close(each_s) for aside in self._asides]
        return all(stopped)

    def reload(self) -> None:
        """Let each pipeline look for a newer model, beside the one that runs; one that has none tries again now."""
        for pipeline in self.pipelines:
            pipeline.worker.retry()
        self.renew()

    def renew(self) -> None:
        """Let each pipeline that runs look for something better, beside what runs."""
        for renewing in self._renewing:
            renewing.ask()

    @property
    def _asides(self) -> list[Aside]:
        return [pipeline.aside for pipeline in self.pipelines if pipeline.aside is not None]

    @property
    def heartbeat_ns(self) -> int:
        """Monotonic time of the last step of the slowest loop that runs; a source may hang without the daemon being ill."""
        workers = [pipeline.worker for pipeline in self.pipelines]
        beats = [worker.heartbeat_ns for worker in workers if worker.state not in {"ended", "stopped"}]
        return min(beats, default=NEVER_STUCK_NS)

    @property
    def ended(self) -> bool:
        """Whether every pipeline has done all that its source gave."""
        return all(pipeline.worker.state == "ended" and pipeline.mailbox.error is None for pipeline in self.pipelines)

    @property
    def working(self) -> bool:
        """Whether the source delivers and a pipeline runs, or would if nobody had paused it."""
        running = any(pipeline.worker.state in {"running", "paused"} for pipeline in self.pipelines)
        return (running and self.feed.state.condition == "live") or self.ended

    def reasons(self) -> Sequence[Reason]:
        """Why the source or a pipeline is not well."""
        state = self.feed.state
        reasons = [pipeline.worker.reason for pipeline in self.pipelines if pipeline.worker.reason is not None]
        for pipeline in self.pipelines:
            error = pipeline.mailbox.error
            # The source's own end closes every mailbox with its error, and is told once below.
            if error is not None and error is not state.error:
                since_ns = pipeline.worker.heartbeat_ns
                unfit = Reason(error.code, pipeline.name, str(error.args[0]), since_ns, error.remedy, fatal=True)
                reasons.append(unfit)
        reasons += [reason for aside in self._asides for reason in aside.reasons()]
        learnings = [pipeline.learning for pipeline in self.pipelines if pipeline.learning is not None]
        reasons += [reason for learning in learnings for reason in learning.reasons()]
        watches = [pipeline.drift for pipeline in self.pipelines if pipeline.drift is not None]
        reasons += [reason for watch in watches for reason in watch.reasons()]
        if state.error is not None:
            error, remedy = state.error, state.error.remedy or LOOK
            reasons.append(Reason(error.code, self.feed.name, state.reason, state.since_ns, remedy, fatal=True))
        reasons += [told for told in (self.feed.trouble, self.feed.hang) if told is not None]
        return reasons

    def drops(self) -> Mapping[str, Mapping[str, int]]:
        """Frames that each pipeline never saw, by cause."""
        return {pipeline.name: {**self.feed.drops, **pipeline.mailbox.drops} for pipeline in self.pipelines}
