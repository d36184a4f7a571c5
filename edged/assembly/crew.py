"""Several interpreters of one file for all who run it: each serves one thread at a time, and no more are there than can compute at once.

Eight cameras on one model hold its weights as often as the box has processors for it, and not eight times; the interpreter that ran last
runs next, while its memory is still near the processor.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from edged.domain.errors import EngineLostError
from edged.domain.places import Places
from edged.domain.ports import Engine
from edged.domain.tensor import Array, TensorSpec


class Crew:
    """Implements ``edged.domain.ports.Engine`` for several threads at once; one waits while every interpreter is at work."""

    def __init__(self, first: Engine, most: int) -> None:
        """``most`` is how many can compute at once."""
        self.runtime: str = first.runtime
        self.inputs: tuple[TensorSpec, ...] = first.inputs
        self.outputs: tuple[TensorSpec, ...] = first.outputs
        self.most, self.count = most, 0
        self.is_lost = False
        self._surplus: list[None] = []
        self._name = repr(first)
        self._idle: list[Engine] = []
        # A token for each that idles: waiting for one costs nothing where one is there, as it is nearly always.
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._next, self._counting = Places(1), threading.Lock()
        self.join(first)

    def __repr__(self) -> str:
        return f"<Crew of {self.count}: {self._name}>"

    def join(self, engine: Engine) -> None:
        """Take one more in."""
        with self._counting:
            self.count += 1
        self._rest(engine)

    def leave(self) -> None:
        """Have one go: at once where one idles, or the first that has finished."""
        with self._counting:
            self.count -= 1
        self._surplus.append(None)
        with suppress(Empty, IndexError):
            self._tokens.get_nowait()
            self._rest(self._idle.pop())

    def infer(self, tensors: Sequence[Array], priority: int = 0) -> list[Array]:
        """Run once; of those who wait, the highest priority is the next. Raises what the engine raises."""
        try:
            self._tokens.get_nowait()
        except Empty:
            self._wait(priority)
        try:
            engine = self._idle.pop()
        except IndexError:
            # Closed, or all lost: whoever else waits hears it, too.
            self._tokens.put(None)
            message = f"cannot run {self._name}: its interpreters were closed or lost"
            raise EngineLostError(message) from None
        put_back = self._rest
        try:
            return engine.infer(tensors)
        except EngineLostError:
            put_back = self._lose
            raise
        finally:
            put_back(engine)

    def close(self) -> None:
        """Free all, those at work as they finish; who waits for one is refused. May be called twice."""
        if not self.count:
            return
        with self._counting:
            self._surplus.extend([None] * self.count)
            self.count = 0
        with suppress(Empty, IndexError):
            while True:
                self._tokens.get_nowait()
                self._rest(self._idle.pop())
        self._tokens.put(None)

    def _wait(self, priority: int) -> None:
        self._next.take(priority)
        self._tokens.get()
        self._next.give()

    def _rest(self, engine: Engine) -> None:
        try:
            # One step, as everything here: no thread comes in between.
            self._surplus.pop()
        except IndexError:
            self._idle.append(engine)
            self._tokens.put(None)
        else:
            engine.close()

    def _lose(self, engine: Engine) -> None:
        """Let go what failed: whoever runs next shall not meet it, and nobody wait for one where none is left."""
        self.is_lost = True
        with self._counting:
            try:
                self._surplus.pop()
            except IndexError:
                self.count -= 1
            is_last = not self.count
        engine.close()
        if is_last:
            self._tokens.put(None)
