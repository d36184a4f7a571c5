"""Several requests in one run, where the model takes them and this box gains by it.

Whether it gains is measured on the box, with the model itself, once two requests have waited at a time: runs of one, and of several
together, in turns. Nothing is batched before that, nor where several together bring less than ``PAYS`` times the items a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edged.api.ports import Instance
from edged.domain.tensor import FREE, Array, TensorSpec

PAYS = 1.3
"""So many times the items a second: less is not worth that one waits for the other's share of a run."""
ROUNDS = 5
"""The quickest of so many runs counts: what else the box does meanwhile only ever adds."""


def is_batchable(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bool:
    """Whether the first axis of everything that goes in and comes out is free: requests can lie beside each other there."""
    return all(spec.shape[:1] == (FREE,) for spec in (*inputs, *outputs)) and bool(inputs) and bool(outputs)


def sizes_upto(most: int) -> list[int]:
    """Give the sizes that are tried: the powers of two up to ``most``, and ``most`` itself."""
    powers = [2**power for power in range(1, most.bit_length()) if 2**power < most]
    return [*powers, most] if most > 1 else []


def best_size(took_s: Mapping[int, float]) -> int:
    """Give the size that brings the most items a second; 1 when none brings ``PAYS`` times what runs of one do.

    Args:
        took_s: seconds that a run of so many items takes, 1 among them.
    """
    rates = {size: size / max(seconds, 1e-9) for size, seconds in took_s.items()}
    best = max(rates, key=lambda size: rates[size])
    return best if rates[best] >= PAYS * rates[1] else 1


def measure(
    instance: Instance, inputs: Sequence[TensorSpec], most: int, run: Callable[[Callable[[], object]], float]
) -> dict[int, float]:
    """Measure runs of 1 and of each size up to ``most``, in turns; gives the seconds of each.

    ``run`` calls what it is given, in a turn on a processor, and gives the seconds that it took. Raises what the engine raises: a model
    may take no other size than its maker's, whatever its file says.
    """
    asked = {size: [_nothing(spec, size) for spec in inputs] for size in (1, *sizes_upto(most))}
    took_s = dict.fromkeys(asked, float("inf"))
    for _ in range(ROUNDS):
        for size, tensors in asked.items():
            took_s[size] = min(took_s[size], run(lambda tensors=tensors: instance.infer(tensors)))  # type: ignore[misc]
    return took_s


def rows_of(tensors: Sequence[Array]) -> int:
    """Give how many items a request brings; 0 when its tensors do not agree on that."""
    counts = {tensor.shape[0] for tensor in tensors if tensor.ndim}
    return counts.pop() if len(counts) == 1 else 0


def shape_of(tensors: Sequence[Array]) -> tuple[object, ...]:
    """Give what requests have in common that can lie beside each other."""
    return tuple((tensor.shape[1:], tensor.dtype.str) for tensor in tensors)


def joined(several: Sequence[Sequence[Array]]) -> list[Array]:
    """Lay requests beside each other, each input by itself."""
    return [np.concatenate(parts) for parts in zip(*several, strict=True)]


def parted(found: Sequence[Array], rows: Sequence[int]) -> list[list[Array]]:
    """Give each request its rows of every output."""
    ends = np.cumsum(rows)
    return [[whole[end - count : end] for whole in found] for end, count in zip(ends, rows, strict=True)]


def _nothing(spec: TensorSpec, size: int) -> Array:
    return np.zeros([size, *(1 if axis == FREE else axis for axis in spec.shape[1:])], spec.dtype)
