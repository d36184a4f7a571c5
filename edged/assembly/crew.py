"""Several interpreters of one file for all who run it: each serves one thread at a time, and no more are there than can compute at once.

Eight cameras on one model hold its weights as often as the box has processors for it, and not eight times; the interpreter that ran last
runs next, while its memory is still near the processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from edged.domain.errors import EngineLostError
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
        self.join(first)

    def __repr__(self) -> str:
        return f"<Crew of {self.count}: {self._name}>"

    def join(self, engine: Engine) -> None:
        """Take one more in."""
        self.count += 1
        self._rest(engine)

    def leave(self) -> None:
        """Have one go: at once where one idles, or the first that has finished."""
        self.count -= 1
        self._surplus.append(None)
        with suppress(Empty):
            self._tokens.get_nowait()
            # What was lost lies at the bottom.
            self._rest(self._idle.pop(0 if self.is_lost else -1))

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Run once. Raises what the engine raises."""
        self._tokens.get()
        try:
            engine = self._idle.pop()
        except IndexError:
            # Closed: whoever else waits hears it, too.
            self._tokens.put(None)
            message = f"cannot run {self._name}: its interpreters were closed"
            raise EngineLostError(message) from None
        is_sound = True
        try:
            return engine.infer(tensors)
        except EngineLostError:
            is_sound, self.is_lost = False, True
            raise
        finally:
            self._rest(engine, is_next=is_sound)

    def close(self) -> None:
        """Free all, those at work as they finish; who waits for one is refused. May be called twice."""
        if not self.count:
            return
        self._surplus.extend([None] * self.count)
        self.count = 0
        with suppress(Empty):
            while True:
                self._tokens.get_nowait()
                self._rest(self._idle.pop())
        self._tokens.put(None)

    def _rest(self, engine: Engine, *, is_next: bool = True) -> None:
        try:
            # One step, as everything here: no thread comes in between.
            self._surplus.pop()
        except IndexError:
            self._idle.insert(len(self._idle) if is_next else 0, engine)
            self._tokens.put(None)
        else:
            engine.close()
