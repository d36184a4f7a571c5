"""A model made ready to run: the four things that a loop needs of it, swapped as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edged.domain.frame import Frame
from edged.domain.ports import Decoder, Engine
from edged.domain.result import ModelRef
from edged.domain.tensor import Array


@dataclass(frozen=True, slots=True)
class Model:
    """``preprocess`` gives the engine's input tensors; their memory may be used again at the next call."""

    ref: ModelRef
    preprocess: Callable[[Frame], Sequence[Array]]
    engine: Engine
    decoder: Decoder
    checks: Sequence[Callable[[], str | None]] = ()
    """Each has the engine answer one golden sample and says what is wrong with the answer, or None."""
