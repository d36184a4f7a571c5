"""Several interpreters of one file for all who run it: each serves one thread at a time, and no more are there than can compute at once.

Eight cameras on one model hold its weights as often as the box has processors for it, and not eight times; the interpreter that ran last
runs next, while its memory is still near the processor.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

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
        self._name = repr(first)
        self._idle: list[Engine] = []
        self._surplus = 0
        """How many of those at work shall go when they have finished."""
        # As many places are there to be taken as interpreters, and one where none is left: who takes that is refused.
        self._places, self._counting = Places(most), threading.Lock()
        for _ in range(most - 1):
            self._places.take()
        self.join(first)

    def __repr__(self) -> str:
        return f"<Crew of {self.count}: {self._name}>"

    def join(self, engine: Engine) -> None:
        """Take one more in."""
        with self._counting:
            self.count += 1
            self._idle.append(engine)
            is_first = self.count == 1
        if not is_first:
            self._places.give()

    def leave(self) -> None:
        """Have one go: at once where one idles, or the first that has finished."""
        with self._counting:
            self.count -= 1
            self._surplus += 1
            is_last = not self.count
        if self._places.take(within_s=0.0):
            self._rest(self._idle.pop())
        if is_last:
            self._places.give()

    def infer(self, tensors: Sequence[Array], priority: int = 0) -> list[Array]:
        """Run once; of those who wait, the highest priority is the next. Raises what the engine raises."""
        self._places.take(priority)
        try:
            engine = self._idle.pop()
        except IndexError:
            # Closed, or all lost: whoever else waits hears it, too.
            self._places.give()
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
        while self.count:
            self.leave()

    def _rest(self, engine: Engine) -> None:
        with self._counting:
            goes = self._surplus > 0
            if goes:
                self._surplus -= 1
            else:
                self._idle.append(engine)
        if goes:
            engine.close()
        else:
            self._places.give()

    def _lose(self, engine: Engine) -> None:
        """Let go what failed: whoever runs next shall not meet it, and nobody wait for one where none is left."""
        with self._counting:
            self.is_lost = True
            was_to_go = self._surplus > 0
            if was_to_go:
                self._surplus -= 1
            else:
                self.count -= 1
            is_last = not was_to_go and not self.count
        engine.close()
        if is_last:
            self._places.give()
