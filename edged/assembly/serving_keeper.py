"""Loads, behind the pipelines, the models that shall serve from the start, and lets all go at the end. A part of the daemon."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from edged.api.refusal import RefusedError
from edged.api.shelf import Shelf
from edged.assembly.roster import Roster
from edged.assembly.side_part import SidePart
from edged.domain.health import Reason
from edged.domain.ports import Clock

PART = "serving"
LOOK_S = 0.1
PIPELINES_FIRST_S = 60.0
"""So long the pipelines' models have the memory and the store to themselves; one that has failed by then does not hold requests up."""
AGAIN_S = 60.0
"""When a model that could not be loaded is tried again."""


class ModelKeeper(SidePart):
    """Keeps ``models`` loaded on a shelf; ``is_behind`` pipelines, whose models come first."""

    def __init__(
        self, shelf: Shelf, models: Sequence[str], roster: Roster, clock: Clock, *, is_behind: bool = True
    ) -> None:
        super().__init__("edged-serving")
        self._is_behind = is_behind
        self._shelf, self._models, self._roster, self._clock = shelf, tuple(models), roster, clock
        self._refused: dict[str, Reason] = {}
        self._wanted = set(models)
        self._wake = threading.Event()
        self._since_ns = clock.monotonic_ns()

    def __repr__(self) -> str:
        return f"<ModelKeeper {self._shelf!r}>"

    def stop(self) -> None:
        """Unload everything."""
        super().stop()
        self._wake.set()

    def reload(self) -> None:
        """Look for newer models of all that is loaded, and try again what failed."""
        self._wanted = {*self._models, *(served.brought.name for served in self._shelf.loaded())}
        self._wake.set()

    @property
    def ended(self) -> bool:
        """A server has no end of its own."""
        return False

    @property
    def working(self) -> bool:
        """Whether a model answers."""
        return bool(self._shelf.loaded())

    def reasons(self) -> Sequence[Reason]:
        """Say which models cannot be served."""
        lost = [(served.brought.name, served.lost) for served in self._shelf.loaded()]
        now_ns = self._clock.monotonic_ns()
        return (
            *self._refused.values(),
            *(
                Reason("serving-lost", name, str(why.args[0]), now_ns, why.remedy)
                for name, why in lost
                if why is not None
            ),
        )

    def unready(self) -> Sequence[Reason]:
        """Say which models shall be served and are not loaded."""
        loaded = {served.brought.name for served in self._shelf.loaded()}
        missing = [name for name in self._models if name not in loaded]
        waits = "is not loaded for requests yet"
        return [self._refused.get(name) or Reason("serving-loading", name, waits, self._since_ns) for name in missing]

    def _run(self) -> None:
        waited_s = 0.0
        while self._models and self._starts() and waited_s < PIPELINES_FIRST_S and not self._stop.wait(LOOK_S):
            waited_s += LOOK_S
        while not self._stop.is_set():
            for name in sorted(self._wanted):
                self._load(name)
            self._wake.wait(AGAIN_S if self._wanted else None)
            self._wake.clear()
        self._shelf.close()

    def _starts(self) -> bool:
        """Whether a pipeline's model is still being loaded for the first time."""
        if not self._is_behind:
            return False
        workers = [pipeline.worker for line in self._roster.lines() for pipeline in line.pipelines]
        return not self._roster.is_told or any(worker.state == "starting" for worker in workers)

    def _load(self, name: str) -> None:
        if self._stop.is_set():
            return
        try:
            self._shelf.load(name)
        except RefusedError as error:
            reason = Reason("serving-not-loaded", name, str(error.args[0]), self._clock.monotonic_ns(), error.remedy)
            self._refused.setdefault(name, reason)
        else:
            self._refused.pop(name, None)
            self._wanted = self._wanted - {name}
