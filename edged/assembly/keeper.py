"""One pipeline's loop on the model that shall run: built, built anew after a failure, and given newer models while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edged.assembly import cameras
from edged.assembly.models import Opened
from edged.assembly.refine import Followed, refinements
from edged.assembly.supply import Supply
from edged.config import schema
from edged.domain.bundle import WindowInput
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock, Sink
from edged.pipeline.inlet import Inlet
from edged.pipeline.line import Gate
from edged.pipeline.loop import Loop, Refinement
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.need import Needs
from edged.pipeline.reader import Reader
from edged.pipeline.rules import Rules
from edged.pipeline.window import Windower
from edged.pipeline.worker import Worker
from edged.telemetry import logs

_LOG = logging.getLogger("edged.keeper")


@dataclass(frozen=True, slots=True)
class Intake:
    """One pipeline's end of its source."""

    mailbox: Mailbox
    reader: Reader
    inlet: Inlet
    needs: Needs
    is_pictures: bool


class Keeper:
    """Keeps one pipeline on its model. ``build`` is the worker's; ``renew`` is called on a thread of its own, one at a time.

    ``watching`` gives the loop's sinks. ``worker`` is set by who makes it, before it starts.
    """

    worker: Worker

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

    def build(self) -> Loop:
        """Open the model and make the loop. Raises what opening raises, with the reader shut."""
        settings, intake = self._settings, self._intake
        is_open = False
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
        self._runs(opened)
        return Loop(settings.name, intake.inlet, opened.model, self._rules, self._watching(), self._clock, refine)

    def renew(self) -> None:
        """Bring in a newer model beside the one that runs; a failure is told, and what runs goes on."""
        loop = self.worker.steps
        with self._renewing:
            try:
                newer = self._newer() if isinstance(loop, Loop) else None
            except EdgedError as error:
                self.worker.note = not_renewed(error, self._settings.name, self._clock)
                return
            if newer is not None and isinstance(loop, Loop):
                self._intake.needs.tell(self._settings.name, cameras.need(self._settings, newer.model_input))
                loop.swap(newer.model)
                self._runs(newer)
            self.worker.note = self._lesser

    def _runs(self, opened: Opened) -> None:
        self._running = opened.bundle.folder
        self._lesser = self.worker.note = fallback(opened, self._settings.name, self._clock)

    def _open(self) -> tuple[Opened, tuple[Refinement, ...]]:
        """Open the model and what refines its answers; all of them or none."""
        settings, building = self._settings, self.worker.building
        opened = self._supply.open(settings.model, settings.pin, building)
        try:
            return opened, refinements(settings, self._followed, lambda name: self._supply.open(name, None, building))
        except EdgedError:
            opened.model.engine.close()
            raise

    def _newer(self) -> Opened | None:
        """Bring in a newer model; opened when its bundle is another than the one that runs, of the same version or not."""
        if self._supply.bundle(self._settings.model).folder == self._running:
            return None
        return self._supply.open(self._settings.model, self._settings.pin)


def windower(opened: Opened) -> Windower | None:
    """Give what cuts samples into this model's windows, or None for pictures."""
    window = opened.model_input
    return Windower(window.length, window.stride, window.channels) if isinstance(window, WindowInput) else None


def fallback(opened: Opened, pipeline: str, clock: Clock) -> Reason | None:
    """Say that a better variant does not run, if so."""
    if not opened.passed_over:
        return None
    message = f"runs {opened.model.ref.variant} since better variants do not open: {opened.passed_over}"
    return Reason("variant-fallback", pipeline, message, clock.monotonic_ns(), "edged explain shows the ladder")


def not_renewed(error: EdgedError, pipeline: str, clock: Clock) -> Reason:
    """Say that the model that runs stays, although another was looked for."""
    logs.event(_LOG, "model.kept", level=logging.WARNING, pipeline=pipeline, error=error)
    message = f"keeps the model that runs: {error.args[0]}"
    return Reason("model-kept", pipeline, message, clock.monotonic_ns(), error.remedy)
