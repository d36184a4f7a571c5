"""One engine for all who run the same file in this process: its weights lie in memory once.

Several threads may run an ONNX Runtime session. A TFLite interpreter serves one at a time: there are as many as can compute at once, and
no more than users. One that remembers what it saw is nobody else's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from edged.assembly.crew import Crew
from edged.domain.errors import EdgedError, EngineLostError
from edged.domain.ports import Engine
from edged.domain.tensor import Array
from edged.domain.variant import Rung
from edged.pipeline.turns import Turns

Key = tuple[Path, str, str, int, str]
"""File, its digest, accelerator, threads and runtime: an engine is the same when these are."""
SHAREABLE = "onnx", "tflite"
SINGLE = "tflite"
"""What serves one thread at a time."""
MEASURED = 2
"""Processors of a box on which it was shown to pay that users of an interpreter on all of them take turns (ADR 18)."""


@dataclass(eq=False, slots=True)
class _Shared:
    engine: Engine
    users: int = 1
    turns: Turns = field(default_factory=partial(Turns, 1))

    @property
    def lacks_one(self) -> bool:
        """Whether another interpreter would let another user compute."""
        return isinstance(self.engine, Crew) and self.engine.count < min(self.users, self.engine.most)

    @property
    def has_one_over(self) -> bool:
        return isinstance(self.engine, Crew) and self.engine.count > min(self.users, self.engine.most)


class Shares:
    """What is open, and how many use it. Thread-safe."""

    def __init__(self, processors: int = 1) -> None:
        """``processors`` are those that models may compute on at once."""
        self._processors = processors
        self._open: dict[Key, _Shared] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Shares {', '.join(f'{key[0].name}: {one.users}' for key, one in self._open.items()) or 'none'}>"

    def take(self, file: Path, rung: Rung, open_it: Callable[[Path, Rung], Engine]) -> Engine:
        """Give an engine for a rung: one that others use already, where it may be shared. Raises what ``open_it`` raises."""
        if rung.variant.runtime not in SHAREABLE:
            return open_it(file, rung)
        key = (file, rung.variant.sha256, rung.accelerator, rung.threads, rung.variant.runtime)
        shared = self._join(key)
        if shared is None or shared.lacks_one:
            # Outside the lock: opening takes a second, and others open other files meanwhile.
            try:
                opened = open_it(file, rung)
            except BaseException as error:
                if shared is None:
                    raise
                hold = self._hold(key, shared)
                if isinstance(error, EdgedError):
                    # With fewer interpreters than could compute, their users wait for each other.
                    return hold
                hold.close()
                raise
            if getattr(opened, "remembers", False):
                return opened
            shared = self._bring(key, opened, shared)
        return self._hold(key, shared)

    def others(self, file: Path, accelerator: str, threads: int) -> int | None:
        """Give the number of threads with which others run a file, beside one user with ``threads``; None when nobody does.

        Of interpreters, which serve one thread at a time, None: who can wait shall not stand in the way of who cannot.
        """
        with self._lock:
            for (path, _, on, number, runtime), shared in self._open.items():
                is_other = (path, on) == (file, accelerator) and shared.users > (number == threads)
                if is_other and runtime != SINGLE:
                    return number
        return None

    def frees(self, engine: Engine) -> bool:
        """Whether memory comes back when one user gives this engine back: not where others go on with as much as before."""
        with self._lock:
            shared = next((one for one in self._open.values() if one.engine is getattr(engine, "engine", engine)), None)
            return shared is None or shared.users <= (shared.engine.count if isinstance(shared.engine, Crew) else 1)

    def _join(self, key: Key) -> _Shared | None:
        """Count one more user in, where there are some. What failed is given to nobody else: the file is opened anew."""
        with self._lock:
            shared = self._open.get(key)
            if shared is not None and getattr(shared.engine, "is_lost", False):
                del self._open[key]
                return None
            if shared is not None:
                shared.users += 1
        return shared

    def _bring(self, key: Key, opened: Engine, joined: _Shared | None) -> _Shared:
        """Put what was opened beside what there is, if it is needed: somebody else may have brought one meanwhile."""
        with self._lock:
            shared = joined or self._open.get(key)
            if shared is None:
                _, _, _, threads, runtime = key
                most = self._processors // threads
                self._open[key] = _Shared(Crew(opened, most) if runtime == SINGLE and most > 1 else opened)
                return self._open[key]
            shared.users += joined is None
            if shared.lacks_one and isinstance(shared.engine, Crew):
                shared.engine.join(opened)
                return shared
        opened.close()
        return shared

    def _hold(self, key: Key, shared: _Shared) -> SharedEngine:
        give_back = partial(self._give_back, key, shared)
        if key[-1] != SINGLE:
            return SharedEngine(shared.engine, give_back)
        _, _, _, threads, _ = key
        fills = self._processors == threads == MEASURED
        return QueuedEngine(shared.engine, give_back, lambda: shared.turns if fills and shared.users > 1 else None)

    def _give_back(self, key: Key, shared: _Shared) -> None:
        with self._lock:
            shared.users -= 1
            is_last = not shared.users
            if is_last and self._open.get(key) is shared:
                del self._open[key]
            elif shared.has_one_over and isinstance(shared.engine, Crew):
                shared.engine.leave()
        if is_last:
            shared.engine.close()


class SharedEngine:
    """One user's hold on an engine. ``infer`` is the engine's own until it is given back: another step a call costs a cold 20 µs."""

    def __init__(self, engine: Engine, give_back: Callable[[], None]) -> None:
        self.engine = engine
        self.runtime, self.inputs, self.outputs = engine.runtime, engine.inputs, engine.outputs
        self.infer: Callable[[Sequence[Array]], list[Array]] = engine.infer
        self._give_back: Callable[[], None] | None = give_back
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<SharedEngine {self.engine!r}{'' if self._give_back else ': closed'}>"

    def close(self) -> None:
        """Give it back; the last one frees the model. May be called twice."""
        with self._lock:
            give_back, self._give_back = self._give_back, None
        if give_back is not None:
            self.infer = self._refuse
            give_back()

    def _refuse(self, _tensors: Sequence[Array]) -> list[Array]:
        message = f"cannot run {self.engine!r}: it was given back"
        raise EngineLostError(message)


class QueuedEngine(SharedEngine):
    """One user's hold on interpreters that serve one thread at a time. Of those who wait the highest ``priority`` is the next."""

    _priority = 0

    def __init__(self, engine: Engine, give_back: Callable[[], None], crowd: Callable[[], Turns | None]) -> None:
        """``crowd`` gives the turns that users of an interpreter take which keeps several processors busy; None while there is one user."""
        super().__init__(engine, give_back)
        self.crowd = crowd

    @property
    def priority(self) -> int:
        """Its user's."""
        return self._priority

    @priority.setter
    def priority(self, priority: int) -> None:
        infer: Any = self.engine.infer
        with self._lock:
            self._priority = priority
            if self._give_back is not None:
                # Another step a call for those only who are not as important as everybody.
                self.infer = partial(infer, priority=priority) if priority else infer
