"""A model that hangs in native code: no test hook in the product, a network that computes for ever on one input."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fakes.modelfile import _chunk, _number, _text, _value

FLOAT, INT64, BOOL = 1, 7, 9
ATTRIBUTE_INT, ATTRIBUTE_GRAPH = 2, 5
LENGTH = 64

MANIFEST = """\
name = "hang"
version = "1.0.0"
task = "anomaly"
license = "Apache-2.0"

[input]
kind = "window"
length = {length}
stride = {length}
channels = 1

[output]
decoder = "reconstruction"
threshold = 1e9

[[variant]]
id = "fp32"
file = "model.onnx"
sha256 = "{sha256}"
runtime = "onnx"
precision = "fp32"
layout = "flat"
"""


def hanging_bundle(folder: Path, length: int = LENGTH) -> Path:
    """Write the bundle ``hang`` into ``folder`` and give it: it answers windows below 0, and never one of huge values."""
    folder.mkdir(parents=True)
    weights = hanging_onnx((1, length))
    (folder / "model.onnx").write_bytes(weights)
    text = MANIFEST.format(length=length, sha256=hashlib.sha256(weights).hexdigest())
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return folder


def hanging_onnx(shape: tuple[int, ...]) -> bytes:
    """``y = max(x, 0)``, after a loop of max(0, the largest x) rounds whose outcome y takes in, and which adds nothing."""
    body = (
        _node("Identity", ["go"], ["on"])
        + _node("Sin", ["before"], ["after"])
        + _text(2, "body")
        + _chunk(11, _value("round", (), INT64))
        + _chunk(11, _value("go", (), BOOL))
        + _chunk(11, _value("before", (), FLOAT))
        + _chunk(12, _value("on", (), BOOL))
        + _chunk(12, _value("after", (), FLOAT))
    )
    graph = (
        _node("ReduceMax", ["x"], ["most"], _integer("keepdims", 0))
        + _node("Relu", ["most"], ["wanted"])
        + _node("Cast", ["wanted"], ["rounds"], _integer("to", INT64))
        + _node("Loop", ["rounds", "", "wanted"], ["end"], _subgraph("body", body))
        + _node("Sub", ["end", "end"], ["nothing"])
        + _node("Relu", ["x"], ["level"])
        + _node("Add", ["level", "nothing"], ["y"])
        + _text(2, "graph")
        + _chunk(11, _value("x", shape, FLOAT))
        + _chunk(12, _value("y", shape, FLOAT))
    )
    return _number(1, 8) + _chunk(8, _text(1, "") + _number(2, 13)) + _chunk(7, graph)


def _node(operator: str, inputs: list[str], outputs: list[str], attribute: bytes = b"") -> bytes:
    names = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
    return _chunk(1, names + _text(4, operator) + attribute)


def _integer(name: str, value: int) -> bytes:
    return _chunk(5, _text(1, name) + _number(3, value) + _number(20, ATTRIBUTE_INT))


def _subgraph(name: str, graph: bytes) -> bytes:
    return _chunk(5, _text(1, name) + _chunk(6, graph) + _number(20, ATTRIBUTE_GRAPH))
