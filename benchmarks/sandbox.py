"""What a child process costs over the same engine in this one: calls in turns, on an input of 300 x 300 x 3."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from figure import Effort, Figure, median, quantile

from edged.domain.ports import Engine
from edged.domain.tensor import Array
from edged.engines import onnx, sandbox

TARGET_MS = 0.25
PAIRS, CALLS = 60, 10
SHAPE = (1, 300, 300, 3)
MORE = 128
"""Protobuf's mark on a byte that another one follows."""


def measure(effort: Effort) -> list[Figure]:
    """Give one row: on a network of one operator, so that what is measured is the way there and back."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "sum.onnx"
        file.write_bytes(_one_operator())
        here = onnx.open_engine(file, threads=1)
        there = sandbox.open_engine(sandbox.Order(file, "onnx"))
        try:
            return [_compared(here, there, effort)]
        finally:
            there.close()


def _compared(here: Engine, there: Engine, effort: Effort) -> Figure:
    given = [np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)]
    bare, ours = [], []
    for _ in range(effort.times(PAIRS)):
        first, child, second = _call_ms(here.infer, given), _call_ms(there.infer, given), _call_ms(here.infer, given)
        bare.append((first + second) / 2)
        ours.append(child)
    added = [child - direct for child, direct in zip(ours, bare, strict=True)]
    return Figure(
        "what a child process adds to an engine's call on 300 by 300 by 3 uint8",
        f"≤ {TARGET_MS} ms",
        f"{median(added):.3f} ms",
        median(added) <= TARGET_MS,
        f"middle half of {len(added)} pairs {quantile(added, 0.25):.3f} to {quantile(added, 0.75):.3f} ms; "
        f"{median(bare):.3f} → {median(ours):.3f} ms; the network is one operator that reads every value",
    )


def _call_ms(infer: Callable[[list[Array]], list[Array]], given: list[Array]) -> float:
    took_ms = []
    for _ in range(CALLS):
        began_ns = time.perf_counter_ns()
        infer(given)
        took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)
    return median(took_ms)


def _one_operator() -> bytes:
    """``y = max of x``, written by hand as ONNX's protobuf has it: the benchmark needs no package that makes models."""

    def chunk(field: int, content: bytes) -> bytes:
        return _varint(field << 3 | 2) + _varint(len(content)) + content

    def number(field: int, value: int) -> bytes:
        return _varint(field << 3) + _varint(value)

    def value(name: bytes, shape: tuple[int, ...]) -> bytes:
        dims = b"".join(chunk(1, number(1, size)) for size in shape)
        return chunk(1, name) + chunk(2, chunk(1, number(1, 2) + chunk(2, dims)))

    node = chunk(1, b"x") + chunk(2, b"y") + chunk(4, b"ReduceMax")
    graph = chunk(1, node) + chunk(2, b"graph") + chunk(11, value(b"x", SHAPE)) + chunk(12, value(b"y", (1, 1, 1, 1)))
    return number(1, 8) + chunk(8, chunk(1, b"") + number(2, 13)) + chunk(7, graph)


def _varint(value: int) -> bytes:
    out = b""
    while value >= MORE:
        out += bytes([value % MORE + MORE])
        value >>= 7
    return out + bytes([value])
