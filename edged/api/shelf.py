"""The models that requests may ask for: which there are, which are loaded, and loading and unloading them. Thread-safe.

A model that a pipeline runs need not be loaded by hand: the first request brings it in. Any other is ready only once ``load`` was
called for it, and ``load`` comes back only when it is warm.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Literal

from edged.api.ports import Supplier
from edged.api.refusal import RefusedError, refusal
from edged.api.serve import ALONE, Batches, Served
from edged.domain.errors import EdgedError
from edged.domain.ports import Clock
from edged.telemetry import logs

State = Literal["READY", "LOADING", "UNAVAILABLE"]
"""As the protocol's repository index has them."""

_LOG = logging.getLogger("edged.serving")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the index; ``reason`` says why it is not ready."""

    name: str
    version: str
    state: State
    reason: str = ""


@dataclass(slots=True)
class _Slot:
    """``busy`` is held while a model is loaded or unloaded: one at a time, and requests that need it wait for it."""

    busy: threading.Lock = field(default_factory=threading.Lock)
    served: Served | None = None
    reason: str = ""


class Shelf:
    """Holds what is loaded. Within ``freeing`` a model is unloaded, so that its memory goes back to the box."""

    def __init__(
        self,
        supplier: Supplier,
        clock: Clock,
        *,
        queue: int,
        freeing: Callable[[], AbstractContextManager[None]] = nullcontext,
        batches: Batches = ALONE,
    ) -> None:
        self._supplier, self._clock, self._queue, self._freeing = supplier, clock, queue, freeing
        self._batches = batches
        self._slots: dict[str, _Slot] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Shelf {' '.join(map(repr, self.loaded())) or 'empty'}>"

    def loaded(self) -> tuple[Served, ...]:
        """Give what is loaded, in the order of its names."""
        with self._lock:
            slots = sorted(self._slots.items())
        return tuple(slot.served for _, slot in slots if slot.served is not None)

    def index(self) -> tuple[Entry, ...]:
        """Give every model that there is."""
        return tuple(self._entry(name, version) for name, version in sorted(self._supplier.offered().items()))

    def is_at_hand(self, name: str) -> bool:
        """Whether ``get`` answers at once; it would have to load the model otherwise, which takes seconds."""
        slot = self._slots.get(name)
        return (slot is not None and slot.served is not None) or not self._supplier.runs(name)

    def holds(self, name: str, served: Served) -> bool:
        """Whether this is what answers for a name now."""
        slot = self._slots.get(name)
        return slot is not None and slot.served is served

    def get(self, name: str, version: str = "") -> Served:
        """Give a model that is ready; brings in one that a pipeline runs. ``version`` empty is the one that is loaded.

        Raises RefusedError: ``not-found`` for a model or version that there is not, ``unready`` for one that is not loaded.
        """
        slot = self._slots.get(name)
        served = slot.served if slot is not None else None
        if served is None:
            if not self._supplier.runs(name):
                raise self._absent(name, slot)
            served = self._brought_in(name)
        if version not in {"", served.brought.version}:
            message = f"cannot find version {version!r:.40} of model {name!r}: it runs {served.brought.version}, expected that one"
            raise RefusedError(message, "not-found")
        return served

    def is_ready(self, name: str, version: str = "") -> bool:
        """Whether a request for it would be answered. Raises RefusedError ``not-found`` for what there is not."""
        slot = self._slots.get(name)
        if slot is not None and slot.served is not None:
            return self.get(name, version).lost is None
        if self._supplier.runs(name):
            return version in {"", self._supplier.offered().get(name)}
        absent = self._absent(name, slot)
        if absent.kind == "not-found":
            raise absent
        return False

    def load(self, name: str) -> Served:
        """Bring a model in, or look for a newer version of one that is loaded; comes back when it is warm. Raises RefusedError.

        What is loaded goes on until the newer one is there, and goes on when that one cannot be had.
        """
        slot = self._slot(name)
        with slot.busy:
            return self._load(name, slot)

    def unload(self, name: str) -> None:
        """Refuse who waits for it, let what runs end, and free its memory. Raises RefusedError when there is no such model."""
        slot = self._slots.get(name)
        if slot is None or slot.served is None:
            absent = self._absent(name, slot)
            if absent.kind == "not-found":
                raise absent
            return
        with slot.busy, self._freeing():
            served, slot.served = slot.served, None
            if served is not None:
                served.close()
                logs.event(_LOG, "serving.unloaded", model=name)

    def close(self) -> None:
        """Unload everything."""
        for served in self.loaded():
            with suppress(RefusedError):
                self.unload(served.brought.name)

    def _slot(self, name: str) -> _Slot:
        with self._lock:
            if name not in self._slots:
                if name not in self._supplier.offered():
                    raise _unknown(name)
                self._slots[name] = _Slot()
            return self._slots[name]

    def _brought_in(self, name: str) -> Served:
        slot = self._slot(name)
        with slot.busy:
            return slot.served or self._load(name, slot)

    def _load(self, name: str, slot: _Slot) -> Served:
        before = slot.served
        try:
            brought = self._supplier.bring(name)
            try:
                served = Served(brought, self._clock, self._queue, self._batches)
            except EdgedError:
                brought.close()
                raise
        except EdgedError as error:
            slot.reason = str(error.args[0])
            logs.event(_LOG, "serving.not-loaded", level=logging.WARNING, model=name, error=error)
            raise refusal(error) from error
        slot.served, slot.reason = served, ""
        if before is not None:
            with self._freeing():
                before.close()
        logs.event(_LOG, "serving.loaded", model=name, version=brought.version)
        return served

    def _entry(self, name: str, version: str) -> Entry:
        slot = self._slots.get(name)
        served = slot.served if slot is not None else None
        if served is not None:
            lost = served.lost
            state: State = "READY" if lost is None else "UNAVAILABLE"
            return Entry(name, served.brought.version, state, str(lost.args[0]) if lost else "")
        if slot is not None and slot.busy.locked():
            return Entry(name, version, "LOADING")
        if self._supplier.runs(name):
            return Entry(name, version, "READY")
        return Entry(
            name, version, "UNAVAILABLE", slot.reason if slot is not None and slot.reason else "it is not loaded"
        )

    def _absent(self, name: str, slot: _Slot | None) -> RefusedError:
        if slot is None and name not in self._supplier.offered():
            return _unknown(name)
        reason = slot.reason if slot is not None and slot.reason else "it is not loaded"
        return RefusedError(
            f"cannot run {name!r}: {reason}", "unready", remedy="load it, or name it in [serving] models"
        )


def _unknown(name: str) -> RefusedError:
    return RefusedError(f"cannot find model {name!r:.80}: there is no bundle of this name", "not-found")
