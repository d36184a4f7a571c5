"""The governor at work: once a second it feels, decides and acts, on a thread that nobody else holds up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from edged.assembly.side_part import SidePart
from edged.assembly.telling import Teller
from edged.control.governor import Pipeline as Governed
from edged.control.governor import Standing, Step, Taken, decide, failed
from edged.control.pressure import Pressure, Signals, plausible, pressure
from edged.control.steps import CALM, KINDS, WORDS, Kind
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.pipeline.line import NEVER_STUCK_NS, Line, Pipeline
from edged.telemetry import logs

PART = ".governing"
"""Its name among the daemon's parts; no source can have it."""
TICK_S = 1.0
SLOW: frozenset[Kind] = frozenset({"threads", "variant", "device"})
"""What opens a model, which takes seconds: on a thread of its own, one at a time. Two at once would cost what they shall save."""
LONGEST_NS = 20_000_000_000
"""A model that takes longer to open (or hangs) holds up no other one any more."""

_LOG = logging.getLogger("edged.governing")


@dataclass(frozen=True, slots=True)
class Move:
    """A lever on its way. ``step`` is None where it only follows what stands: the pipeline was set up anew."""

    pipeline: Pipeline
    kind: Kind
    steps: int
    step: Step | None
    before: str
    began_ns: int


class Governing(SidePart):
    """A part of the daemon. ``feel`` gives one round of signals, ``lines`` what runs; not ``enabled`` it only looks."""

    def __init__(
        self,
        lines: Callable[[], Sequence[Line]],
        feel: Callable[[Sequence[Pipeline], int], Signals],
        teller: Teller,
        clock: Clock,
        *,
        enabled: bool = True,
        tick_s: float = TICK_S,
        standing: Standing | None = None,
    ) -> None:
        """``standing`` is where it begins; default: with nothing taken."""
        super().__init__("edged-governing")
        self._tick_s = tick_s
        self._lines, self._feel, self._teller, self._clock, self._enabled = lines, feel, teller, clock, enabled
        self._standing = standing or Standing()
        self._pressure = Pressure(CALM)
        self._signals = Signals()
        self._read: Signals | None = None
        """As they were read last, believed or not."""
        self._moves: dict[tuple[str, Kind], Move] = {}
        self._done: SimpleQueue[tuple[Move, EdgedError | None]] = SimpleQueue()
        self._beat_ns = NEVER_STUCK_NS

    def __repr__(self) -> str:
        return f"<Governing: {WORDS[self._pressure.level]}, {sum(self._standing.taken.values())} steps taken>"

    def start(self) -> None:
        """Begin, in the background. May be started again after it was stopped."""
        self._beat_ns = self._clock.monotonic_ns()
        super().start()

    @property
    def heartbeat_ns(self) -> int:
        """Monotonic time of its last round."""
        return NEVER_STUCK_NS if self._stop.is_set() else self._beat_ns

    def reasons(self) -> Sequence[Reason]:
        """Say which pipelines do less, and why."""
        return self._teller.reasons()

    def telemetry(self) -> dict[str, Any]:
        """Give how the box feels now."""
        felt = self._pressure
        return {"enabled": self._enabled, "level": WORDS[felt.level], "cause": felt.cause, "reason": felt.words}

    def tick(self) -> None:
        """Make one round."""
        now_ns = self._beat_ns = self._clock.monotonic_ns()
        pipelines = [one for line in self._lines() for one in line.pipelines if one.levers is not None]
        for one in pipelines:
            if one.levers is not None:
                one.levers.measure(now_ns)
        read, before = self._feel(pipelines, now_ns), self._read
        self._signals, self._read = plausible(read, before), read
        self._pressure = pressure(self._signals)
        self._hear(now_ns)
        if not self._enabled:
            return
        is_opening = self._is_opening(now_ns)
        governed = [_governed(one, self._standing.taken if is_opening else None) for one in pipelines]
        standing, step = decide(self._standing, self._pressure, governed, now_ns / 1e9)
        if is_opening and step is not None and step.kind in SLOW:
            return
        self._standing = standing
        self._follow(pipelines, step, now_ns)
        self._teller.forget({one.name for one in pipelines})

    def _run(self) -> None:
        while not self._stop.wait(self._tick_s):
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - the pipelines run without a governor, too
                _LOG.exception("governing.broken")

    def _is_opening(self, now_ns: int) -> bool:
        """Whether a model is being opened: what does not need one goes on."""
        return any(now_ns - move.began_ns < LONGEST_NS for move in self._moves.values())

    def _follow(self, pipelines: Sequence[Pipeline], step: Step | None, now_ns: int) -> None:
        """Bring every lever to where it shall stand; a pipeline that was set up anew comes up at the top, and is brought down again."""
        for one in pipelines:
            taken = one.levers.taken() if one.levers is not None else {}
            for kind in KINDS:
                wanted = self._standing.taken.get((one.name, kind), 0)
                if wanted != taken.get(kind, 0) and (one.name, kind) not in self._moves:
                    is_step = step is not None and (step.pipeline, step.kind) == (one.name, kind)
                    self._move(one, kind, wanted, step if is_step else None, now_ns)

    def _move(self, pipeline: Pipeline, kind: Kind, steps: int, step: Step | None, now_ns: int) -> None:
        assert pipeline.levers is not None  # noqa: S101 - others are not governed
        move = Move(pipeline, kind, steps, step, pipeline.levers.words()[kind], now_ns)
        self._moves[pipeline.name, kind] = move
        if kind in SLOW:
            threading.Thread(target=self._do, args=(move,), name=f"edged-govern-{pipeline.name}", daemon=True).start()
        else:
            self._do(move)
            self._hear(now_ns)

    def _do(self, move: Move) -> None:
        levers, why = move.pipeline.levers, self._pressure.words
        try:
            if levers is not None:
                levers.move(move.kind, move.steps, why)
        except EdgedError as error:
            self._done.put((move, error))
        except Exception as error:  # noqa: BLE001 - see below
            # A runtime may fail in any way while it opens what was measured well.
            _LOG.exception("governing.step-broken")
            self._done.put((move, EdgedError(f"cannot do it: {type(error).__name__}: {error}", code="internal")))
        else:
            self._done.put((move, None))

    def _hear(self, now_ns: int) -> None:
        """Take in what became of the moves, and tell it."""
        while not self._done.empty():
            move, error = self._done.get()
            self._moves.pop((move.pipeline.name, move.kind), None)
            step = move.step
            if error is not None:
                step = step or self._unwanted(move)
                logs.event(_LOG, "governor.step-failed", level=logging.WARNING, step=step, error=error)
                self._standing = failed(self._standing, step, now_ns / 1e9)
            if step is not None:
                self._tell(move, step, error)
            elif (levers := move.pipeline.levers) is not None:
                self._teller.follow(move.pipeline.name, levers.taken(), levers.words())

    def _unwanted(self, move: Move) -> Step:
        levers = move.pipeline.levers
        before = levers.taken().get(move.kind, 0) if levers is not None else 0
        return Step(move.pipeline.name, move.kind, before, move.steps, self._pressure)

    def _tell(self, move: Move, step: Step, error: EdgedError | None) -> None:
        levers = move.pipeline.levers
        if levers is not None:
            after = levers.words()[move.kind]
            self._teller.tell(step, (move.before, after), self._signals, levers.taken(), levers.words(), error)


def _governed(pipeline: Pipeline, taken: Taken | None) -> Governed:
    """Say what a pipeline can do less of; with ``taken`` nothing that opens a model, beyond what stands of it."""
    levers = pipeline.levers
    assert levers is not None  # noqa: S101 - others are not governed
    found = dict(levers.reach())
    if taken is not None:
        found |= {kind: taken.get((pipeline.name, kind), 0) for kind in SLOW}
    return Governed(pipeline.name, levers.priority, {kind: found.get(kind, 0) for kind in KINDS}, levers.accelerator)
