"""One ONNX Runtime session for all who run the same file in this process: its weights lie in memory once, and several threads may run it.

A TFLite interpreter serves one thread at a time, so that each user has its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import overload

from edged.domain.errors import EngineLostError
from edged.domain.ports import Engine
from edged.domain.tensor import Array, TensorSpec
from edged.domain.variant import Rung

Key = tuple[Path, str, str, int]
"""File, its digest, accelerator and threads: a session is the same when these are."""
SHAREABLE = "onnx"


@dataclass(slots=True)
class _Shared:
    engine: Engine
    users: int = 0


class Shares:
    """What is open, and how many use it. Thread-safe."""

    def __init__(self) -> None:
        self._open: dict[Key, _Shared] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Shares {', '.join(f'{key[0].name}: {one.users}' for key, one in self._open.items()) or 'none'}>"

    def take(self, file: Path, rung: Rung, open_it: Callable[[Path, Rung], Engine]) -> Engine:
        """Give an engine for a rung: one that others use already, where it may be shared. Raises what ``open_it`` raises."""
        if rung.variant.runtime != SHAREABLE:
            return open_it(file, rung)
        key = (file, rung.variant.sha256, rung.accelerator, rung.threads)
        found = self._use(key)
        if found is not None:
            return found
        # Outside the lock: opening takes a second, and others open other files meanwhile.
        opened = open_it(file, rung)
        shared = self._use(key, opened)
        if shared.engine is not opened:
            opened.close()
        return shared

    def others(self, file: Path, accelerator: str, threads: int) -> int | None:
        """Give the number of threads with which others run a file, beside one user with ``threads``; None when nobody does."""
        with self._lock:
            for (path, _, on, number), shared in self._open.items():
                if (path, on) == (file, accelerator) and shared.users > (number == threads):
                    return number
        return None

    @overload
    def _use(self, key: Key) -> SharedEngine | None: ...
    @overload
    def _use(self, key: Key, opened: Engine) -> SharedEngine: ...
    def _use(self, key: Key, opened: Engine | None = None) -> SharedEngine | None:
        """Count one more user in; of ``opened``, when nobody else opened it meanwhile."""
        with self._lock:
            shared = self._open.get(key)
            if shared is None and opened is not None:
                shared = self._open[key] = _Shared(opened)
            if shared is None:
                return None
            shared.users += 1
        return SharedEngine(shared.engine, partial(self._give_back, key, shared))

    def _give_back(self, key: Key, shared: _Shared) -> None:
        with self._lock:
            shared.users -= 1
            is_last = not shared.users
            if is_last:
                del self._open[key]
        if is_last:
            shared.engine.close()


class SharedEngine:
    """One user's hold on an engine. Several threads may run it at once."""

    def __init__(self, engine: Engine, give_back: Callable[[], None]) -> None:
        self.engine = engine
        self._give_back: Callable[[], None] | None = give_back
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<SharedEngine {self.engine!r}{'' if self._give_back else ': closed'}>"

    @property
    def runtime(self) -> str:
        """What runs the model."""
        return self.engine.runtime

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that ``infer`` takes, in its order."""
        return self.engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that ``infer`` gives, in its order."""
        return self.engine.outputs

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Run once. Raises EngineLostError when it was given back, and what the engine raises."""
        if self._give_back is None:
            message = f"cannot run {self.engine!r}: it was given back"
            raise EngineLostError(message)
        return self.engine.infer(tensors)

    def close(self) -> None:
        """Give it back; the last one frees the model. May be called twice."""
        with self._lock:
            give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()
