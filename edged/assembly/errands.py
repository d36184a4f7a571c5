"""What takes long is done on a thread of its own, one thing at a time, so that who asked can look after everything else meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Errand:
    """``of`` is what it is about: asked about another object, though it were equal, it is done anew.

    A release that is ordered again weeks later is equal to what was on trial then. ``outcome`` holds its result, or what it raised.
    """

    of: object
    outcome: tuple[Any, BaseException | None] | None = None


class Errands:
    """``ask`` is one thread's. ``done`` is called, on another, when something is done."""

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._errands: dict[str, _Errand] = {}
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        busy = [name for name, errand in self._errands.items() if errand.outcome is None]
        return f"<Errands: {busy[0] if busy else 'idle'}>"

    def ask(self, name: str, of: object, work: Callable[[], _Result]) -> _Result | None:
        """Give what ``work`` gives, and raise what it raises, once it is done; None until then. What was given is forgotten."""
        errand = self._errands.get(name)
        if errand is not None and errand.outcome is not None:
            del self._errands[name]
            if errand.of is of:
                result, error = errand.outcome
                if error is not None:
                    raise error
                return cast("_Result", result)
        if not any(one.outcome is None for one in self._errands.values()):
            errand = self._errands[name] = _Errand(of)
            self._thread = threading.Thread(target=self._run, args=(errand, work), name=f"edged-{name}", daemon=True)
            self._thread.start()
        return None

    def join(self, timeout_s: float) -> bool:
        """Wait for what is being done; False when it has not ended in time."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    def _run(self, errand: _Errand, work: Callable[[], Any]) -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = (work(), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            outcome = (None, error)
        errand.outcome = outcome
        self._done()
