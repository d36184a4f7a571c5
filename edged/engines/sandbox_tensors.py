"""Tensors in memory that a child shares: made once, of the size that the model needs, and filled at every call.

It is an anonymous file (``memfd_create``): it ends with its last user, is not bounded by a container's 64 MiB of /dev/shm, and counts
as memory of edged's control group. Every page is there from the start (``posix_fallocate``) and its size is sealed (``F_ADD_SEALS``), so
that neither a full box nor a child that went wrong can make a later touch a bus error.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from edged.domain.errors import DeviceError, EngineLostError
from edged.domain.tensor import FREE, Array, TensorSpec

MAX_BYTES = 268_435_456
"""No tensors of a model for such a box are larger, and a file that says so must not take the memory."""
ALIGNMENT = 64
"""A cache line, and what vector instructions like best."""
FREE_ROOM = 4
"""A tensor with an open dimension gets so many times the room that it took with 1 in its place, and ``LEAST_FREE_BYTES``."""
LEAST_FREE_BYTES = 65_536
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor lies; ``shape_at`` is where each call's shape lies, for one with open dimensions."""

    spec: TensorSpec
    at: int
    room: int
    shape_at: int | None
    rank: int

    def told(self) -> dict[str, Any]:
        """Write it for the child."""
        return {
            "shape": self.spec.shape,
            "dtype": self.spec.dtype,
            "at": self.at,
            "room": self.room,
            "shape_at": self.shape_at,
            "rank": self.rank,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything lies, and how many bytes that takes."""

    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    size: int

    def told(self) -> dict[str, Any]:
        """Write it for the child."""
        places = {"inputs": [one.told() for one in self.inputs], "outputs": [one.told() for one in self.outputs]}
        return {"bytes": self.size, **places}


def plan(inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], came_out: Sequence[Sequence[int]]) -> Plan:
    """Lay out the tensors; ``came_out`` are the outputs' shapes of a first run, with 1 in place of open dimensions."""
    end = 0
    places: list[Place] = []
    went_in = [tuple(1 if size == FREE else size for size in spec.shape) for spec in inputs]
    for spec, shape in zip((*inputs, *outputs), (*went_in, *came_out), strict=True):
        is_free = FREE in spec.shape or tuple(shape) != spec.shape
        needed = prod(shape) * np.dtype(spec.dtype).itemsize
        room = max(LEAST_FREE_BYTES, FREE_ROOM * needed) if is_free else needed
        shape_at = end if is_free else None
        at = _aligned(end + (len(shape) * np.dtype(np.int64).itemsize if is_free else 0))
        places.append(Place(spec, at, room, shape_at, len(shape)))
        end = _aligned(at + room)
    return Plan(tuple(places[: len(inputs)]), tuple(places[len(inputs) :]), max(end, ALIGNMENT))


def reserve() -> int:
    """Give the descriptor of memory without a size yet, for a child to inherit."""
    return os.memfd_create("edged-tensors", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)


class Tensors:
    """This end of the memory."""

    def __init__(self, memory: int, laid_out: Plan, what: str) -> None:
        """Fill the reserved memory. Raises DeviceError when the box does not have so much."""
        self._plan, self._what = laid_out, what
        if laid_out.size > MAX_BYTES:
            raise _too_large(what, laid_out.size, f"edged shares at most {MAX_BYTES // 2**20} MiB a model")
        try:
            os.posix_fallocate(memory, 0, laid_out.size)
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, SEALS)
            self._bytes = mmap.mmap(memory, laid_out.size)
        except OSError as error:
            raise _too_large(what, laid_out.size, f"the system gives none ({error.strerror})") from error
        self._fixed = [None if one.shape_at is not None else self._view(one, one.spec.shape) for one in laid_out.inputs]

    def put(self, tensors: Sequence[Array]) -> None:
        """Put a call's inputs there. Raises EngineLostError for one that does not fit."""
        places = self._plan.inputs
        if len(tensors) != len(places):
            message = f"cannot run {self._what}: {len(tensors)} tensors were given, expected {len(places)}"
            raise EngineLostError(message)
        for place, view, tensor in zip(places, self._fixed, tensors, strict=True):
            self._check(place, tensor)
            if view is None:
                self._shape(place, tensor.ndim)[:] = tensor.shape
                view = self._view(place, tensor.shape)  # noqa: PLW2901 - of this call alone
            np.copyto(view, tensor)

    def take(self) -> list[Array]:
        """Give copies of a call's outputs."""
        return [self._view(place, self._came_out(place)).copy() for place in self._plan.outputs]

    def _check(self, place: Place, tensor: Array) -> None:
        spec = place.spec
        fits = len(spec.shape) == tensor.ndim and all(
            size in {FREE, got} for size, got in zip(spec.shape, tensor.shape, strict=True)
        )
        if fits and spec.dtype == tensor.dtype.name and tensor.nbytes <= place.room:
            return
        given = f"{tensor.shape} {tensor.dtype} for {spec.name!r}"
        message = f"cannot run {self._what}: {given} was given, expected {spec.shape} {spec.dtype} of at most {place.room} bytes"
        raise EngineLostError(message)

    def _came_out(self, place: Place) -> tuple[int, ...]:
        if place.shape_at is None:
            return place.spec.shape
        shape = tuple(int(size) for size in self._shape(place, place.rank))
        # The child wrote it: what is no shape that fits must not be read past the room's end.
        if min(shape, default=1) < 0 or prod(shape) * np.dtype(place.spec.dtype).itemsize > place.room:
            message = f"cannot run {self._what}: its child gave the shape {shape}, expected {place.spec.shape}"
            raise EngineLostError(message)
        return shape

    def _shape(self, place: Place, count: int) -> Array:
        shape: Array = np.ndarray((count,), np.int64, self._bytes, place.shape_at or 0)
        return shape

    def _view(self, place: Place, shape: Sequence[int]) -> Array:
        view: Array = np.ndarray(tuple(shape), place.spec.dtype, self._bytes, place.at)
        return view


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _too_large(what: str, size: int, observed: str) -> DeviceError:
    message = (
        f"cannot share the tensors of {what}: they take {size / 2**20:.1f} MiB and {observed}, expected room for them"
    )
    remedy = "free memory, raise the service's memory limit, or use a smaller model"
    return DeviceError(message, remedy=remedy, code="memory-short")
