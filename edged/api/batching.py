"""Several requests in one run, where the model takes them and this box gains by it.

Whether it gains is measured on the box, with the model itself, once two requests have waited at a time: runs of one, and of several
together, in turns. Nothing is batched before that, nor where several together bring less than ``PAYS`` times the items a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edged.api.ports import Instance
from edged.domain.errors import BundleError
from edged.domain.tensor import FREE, Array, TensorSpec

Kind = tuple[tuple[tuple[int, ...], str], ...]
"""Of each input what requests have in common that can lie beside each other: its shape behind the first axis, and its dtype."""

PAYS = 1.3
"""So many times the items a second: less is not worth that one waits for the other's share of a run."""
SAME, TINY = 1e-3, 1e-9
"""Answers are the same that differ by less than this part of the largest number."""
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
    instance: Instance, kind: Kind, most: int, run: Callable[[Callable[[], object]], float]
) -> dict[int, float]:
    """Measure runs of 1 and of each size up to ``most``, in turns; gives the seconds of each.

    ``run`` calls what it is given, in a turn on a processor, and gives the seconds that it took. Raises BundleError for a model whose
    items are not answered as they are alone, and what the engine raises: it may take no other size than its maker's, whatever its file
    says.
    """
    asked = {size: _some(kind, size) for size in (1, *sizes_upto(most))}
    if len(asked) > 1:
        _check_parts(instance, kind, run)
    took_s = dict.fromkeys(asked, float("inf"))
    for _ in range(ROUNDS):
        for size, tensors in asked.items():
            took_s[size] = min(took_s[size], run(lambda tensors=tensors: instance.infer(tensors)))  # type: ignore[misc]
    return took_s


def rows_of(tensors: Sequence[Array]) -> int:
    """Give how many items a request brings; 0 when its tensors do not agree on that."""
    counts = {tensor.shape[0] for tensor in tensors if tensor.ndim}
    return counts.pop() if len(counts) == 1 else 0


def shape_of(tensors: Sequence[Array]) -> Kind:
    """Give what a request has to have in common with those beside which it lies."""
    return tuple((tensor.shape[1:], tensor.dtype.str) for tensor in tensors)


def joined(several: Sequence[Sequence[Array]]) -> list[Array]:
    """Lay requests beside each other, each input by itself."""
    return [np.concatenate(parts) for parts in zip(*several, strict=True)]


def parted(found: Sequence[Array], rows: Sequence[int]) -> list[list[Array]]:
    """Give each request its rows of every output. Raises BundleError where the rows of an output are no items."""
    items = sum(rows)
    strange = next((whole.shape for whole in found if whole.shape[:1] != (items,)), None)
    if strange is not None:
        message = f"cannot part an output of shape {list(strange)} among {items} items, expected a row for each"
        raise BundleError(message)
    ends = np.cumsum(rows)
    return [[whole[end - count : end] for whole in found] for end, count in zip(ends, rows, strict=True)]


def _check_parts(instance: Instance, kind: Kind, run: Callable[[Callable[[], object]], float]) -> None:
    """Raise BundleError unless two items together are answered as each is alone: a first axis may be time as well."""
    both, found = _some(kind, 2), []
    each = [[tensor[place : place + 1] for tensor in both] for place in range(2)]
    for tensors in (both, *each):
        run(lambda tensors=tensors: found.append(instance.infer(tensors)))  # type: ignore[misc]
    together, *alone = found
    for part, one in zip(parted(together, [1, 1]), alone, strict=True):
        if not all(map(_is_same, part, one)):
            message = "cannot let requests share a run: an item is answered otherwise beside another, expected the same"
            raise BundleError(message)


def _is_same(one: Array, other: Array) -> bool:
    """Kernels for several items sum up in another order, and quantised ones may round to the next step."""
    most = max(float(np.abs(other).max(initial=0)), TINY)
    step = 1.0 if other.dtype.kind in "iu" else 0.0
    return one.shape == other.shape and np.allclose(one, other, SAME, max(SAME * most, step), equal_nan=True)


def _some(kind: Kind, size: int) -> list[Array]:
    """Give items that differ; whole numbers are 0 and 1, which are in every vocabulary."""
    draw = np.random.default_rng(size)
    return [(2 * draw.random((size, *shape))).astype(dtype) for shape, dtype in kind]
