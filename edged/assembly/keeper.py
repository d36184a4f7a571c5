"""One pipeline's loop on the model that shall run: built, built anew after a failure, and given newer models while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from edged.assembly import cameras
from edged.assembly.amiss import lesser, not_renewed
from edged.assembly.crowding import turn_at
from edged.assembly.drifting import Drifting
from edged.assembly.intake import Intake
from edged.assembly.models import Opened, rank
from edged.assembly.refine import Followed, FurtherModel, refinements
from edged.assembly.supply import Supply
from edged.assembly.suspecting import fault
from edged.config import schema
from edged.control.descent import NOTHING_LESS, Less, descend
from edged.control.fallback import Life
from edged.domain.bundle import Bundle, WindowInput
from edged.domain.errors import DeadlineError, EdgedError, EngineLostError
from edged.domain.health import Reason
from edged.domain.ports import Clock, Sink
from edged.domain.variant import Rung
from edged.hardware import heap
from edged.hardware.gathered import scatter
from edged.pipeline.companion import Companion
from edged.pipeline.line import Gate
from edged.pipeline.loop import Loop, Refinement, Stillness
from edged.pipeline.rules import Rules
from edged.pipeline.selftest import Lie, SelfTest
from edged.pipeline.turns import Turn
from edged.pipeline.window import Windower
from edged.pipeline.worker import Worker


class Keeper:
    """Keeps one pipeline on its model.

    ``build`` and ``finish`` are the worker's; ``renew`` is called on a thread of its own, one at a time.
    ``watching`` gives the loop's sinks. ``worker`` and ``fitted``, which makes an opened model learn what is normal on
    this box, are set by who makes it, before it starts.
    """

    worker: Worker
    fitted: Callable[[Opened], Opened]
    turn: Callable[[int], Turn] | None = None
    """What is held while the pipeline computes."""
    exchanged: Callable[[Rung, Rung], None] | None = None
    """Told when another rung of the same bundle takes the place of the one before."""
    drifting: Drifting | None = None
    """Watches what goes through the loop; told which model runs."""
    companion: Companion | None = None
    """Hands frames to a candidate with the model's own answers, before anything is made of them."""
    selftest: SelfTest | None = None
    """Says what results are worth; it outlives a loop, too."""
    suspects: Callable[[Lie], None] | None = None
    """Told which results are suspect."""

    def __init__(
        self,
        settings: schema.Pipeline,
        intake: Intake,
        gate: Gate,
        supply: Supply,
        rules: Rules,
        watching: Callable[[], Sequence[Sink]],
        clock: Clock,
    ) -> None:
        self._settings, self._intake, self._gate = settings, intake, gate
        self._supply, self._rules, self._watching, self._clock = supply, rules, watching, clock
        # It outlives a loop: numbers of objects are never given twice.
        self._followed = Followed()
        self._renewing = threading.Lock()
        self._lesser: Reason | None = None
        self._running = Path()
        self._rung: Rung | None = None
        self._windows: tuple[int, int, int] | None = None
        self._further: tuple[FurtherModel, ...] = ()
        self._blamed: Opened | None = None
        self._sinks: Sequence[Sink] = ()
        self._opened: Opened | None = None
        self._life = Life()
        self.stillness: Stillness | None = None
        self.less = NOTHING_LESS
        """How far below the chosen rung it runs, since the box suffers."""

    @property
    def rung(self) -> Rung | None:
        """What runs, or ran last."""
        return self._rung

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """The ladder's that may run, the chosen one first, as of the last time that a model was opened."""
        return self._opened.rungs if self._opened else ()

    @property
    def wanted(self) -> Rung | None:
        """What shall run; it differs from ``rung`` while a model is being opened, and when that one does not open."""
        return next(iter(descend(self.rungs, self.less)), self._rung)

    def build(self) -> Loop:
        """Open the model and make the loop. Raises what opening raises, with the reader shut."""
        settings, intake, began_ns = self._settings, self._intake, self._clock.monotonic_ns()
        is_open = False
        # What is opened now begins threads.
        scatter()
        try:
            opened, refine = self._open()
            intake.needs.tell(settings.name, cameras.need(settings, opened.model_input))
            intake.reader.open(windower(opened))
            is_open = True
        finally:
            if not is_open:
                intake.reader.shut()
                intake.needs.excuse(settings.name)
            self._gate.arrive(settings.name)
        self._takes_over(opened)
        self._life = Life(began_ns, self._clock.monotonic_ns())
        self._sinks = self._watching()
        refine = (*refine, self.drifting) if self.drifting is not None else refine
        refine = (self.companion, *refine) if self.companion is not None else refine
        return Loop(
            settings.name,
            intake.inlet,
            opened.model,
            self._rules,
            self._sinks,
            self._clock,
            refine,
            turn=self._turn(),
            gate=self.stillness,
            selftest=self.selftest,
        )

    def finish(self) -> None:
        """Close every event that goes on: nobody will watch for its end. Safe on any thread, and twice."""
        for event in self._rules.finish():
            for sink in self._sinks:
                sink.event(event)

    def is_replaceable(self, error: EdgedError) -> bool:
        """Whether something else can run at once, now that the loop failed."""
        settings, rung = self._settings, self._rung
        blamed, self._blamed = self._blamed, None
        if rung is None or not isinstance(error, EngineLostError):
            return False
        # The time that it hung is no life.
        lived = not isinstance(error, DeadlineError) and self._life.is_enough(self._clock.monotonic_ns())
        if blamed is not None:
            return self._supply.lost(blamed.bundle.manifest.name, None, None, blamed.rung, error, lived=lived)
        return self._supply.lost(settings.model, settings.pin, settings.objective, rung, error, lived=lived)

    def rested(self) -> None:
        """Give the memory of what was let go back to the box."""
        heap.trim()

    def lied(self, lie: Lie) -> bool:
        """Tell of a self-test that failed, and go on with another rung; False when there is none."""
        if self.suspects is not None:
            self.suspects(lie)
        settings, model = self._settings, lie.model
        known = (rung for rung in (self._rung, *self.rungs) if rung is not None)
        ran = (rung for rung in known if (rung.variant.id, rung.accelerator) == (model.variant, model.accelerator))
        rung = next(ran, None)
        is_replaced = rung is not None and self._supply.lied(
            settings.model, settings.pin, settings.objective, rung, fault(lie)
        )
        if is_replaced:
            self.worker.rebuild()
        return is_replaced

    def renew(self) -> None:
        """Bring in a newer model beside the one that runs; a failure is told, and what runs goes on."""
        loop = self.worker.steps
        with self._renewing:
            try:
                if isinstance(loop, Loop):
                    self._renew(loop)
            except EdgedError as error:
                self.worker.note = not_renewed(error, self._settings.name, self._clock)
                return
            self.worker.note = self._lesser

    def _renew(self, loop: Loop) -> None:
        # In this order: what was opened must not be left open when the other cannot be had.
        is_more, newer = self._renew_further(), self._newer()
        if is_more or (newer is not None and _cut(newer) != self._windows):
            # What looks closer, or the reader, has to change with the loop.
            if newer is not None:
                newer.model.engine.close()
            self.worker.rebuild()
        elif newer is not None:
            self._exchange(loop, newer)

    def descend(self, less: Less) -> None:
        """Go on with the rung that ``less`` asks for: opened beside the one that runs, or after it where memory holds one alone.

        Takes seconds. Raises EdgedError when it does not open; what runs goes on then. A loop that is being built anew comes up on it.
        """
        with self._renewing:
            before, self.less = self.less, less
            loop, opened = self.worker.steps, self._opened
            if not isinstance(loop, Loop) or opened is None:
                return
            try:
                self._go_to(loop, opened, descend(opened.rungs, less)[0])
            except EdgedError:
                self.less = before
                raise

    def _go_to(self, loop: Loop, opened: Opened, rung: Rung) -> None:
        if rung.identity == opened.rung.identity:
            return
        if self._supply.goes_first(opened, rung):
            self.worker.rebuild()
            return
        other = self.fitted(self._ranked(self._supply.open_rung(opened.bundle, rung, opened.rungs)))
        if _cut(other) != self._windows:
            other.model.engine.close()
            self.worker.rebuild()
            return
        self._exchange(loop, other, tells=False)

    def _exchange(self, loop: Loop, opened: Opened, *, tells: bool = True) -> None:
        """Warm it up beside the one that runs, and swap between two frames.

        A loop that failed meanwhile is built anew, on what is newest then.
        """
        try:
            warm_up(opened)
        except EdgedError:
            opened.model.engine.close()
            raise
        self._intake.needs.tell(self._settings.name, cameras.need(self._settings, opened.model_input))
        if loop.swap(opened.model):
            self._takes_over(opened, tells=tells)

    def _turn(self) -> Callable[[], Turn] | None:
        """Give what is held while it computes: nothing where an accelerator does, which may hang and takes nobody's processor."""
        turn, priority = self.turn, self._settings.priority
        if turn is None:
            return None

        def take() -> Turn:
            width, opened = self._width, self._opened
            if not width or opened is None:
                return turn_at(None, nullcontext, priority)
            return turn_at(opened.model.engine, partial(turn, width), priority)

        return take

    @property
    def _width(self) -> int:
        """On how many processors a frame computes; 0 where an accelerator takes part."""
        rungs = (self._rung, *[further.opened.rung for further in self._further])
        widths = [0 if rung.accelerator != "cpu" else rung.threads for rung in rungs if rung is not None]
        return max(widths, default=1) if all(widths) else 0

    def _takes_over(self, opened: Opened, *, tells: bool = True) -> None:
        self._opened = opened
        before, is_same = self._rung, opened.bundle.folder == self._running
        self._running, self._rung, self._windows = opened.bundle.folder, opened.rung, _cut(opened)
        if self.drifting is not None:
            self.drifting.runs(opened)
        self._lesser = self.worker.note = self._judged(opened.passed_over, opened.unmet)
        is_other = before is not None and is_same and before.identity != opened.rung.identity
        if before is not None and is_other and tells and self.exchanged is not None:
            self.exchanged(before, opened.rung)

    def _judged(self, passed_over: str, unmet: str) -> Reason | None:
        """Say what is not as well as it could be; what was so before is so since then."""
        found, before = lesser(self._settings.name, passed_over, unmet, self._clock), self._lesser
        if found is None or before is None or found.code != before.code:
            return found
        return replace(found, since_mono_ns=before.since_mono_ns)

    def _open(self) -> tuple[Opened, tuple[Refinement, ...]]:
        """Open the model and what refines its answers; all of them or none."""
        settings, building = self._settings, self.worker.building
        self._further = ()
        wanted = settings.model, settings.pin, building, settings.objective
        opened = self.fitted(self._ranked(self._supply.open(*wanted, less=self.less)))
        try:
            refine = refinements(settings, self._followed, self._open_further, self._blame)
        except EdgedError:
            opened.model.engine.close()
            raise
        self._further = tuple(one for one in refine if isinstance(one, FurtherModel))
        return opened, refine

    def _open_further(self, name: str) -> Opened:
        return self._ranked(self._supply.open(name, None, self.worker.building))

    def _ranked(self, opened: Opened) -> Opened:
        """Tell the engine how important this pipeline is, where others run something on its device."""
        rank(opened.model, self._settings.priority)
        return opened

    def _blame(self, opened: Opened) -> None:
        self._blamed = opened

    def _renew_further(self) -> bool:
        """Bring in better rungs of the models that look closer; whether there is a newer version, for which the loop is built anew."""
        for further in self._further:
            runs = further.opened
            bundle = self._supply.bundle(runs.bundle.manifest.name)
            if bundle.folder != runs.bundle.folder:
                return True
            whole = self._supply.ladder(bundle, None, None)
            newer, _ = self._supply.better(bundle, None, None, _above(runs.rung, whole.runnable), whole)
            if newer is not None:
                further.swap(self._ranked(newer))
        return False

    def _newer(self) -> Opened | None:
        """Bring in a newer model, or a better rung; opened when it is another than the one that runs, of the same version or not."""
        settings, rung = self._settings, self._rung
        bundle = self._supply.bundle(settings.model)
        if rung is None or bundle.folder != self._running:
            if self._supply.makes_way(bundle, settings.pin, settings.objective, self._opened):
                self.worker.rebuild()
                return None
            newer = self._supply.open(settings.model, settings.pin, objective=settings.objective, less=self.less)
        else:
            found = self._better(bundle, rung)
            if found is None:
                return None
            newer = found
        return self.fitted(self._ranked(newer)) if self._is_trusted(newer) else None

    def _better(self, bundle: Bundle, rung: Rung) -> Opened | None:
        """Open a better rung of what runs; None when there is none, or none opens, or the loop is built anew for it."""
        settings = self._settings
        whole = self._supply.ladder(bundle, settings.pin, settings.objective)
        if self._opened is not None:
            self._opened = replace(self._opened, rungs=whole.runnable)
        order = descend(whole.runnable, self.less)
        if rung.identity not in {one.identity for one in order}:
            # While it runs below it, the chosen rung is still the one that others are held against.
            place = self.rungs[0].identity if self.less and self.rungs else rung.identity
            return self._supply.open(
                settings.model, settings.pin, objective=settings.objective, running=place, less=self.less
            )
        above = _above(rung, order)
        if above and above[0].accelerator == "cpu" and not self._supply.has_room(above[0]):
            # An accelerator's child is tried all the same: it is the first that the system ends when memory does.
            if self._supply.frees(self._opened):
                self.worker.rebuild()
            return None
        newer, passed_over = self._supply.better(bundle, settings.pin, settings.objective, above, whole)
        if newer is None:
            self._lesser = self._judged(passed_over, whole.unmet)
        return newer

    def _is_trusted(self, newer: Opened) -> bool:
        """Whether what lied before answers right now; it is let go and left alone longer if not."""
        why = self.selftest.still_lies(newer.model) if self.selftest is not None else None
        if why is not None:
            newer.model.engine.close()
            settings, error = self._settings, fault(Lie(newer.model.ref, why, 0, None, None))
            self._supply.lied(settings.model, settings.pin, settings.objective, newer.rung, error)
        return why is None


def _above(rung: Rung, order: Sequence[Rung]) -> Sequence[Rung]:
    """Give the rungs that stand before this one."""
    return order[: next((place for place, one in enumerate(order) if one.identity == rung.identity), len(order))]


def warm_up(opened: Opened) -> None:
    """Run once on nothing, so that the first frame does not pay for what a runtime does late.

    Not what would remember it; nor what a server runs, which is warm, and whose line is no matter of the model.
    """
    if not opened.bundle.state_of(opened.variant) and not opened.rung.remote:
        engine = opened.model.engine
        engine.infer([np.zeros([max(1, size) for size in spec.shape], spec.dtype) for spec in engine.inputs])


def windower(opened: Opened) -> Windower | None:
    """Give what cuts samples into this model's windows, or None for pictures."""
    window = _cut(opened)
    return Windower(*window) if window else None


def _cut(opened: Opened) -> tuple[int, int, int] | None:
    """Give length, stride and channels of its windows; None for pictures."""
    window = opened.model_input
    return (window.length, window.stride, window.channels) if isinstance(window, WindowInput) else None
