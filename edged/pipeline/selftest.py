"""The live self-test: the bundle's golden samples on the engine that runs, between two frames, every few minutes.

An accelerator may give tensors of the right shape with wrong values in them, and nothing else would ever say so. One sample runs at a
time, on the pipeline's own thread: there is no second copy of the model, and a frame waits for one inference at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edged.domain.errors import BundleError
from edged.domain.frame import Stamp
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.domain.result import ModelRef
from edged.pipeline.model import Model
from edged.telemetry import logs

SHARE = 0.01
"""Of the engine's time: a sample that took 10 ms gives way to frames for a second."""
NEVER_NS = 1 << 62
NS_PER_S = 1_000_000_000

_LOG = logging.getLogger("edged.selftest")


@dataclass(frozen=True, slots=True)
class Lie:
    """A sample that was answered wrong, and the results that nobody may trust: those since it was answered right the last time."""

    model: ModelRef
    why: str
    results: int
    first: Stamp | None
    last: Stamp | None
    told: int = 0
    """Of the results, those that the fleet was told."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A sample's last right answer: how many results there were and were told by then, and the first one after it."""

    results: int
    told: int
    first: Stamp | None = None


class Spacing:
    """When the next sample is due: ``samples`` of them in each period, and no more than ``SHARE`` of the time."""

    def __init__(self, samples: int, period_s: float) -> None:
        self._samples, self._period_ns = samples, int(period_s * NS_PER_S)
        self._asked = 0

    def after(self, took_ns: int, now_ns: int) -> int:
        """Give when the next one is due. The first round goes as fast as its share allows: a new engine is known soon."""
        self._asked += 1
        every_ns = self._period_ns // self._samples if self._asked > self._samples else 0
        return now_ns + max(every_ns, int(took_ns / SHARE))

    def after_round(self, took_ns: int, now_ns: int) -> int:
        """Give when the next one is due after all of them at once."""
        self._asked = self._samples
        return now_ns + max(self._period_ns // self._samples, int(took_ns / SHARE))


class SelfTest:
    """One pipeline's. It outlives loops and models, and is owned by the thread that steps; ``reason`` may be asked for by any.

    ``lied`` is told each lie and says whether another model takes the place of the one that lies: the loop makes no step with it then.
    ``told`` gives how many results the fleet was told so far.
    """

    def __init__(
        self,
        pipeline: str,
        period_s: float,
        clock: Clock,
        lied: Callable[[Lie], bool],
        told: Callable[[], int] = lambda: 0,
    ) -> None:
        self._pipeline, self._period_s, self._clock, self._lied, self._told = pipeline, period_s, clock, lied, told
        self._model: Model | None = None
        self._next, self._due_ns = 0, 0
        self._is_suspect = False
        self._marks: list[_Mark] = []
        self._fresh: list[int] = []
        self._results, self._last = 0, Stamp(0, 0, 0, 0.0)
        self._liars: dict[ModelRef, Reason] = {}

    def __repr__(self) -> str:
        return (
            f"<SelfTest {self._pipeline}: {'suspect' if self._is_suspect else 'trusted'}, sample {self._next} is next>"
        )

    @property
    def reason(self) -> Reason | None:
        """Which model lied and has not been seen to answer right since; None when none did."""
        return next(iter(self._liars.values()), None)

    def still_lies(self, model: Model) -> str | None:
        """Say what is wrong with the answers of a model that lied before and runs not yet; None of any other.

        Raises what the engine raises.
        """
        if model.ref not in self._liars:
            return None
        return next((why for why in (self._asked(model, sample) for sample in range(len(model.checks))) if why), None)

    def saw(self, stamp: Stamp) -> Literal["ok", "suspect"]:
        """Count a result, and say what it is worth."""
        self._results += 1
        self._last = stamp
        if self._fresh:
            for sample in self._fresh:
                self._marks[sample] = _Mark(self._results - 1, self._told(), stamp)
            self._fresh = []
        return "suspect" if self._is_suspect else "ok"

    def is_due(self, model: Model) -> bool:
        """Whether the next sample shall run before the next frame."""
        return model is not self._model or self._clock.monotonic_ns() >= self._due_ns

    def test(self, model: Model) -> bool:
        """Run the next sample; all of them while results are suspect. False when the model shall make no more steps.

        Raises what the engine raises.
        """
        if model is not self._model:
            self._begin(model)
        if not model.checks:
            self._trust(model)
            self._due_ns = NEVER_NS
            return True
        return self._whole_round(model) if self._is_suspect else self._one(model)

    def _begin(self, model: Model) -> None:
        self._model, self._next = model, 0
        self._spacing = Spacing(max(1, len(model.checks)), self._period_s)
        self._marks = [_Mark(self._results, 0)] * len(model.checks)
        self._fresh = list(range(len(model.checks)))
        # Of two versions of a model the earlier one never answers again.
        gone = [ref for ref in self._liars if (ref.name, ref.version) != (model.ref.name, model.ref.version)]
        for ref in gone:
            del self._liars[ref]

    def _one(self, model: Model) -> bool:
        began_ns, sample = self._clock.monotonic_ns(), self._next
        why = self._asked(model, sample)
        now_ns = self._clock.monotonic_ns()
        self._due_ns = self._spacing.after(now_ns - began_ns, now_ns)
        if why is not None:
            return self._caught(model, sample, why)
        self._fresh.append(sample)
        self._next = (sample + 1) % len(model.checks)
        if self._next == 0:
            self._liars.pop(model.ref, None)
        return True

    def _whole_round(self, model: Model) -> bool:
        began_ns = self._clock.monotonic_ns()
        found = ((sample, self._asked(model, sample)) for sample in range(len(model.checks)))
        wrong = next(((sample, why) for sample, why in found if why is not None), None)
        now_ns = self._clock.monotonic_ns()
        self._due_ns = self._spacing.after_round(now_ns - began_ns, now_ns)
        if wrong is not None:
            return self._caught(model, *wrong)
        self._next, self._fresh = 0, list(range(len(model.checks)))
        self._trust(model)
        return True

    def _asked(self, model: Model, sample: int) -> str | None:
        try:
            return model.checks[sample]()
        except BundleError as error:
            # A sample that cannot be read says nothing about the engine.
            logs.event(_LOG, "selftest.unread", level=logging.WARNING, pipeline=self._pipeline, error=error)
            return None

    def _trust(self, model: Model) -> None:
        if self._is_suspect:
            logs.event(_LOG, "selftest.trusted", pipeline=self._pipeline, variant=model.ref.variant)
        self._is_suspect = False
        self._liars.pop(model.ref, None)

    def _caught(self, model: Model, sample: int, why: str) -> bool:
        """Say which results are suspect: once, since later ones carry it themselves."""
        was_told = self._is_suspect and model.ref in self._liars
        self._is_suspect = True
        since = self._marks[sample]
        count = self._results - since.results if since.first is not None else 0
        lie = Lie(model.ref, why, 0, None, None)
        if count:
            lie = Lie(model.ref, why, count, since.first, self._last, min(count, self._told() - since.told))
        logs.event(_LOG, "selftest.lie", level=logging.ERROR, pipeline=self._pipeline, why=why, results=count)
        message = f"{model.ref.variant} on {model.ref.accelerator} answers wrong: {why}"
        remedy = "look at the accelerator; the next variant of the ladder serves, if there is one"
        reason = Reason("suspect", self._pipeline, message, self._clock.monotonic_ns(), remedy)
        self._liars.setdefault(model.ref, reason)
        return was_told or not self._lied(lie)
