"""What a TFLite file says about itself, read without any runtime.

A model that was compiled for other hardware is built without complaint and fails when it is activated; its custom
operators tell before that. The layout is FlatBuffers' (https://flatbuffers.dev/internals/) and the field numbers are
those of TFLite's ``schema.fbs``. Every offset is checked against the file's end: files arrive damaged.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edged.domain.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IDENTIFIER = b"TFL3"
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
CUSTOM = 32
"""``BuiltinOperator.CUSTOM``."""
DETECTION_POST_PROCESS = "TFLite_Detection_PostProcess"
DETECTION_OUTPUTS = ("boxes", "classes", "scores", "count")
"""What the operator's outputs stand for, in the operator's own order, whatever the order of the model's outputs."""
BROUGHT = frozenset({DETECTION_POST_PROCESS, "AudioSpectrogram", "Mfcc"})
"""Custom operators that every TFLite runtime registers itself."""
MODEL_OPERATOR_CODES, MODEL_SUBGRAPHS = 1, 2
CODE_SHORT_BUILTIN, CODE_CUSTOM_NAME, CODE_BUILTIN = 0, 1, 3
GRAPH_TENSORS, GRAPH_OPERATORS = 0, 3
TENSOR_NAME, TENSOR_IS_VARIABLE = 3, 5
OPERATOR_CODE, OPERATOR_OUTPUTS = 0, 2
REMEMBERING = frozenset({136, 142, 143, 144})
"""``HASHTABLE``, ``VAR_HANDLE``, ``READ_VARIABLE`` and ``ASSIGN_VARIABLE``."""
MAX_ITEMS = 100_000
"""No vector of tables in a model is longer; a damaged length shall not cost the box its memory."""


@dataclass(frozen=True, slots=True)
class Facts:
    """``foreign`` are custom operators that no runtime brings; ``meanings`` say what named outputs stand for.

    ``remembers`` says that an interpreter keeps something from one call to the next, which is its user's alone.
    """

    foreign: tuple[str, ...]
    meanings: Mapping[str, str]
    remembers: bool = False


def inspect(path: Path) -> Facts:
    """Read what must be known of a TFLite file before it is loaded.

    Raises:
        BundleError: The file cannot be read, is no TFLite model, or is damaged.
    """
    return read_facts(_content(path), path.name)


def read_facts(content: bytes, name: str) -> Facts:
    """Read the same from a file's content; ``name`` is for errors.

    Raises:
        BundleError: The content is damaged.
    """
    model = _Model(content, name)
    foreign = (custom for custom in model.custom_names() if custom and custom not in BROUGHT)
    return Facts(tuple(dict.fromkeys(foreign)), model.detection_outputs(), model.remembers())


def custom_operators(path: Path) -> tuple[str, ...]:
    """Name the custom operators that a TFLite file needs and no runtime brings, each once, in the file's order.

    Raises:
        BundleError: The file cannot be read, is no TFLite model, or is damaged.
    """
    return inspect(path).foreign


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"cannot read model file {path.name}: {error.strerror or error}"
        raise BundleError(message) from error
    if content.startswith(LFS_POINTER):
        seen = f"it is a Git LFS pointer of {len(content)} bytes"
        message = f"cannot load {path.name}: {seen}, expected the TFLite model that it points to"
        raise BundleError(message, remedy="fetch the file itself (git lfs pull) and build the bundle again")
    if content[4:8] != IDENTIFIER:
        seen = f"its {len(content)} bytes carry no identifier {IDENTIFIER.decode()}"
        message = f"cannot load {path.name}: {seen}, expected a TFLite model"
        raise BundleError(message, remedy="deliver the bundle again")
    return content


@dataclass(frozen=True, slots=True)
class _Buffer:
    """Checked reads of little-endian values. Raises BundleError where a value would lie outside the file."""

    content: bytes
    name: str

    def number(self, kind: Literal["<B", "<b", "<H", "<i", "<I"], at: int) -> int:
        try:
            if at < 0:
                raise self.damaged(at)
            value: int = struct.unpack_from(kind, self.content, at)[0]
        except struct.error as error:
            raise self.damaged(at) from error
        return value

    def follow(self, at: int) -> int:
        """Give the place that the forward offset at ``at`` points to."""
        return at + self.number("<I", at)

    def field(self, table: int, index: int) -> int | None:
        """Give the place of a table's field, or None where the file leaves it at its default."""
        vtable = table - self.number("<i", table)
        entry = 4 + 2 * index
        if entry + 2 > self.number("<H", vtable):
            return None
        offset = self.number("<H", vtable + entry)
        return table + offset if offset else None

    def vector(self, table: int, index: int) -> range:
        """Give the places of a vector's 4-byte items; empty where the field is absent."""
        at = self.field(table, index)
        if at is None:
            return range(0)
        start = self.follow(at)
        count = self.number("<I", start)
        if count > min(MAX_ITEMS, len(self.content) // 4):
            raise self.damaged(start)
        return range(start + 4, start + 4 + 4 * count, 4)

    def text(self, table: int, index: int) -> str:
        """Give a string field; empty where it is absent."""
        at = self.field(table, index)
        if at is None:
            return ""
        start = self.follow(at)
        size = self.number("<I", start)
        if start + 4 + size > len(self.content):
            raise self.damaged(start)
        return self.content[start + 4 : start + 4 + size].decode("utf-8", "replace")

    def damaged(self, at: int) -> BundleError:
        message = (
            f"cannot read {self.name}: it is damaged at byte {at} of {len(self.content)}, expected a whole TFLite model"
        )
        return BundleError(message, remedy="deliver the bundle again")


class _Model:
    def __init__(self, content: bytes, name: str) -> None:
        self._buffer = _Buffer(content, name)
        self._root = self._buffer.follow(0)

    def custom_names(self) -> list[str]:
        """List the operator codes' custom names, an empty one for every built-in."""
        buffer = self._buffer
        return [self._custom_name(buffer.follow(at)) for at in buffer.vector(self._root, MODEL_OPERATOR_CODES)]

    def detection_outputs(self) -> dict[str, str]:
        """Tell what the tensors stand for that a detection post-processing operator of the first graph writes."""
        buffer = self._buffer
        names = self.custom_names()
        graphs = buffer.vector(self._root, MODEL_SUBGRAPHS)
        if DETECTION_POST_PROCESS not in names or not graphs:
            return {}
        graph = buffer.follow(graphs[0])
        tensors = buffer.vector(graph, GRAPH_TENSORS)
        meanings: dict[str, str] = {}
        for place in buffer.vector(graph, GRAPH_OPERATORS):
            operator = buffer.follow(place)
            at = buffer.field(operator, OPERATOR_CODE)
            code = 0 if at is None else buffer.number("<I", at)
            if code >= len(names) or names[code] != DETECTION_POST_PROCESS:
                continue
            for meaning, where in zip(DETECTION_OUTPUTS, buffer.vector(operator, OPERATOR_OUTPUTS), strict=False):
                tensor = buffer.number("<i", where)
                if 0 <= tensor < len(tensors):
                    meanings[buffer.text(buffer.follow(tensors[tensor]), TENSOR_NAME)] = meaning
        return meanings

    def remembers(self) -> bool:
        """Tell whether a tensor or an operator keeps something from one call to the next."""
        buffer = self._buffer
        codes = (self._builtin(buffer.follow(at)) for at in buffer.vector(self._root, MODEL_OPERATOR_CODES))
        return any(code in REMEMBERING for code in codes) or any(
            self._is_variable(buffer.follow(tensor))
            for graph in buffer.vector(self._root, MODEL_SUBGRAPHS)
            for tensor in buffer.vector(buffer.follow(graph), GRAPH_TENSORS)
        )

    def _is_variable(self, tensor: int) -> bool:
        at = self._buffer.field(tensor, TENSOR_IS_VARIABLE)
        return at is not None and self._buffer.number("<b", at) != 0

    def _custom_name(self, code: int) -> str:
        if self._builtin(code) != CUSTOM:
            return ""
        return self._buffer.text(code, CODE_CUSTOM_NAME) or "(unnamed)"

    def _builtin(self, code: int) -> int:
        buffer = self._buffer
        at = buffer.field(code, CODE_BUILTIN)
        builtin = 0 if at is None else buffer.number("<i", at)
        # Files from before 2020 hold the code in one byte; newer ones fill both, and the larger counts (schema.fbs).
        short = buffer.field(code, CODE_SHORT_BUILTIN)
        return max(builtin, 0 if short is None else buffer.number("<b", short))
