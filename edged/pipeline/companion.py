"""A pipeline's place for something that runs beside it: one frame in so many is handed over, with the answer that the pipeline gave."""

from __future__ import annotations

from typing import Protocol

from edged.domain.frame import Frame
from edged.domain.result import Output


class Beside(Protocol):
    """What runs beside a pipeline. Called on the pipeline's thread: it takes the frame and returns at once, whatever becomes of it."""

    def saw(self, frame: Frame, output: Output) -> None:
        """Take a frame and the live model's own answer to it, before anything was made of that."""


class Companion:
    """A loop's first refinement, which changes no answer; it outlives loops and models.

    ``attend`` and ``leave`` may be called from another thread.
    """

    def __init__(self) -> None:
        self._beside: Beside | None = None
        self._one_in, self._count = 1, 0

    def __repr__(self) -> str:
        return f"<Companion {f'one frame in {self._one_in} to {self._beside!r}' if self._beside else 'of nobody'}>"

    def attend(self, beside: Beside, one_in: int) -> None:
        """Hand one frame in ``one_in`` (1 or more) over from now on."""
        self._one_in, self._count, self._beside = one_in, 0, beside

    def attends(self, beside: Beside) -> bool:
        """Whether frames are handed to this one."""
        return self._beside is beside

    def leave(self, beside: Beside) -> None:
        """Hand nothing over any more, if it is still this one that runs beside."""
        if self._beside is beside:
            self._beside = None

    def __call__(self, output: Output, frame: Frame) -> Output:
        """Give the answer as it is."""
        beside = self._beside
        if beside is not None:
            self._count += 1
            if self._count >= self._one_in:
                self._count = 0
                beside.saw(frame, output)
        return output

    def close(self) -> None:
        """Free nothing: a loop that is built anew goes on with it."""
