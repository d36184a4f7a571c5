"""The metadata that TFLite Support writes into a model: a FlatBuffers table inside a buffer of the model.

The field numbers are those of ``metadata_schema.fbs`` (github.com/tensorflow/tflite-support).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

NAME, DESCRIPTION, VERSION, GRAPHS, AUTHOR, LICENSE = range(6)
GRAPH_INPUTS, GRAPH_OUTPUTS = 2, 3
TENSOR_CONTENT, TENSOR_UNITS, TENSOR_FILES = 3, 4, 6
NORMALIZATION, THRESHOLD = 1, 3
"""``ProcessUnitOptions``."""
IMAGE = 2
"""``ContentProperties``."""
COLORS = {1: "rgb", 2: "grey"}
LABELS = frozenset({2, 3})
"""``AssociatedFileType``: names of an axis, names of values."""
MAX_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is used of it; empty where nothing stands."""

    name: str = ""
    description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""
    color: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    min_score: float | None = None
    label_file: str = ""


def read_metadata(content: bytes) -> Metadata:
    """Read the table; an empty one where there is none, or where it is damaged: what it says is only a help."""
    if not content:
        return Metadata()
    try:
        return _read(_Node(content, struct.unpack_from("<I", content)[0]))
    except (struct.error, IndexError, ValueError, TypeError, UnicodeDecodeError):
        return Metadata()


class _Node:
    """A table's fields by number (flatbuffers.dev/internals). Raises struct.error where one would lie outside the content."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content = content
        self._at = at

    def text(self, index: int) -> str:
        start, count = self._vector(index)
        return self._content[start : start + count].decode()

    def byte(self, index: int) -> int:
        at = self._field(index)
        return int(self._number("<b", at)) if at else 0

    def real(self, index: int) -> float:
        at = self._field(index)
        return float(self._number("<f", at)) if at else 0.0

    def reals(self, index: int) -> tuple[float, ...]:
        start, count = self._vector(index)
        return struct.unpack_from(f"<{min(count, MAX_ITEMS)}f", self._content, start)

    def node(self, index: int) -> _Node | None:
        at = self._field(index)
        return self._behind(at) if at else None

    def nodes(self, index: int) -> list[_Node]:
        start, count = self._vector(index)
        return [self._behind(start + 4 * place) for place in range(min(count, MAX_ITEMS))]

    def _field(self, index: int) -> int:
        vtable = self._at - self._number("<i", self._at)
        entry = 4 + 2 * index
        offset = self._number("<H", vtable + entry) if entry + 2 <= self._number("<H", vtable) else 0
        return self._at + int(offset) if offset else 0

    def _vector(self, index: int) -> tuple[int, int]:
        """Give where a vector's items begin and how many they are; none where the field is absent."""
        at = self._field(index)
        if not at:
            return 0, 0
        start = at + int(self._number("<I", at))
        return start + 4, int(self._number("<I", start))

    def _behind(self, at: int) -> _Node:
        return _Node(self._content, at + int(self._number("<I", at)))

    def _number(self, kind: str, at: int) -> Any:
        return struct.unpack_from(kind, self._content, at)[0]


def _read(root: _Node) -> Metadata:
    graphs = root.nodes(GRAPHS)
    inputs = graphs[0].nodes(GRAPH_INPUTS) if graphs else []
    outputs = graphs[0].nodes(GRAPH_OUTPUTS) if graphs else []
    mean, std = _normalisation(inputs[0]) if inputs else ((), ())
    return Metadata(
        name=root.text(NAME),
        description=root.text(DESCRIPTION),
        version=root.text(VERSION),
        author=root.text(AUTHOR),
        license=root.text(LICENSE),
        color=_color(inputs[0]) if inputs else "",
        mean=mean,
        std=std,
        min_score=next((found for output in outputs if (found := _threshold(output)) is not None), None),
        label_file=next((name for output in outputs for name in _label_files(output)), ""),
    )


def _normalisation(tensor: _Node) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for unit in tensor.nodes(TENSOR_UNITS):
        options = unit.node(1)
        if unit.byte(0) == NORMALIZATION and options is not None:
            return options.reals(0), options.reals(1)
    return (), ()


def _threshold(tensor: _Node) -> float | None:
    for unit in tensor.nodes(TENSOR_UNITS):
        options = unit.node(1)
        if unit.byte(0) == THRESHOLD and options is not None:
            return options.real(0)
    return None


def _color(tensor: _Node) -> str:
    content = tensor.node(TENSOR_CONTENT)
    image = content.node(1) if content is not None and content.byte(0) == IMAGE else None
    return COLORS.get(image.byte(0), "") if image is not None else ""


def _label_files(tensor: _Node) -> list[str]:
    return [found.text(0) for found in tensor.nodes(TENSOR_FILES) if found.byte(2) in LABELS]
