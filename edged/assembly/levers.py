"""What one pipeline can do less of, and how that is done: its gate, its rate, its rung, its rest."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from edged.assembly.intake import Intake
from edged.assembly.keeper import Keeper
from edged.config import schema
from edged.control.descent import reach
from edged.pipeline.gate import OFF, STRICTNESS, MotionGate
from edged.pipeline.line import Pipeline

GOVERNED = "governed"
"""The code by which a pipeline that rests tells who made it."""
TRACKED_LOOK_S = 0.5
"""A followed object that is not seen for a second is another one afterwards."""
LEAST_HZ = 1.0
WORTH = 1.2
"""A rate that is above the floor by less than this factor stays."""
WATCHED = 10
LEAST_WATCHED = 3
"""Looks, at one a second, that a rate is taken from."""


class PipelineLevers:
    """Implements ``edged.pipeline.line.Levers``. ``pipeline`` is set by who makes it, before it starts.

    Owned by the governor's thread; ``move`` may be called on another, one at a time. What comes of a recording shall be whole and come out
    the same again: it may only rest, and only while its source waits.
    """

    pipeline: Pipeline

    def __init__(self, settings: schema.Pipeline, intake: Intake, keeper: Keeper) -> None:
        self._settings, self._intake, self._keeper = settings, intake, keeper
        self._is_live = not intake.mailbox.lossless
        self._base = int(settings.gate.motion and self._has_gate)
        longest_s = settings.gate.at_least_every_s
        self._gate = MotionGate(
            min(longest_s, TRACKED_LOOK_S) if settings.track else longest_s, self._base, intake.mailbox.drop
        )
        if self._has_gate:
            keeper.stillness = self._gate
        self._steps: dict[str, int] = {}
        self._seen: deque[tuple[int, int]] = deque(maxlen=WATCHED)
        self._natural_hz: float | None = None
        self._set_gate(0)

    @property
    def priority(self) -> int:
        """The pipeline's."""
        return self._settings.priority

    @property
    def objective_ms(self) -> float | None:
        """The latency that is asked of it; None when none is, or when what runs was measured to take longer."""
        wanted, rung = self._settings.objective.latency_ms, self._keeper.rung
        misses = rung is not None and rung.figures is not None and wanted is not None and rung.figures.p99_ms > wanted
        return None if misses else wanted

    @property
    def accelerator(self) -> str:
        """What its model runs on, as long as nothing was moved."""
        rungs = self._keeper.rungs
        return rungs[0].accelerator if rungs else "cpu"

    def reach(self) -> Mapping[str, int]:
        """How many steps there are of each kind."""
        if not self._is_live:
            return {"pause": int(self.pipeline.reader is None)}
        return {
            "gate": len(STRICTNESS) - self._base if self._has_gate else 0,
            "rate": self._halvings if self._has_gate else 0,
            "pause": 1,
            **{str(kind): steps for kind, steps in reach(self._keeper.rungs).items()},
        }

    def taken(self) -> Mapping[str, int]:
        """How many are taken."""
        return {kind: steps for kind, steps in dict(self._steps).items() if steps}

    def move(self, kind: str, steps: int, why: str) -> None:
        """Take so many steps of a kind. Raises EdgedError when a model does not open, and takes none then."""
        if kind == "gate":
            self._set_gate(steps)
        elif kind == "rate":
            self._intake.inlet.limit(self._rate_hz(steps))
        elif kind == "pause":
            self._rest(why, is_over=not steps)
        else:
            self._keeper.descend(replace(self._keeper.less, **{kind: steps}))
        self._steps[kind] = steps
        self._seen.clear()

    def words(self) -> Mapping[str, str]:
        """What each kind stands at, for people."""
        rung = self._keeper.wanted
        runs = f"{rung.variant.id} on {rung.accelerator}, threads {rung.threads}" if rung else "nothing yet"
        hz = self._rate_hz(self._steps.get("rate", 0))
        return {
            "gate": f"strictness {self._gate.strictness}" if self._gate.is_on else "off",
            "rate": "every frame" if hz is None else f"{hz:.3g} frames/s",
            "threads": runs,
            "variant": runs,
            "device": runs,
            "pause": "rests" if self._steps.get("pause") else "works",
        }

    def measure(self, now_ns: int) -> None:
        """Note how fast frames are taken while nothing holds them back; called about once a second."""
        if self._steps.get("rate") or self.pipeline.worker.state != "running":
            self._seen.clear()
            return
        self._seen.append((now_ns, self._intake.mailbox.taken))
        (then_ns, before), (_, taken) = self._seen[0], self._seen[-1]
        if len(self._seen) > LEAST_WATCHED and now_ns > then_ns:
            self._natural_hz = (taken - before) * 1e9 / (now_ns - then_ns)

    @property
    def _has_gate(self) -> bool:
        """Whether frames may be left out: those of live pictures. A sensor's windows cost little, and each is another stretch of time."""
        return self._is_live and self._intake.is_pictures

    @property
    def _floor_hz(self) -> float:
        return self._settings.min_fps or self._settings.objective.fps or LEAST_HZ

    @property
    def _halvings(self) -> int:
        natural_hz = self._natural_hz or 0.0
        return math.ceil(math.log2(natural_hz / self._floor_hz)) if natural_hz > WORTH * self._floor_hz else 0

    def _rate_hz(self, steps: int) -> float | None:
        return max(self._floor_hz, self._natural_hz / 2**steps) if steps and self._natural_hz else None

    def _set_gate(self, steps: int) -> None:
        self._gate.strictness = self._base + steps if self._has_gate else OFF
        self._intake.inlet.one_by_one = self._gate.is_on

    def _rest(self, why: str, *, is_over: bool) -> None:
        if is_over:
            self.pipeline.resume(GOVERNED)
        else:
            remedy = "it goes on by itself once the box is well"
            # Its model is freed: a box that wants memory is not helped by one that merely computes nothing.
            self.pipeline.pause(GOVERNED, f"rests: {why}", remedy, lets_go=True)
