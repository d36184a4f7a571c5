"""Classification: one score a class; the best are named."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.domain.result import Classes, ClassScore
from edged.pipeline.postprocess.binding import Binding, describe, require_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from re import Match

    from numpy.typing import NDArray

    from edged.domain.frame import Frame
    from edged.domain.tensor import Array, Quantization, TensorSpec

    Search = Callable[..., Match[bytes] | None]

WANTED = "one output of 1 x classes"
MOST = 5
"""No more classes than these are told of: ImageNet's usual top five."""
FEW = 32
"""From how many candidates on NumPy sorts faster than Python."""
ROUNDING = 1e-6
"""Slack in units of the scale, so that a score that is exactly ``min_score`` passes."""


def bind(binding: Binding) -> Classifier:
    """Bind to the one output that holds a score for each class.

    Raises:
        BundleError: There is no such output, or the labels do not fit its number of classes.
    """
    binding.only_keys("min_score", "max_items", "activation")
    if len(binding.outputs) != 1:
        raise binding.refuse(describe(binding.outputs), WANTED)
    spec = binding.outputs[0]
    count = max(spec.shape, default=0)
    if count < 1 or math.prod(abs(size) for size in spec.shape) != count:
        raise binding.refuse(describe(binding.outputs), WANTED)
    return Classifier(binding, spec, binding.names(count))


class Classifier:
    """Looks for high scores among the tensor's own integers, and turns only those into real numbers."""

    def __init__(self, binding: Binding, spec: TensorSpec, names: tuple[str, ...]) -> None:
        self._spec = spec
        self._names = names
        self._most = min(MOST, binding.output.max_items)
        self._activate = ACTIVATIONS.get(binding.output.activation)
        # An activation works on real values and gives real values; without one the tensor's own numbers are compared.
        stored = spec.quantization if self._activate is None else None
        self._scale, self._zero = (stored.scale, stored.zero_point) if stored else (1.0, 0)
        self._floor = _floor(binding.output.min_score, stored)
        self._search = _search(self._floor, np.dtype(spec.dtype)) if self._activate is None else None

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Classes:
        """Give the classes of at least ``min_score``, best first, at most five."""
        del inputs, frame
        scores = outputs[0].reshape(-1)
        require_finite(scores, self._spec.name)
        if self._activate is not None:
            scores = self._activate(self._spec.real(scores))
        # A handful of plain numbers, in few steps: behind an invoke, which empties the caches, a call costs ten times what it does alone.
        best_first = sorted([(-scores.item(place), place) for place in self._places(scores)])[: self._most]
        found = [ClassScore(self._names[place], self._scale * (-less - self._zero)) for less, place in best_first]
        return Classes(tuple(found))

    def _places(self, scores: Array) -> list[int]:
        """Give where scores are high enough: all such places, or the best where there are many."""
        if self._search is not None:
            places = _few(self._search, scores.tobytes())
            if places is not None:
                return places
        several = (scores >= self._floor).nonzero()[0]
        if several.size > FEW:
            several = several[np.argsort(-scores[several].astype(np.float32), kind="stable")[: self._most]]
        listed: list[int] = several.tolist()
        return listed


def _floor(min_score: float, stored: Quantization | None) -> float:
    """Give the tensor's own number from which on its real value is at least ``min_score``."""
    if stored is None:
        return min_score
    return math.ceil(min_score / stored.scale - ROUNDING) + stored.zero_point


def _search(floor: float, dtype: np.dtype[Any]) -> Search | None:
    """Give what looks for 8-bit numbers of at least ``floor``; None for wider ones.

    A pattern over bytes takes half as long as NumPy's comparison there: much less code has to come back into the caches.
    """
    if dtype not in {np.dtype(np.uint8), np.dtype(np.int8)}:
        return None
    limits = np.iinfo(dtype)
    high = bytes(number & 0xFF for number in range(max(math.ceil(floor), limits.min), limits.max + 1))
    return re.compile(b"[" + re.escape(high) + b"]" if high else rb"(?!)").search


def _few(search: Search, content: bytes) -> list[int] | None:
    """Give where ``search`` finds something; None when that is in many places."""
    places: list[int] = []
    match = search(content)
    while match is not None:
        if len(places) == FEW:
            return None
        places.append(match.start())
        match = search(content, match.end())
    return places


def _softmax(values: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # Written with tanh, which does not overflow where exp(-x) does.
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float32)


ACTIVATIONS: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
}
