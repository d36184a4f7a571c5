"""What a TFLite file says of itself: its graph, and the metadata and label files that converters append."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from ai_edge_litert.tools import flatbuffer_utils

from edgectl.bundle.facts import Inside, Written
from edgectl.bundle.tflite_metadata import Metadata, read_metadata
from edged.domain.bundle import Precision
from edged.domain.errors import BundleError

METADATA = "TFLITE_METADATA"
MAX_LABELS_BYTES = 1024**2
_SCHEMA = flatbuffer_utils.schema_fb
_SIZES = {
    _SCHEMA.TensorType.FLOAT32: 4,
    _SCHEMA.TensorType.FLOAT16: 2,
    _SCHEMA.TensorType.INT8: 1,
    _SCHEMA.TensorType.UINT8: 1,
}
_BYTES = frozenset({_SCHEMA.TensorType.INT8, _SCHEMA.TensorType.UINT8})
_OPERATORS = {number: name for name, number in vars(_SCHEMA.BuiltinOperator).items() if isinstance(number, int)}


def read_inside(file: Path) -> Inside:
    """Read the graph. Raises BundleError when the file is damaged."""
    try:
        model = flatbuffer_utils.read_model(str(file))
        graph = model.subgraphs[0]
        names = [_name(code) for code in model.operatorCodes]
        used = [names[operator.opcodeIndex] for operator in graph.operators]
        outputs = set(graph.outputs)
        last = tuple(name for name, one in zip(used, graph.operators, strict=True) if outputs & set(one.outputs))
        precision = _precision(model, graph)
        metadata = read_metadata(_metadata(model))
    except (ValueError, IndexError, TypeError, AttributeError, OSError, struct.error) as error:
        message = f"cannot read {file.name}: {' '.join(str(error).split())[:120]}, expected a TFLite model"
        raise BundleError(message) from error
    return Inside(precision, dict(sorted(Counter(used).items())), last, _written(model, metadata, file))


def _name(code: Any) -> str:
    # Files from before 2020 hold the code in one byte; newer ones fill both, and the larger counts (schema.fbs).
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    custom: bytes = code.customCode or b""
    return custom.decode(errors="replace") if custom else _OPERATORS.get(number, f"operator {number}")


def _precision(model: Any, graph: Any) -> Precision:
    """Tell by what most weights are stored as, and by whether the values between the layers are bytes too."""
    sizes: Counter[int] = Counter()
    running: Counter[bool] = Counter()
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            sizes[tensor.type] += len(data) // _SIZES.get(tensor.type, len(data))
        else:
            running[tensor.type in _BYTES] += 1
    weights = sizes[_SCHEMA.TensorType.INT8] + sizes[_SCHEMA.TensorType.UINT8]
    floats = sizes[_SCHEMA.TensorType.FLOAT32]
    if running[True] > running[False]:
        return "int8"
    if weights > floats:
        return "dynamic"
    return "fp16" if sizes[_SCHEMA.TensorType.FLOAT16] > floats else "fp32"


def _metadata(model: Any) -> bytes:
    for entry in model.metadata or ():
        if entry.name and entry.name.decode() == METADATA:
            return bytes(model.buffers[entry.buffer].data)
    return b""


def _written(model: Any, metadata: Metadata, file: Path) -> Written:
    described = (model.description or b"").decode(errors="replace")
    texts = {"description": described, "name": metadata.name, "version": metadata.version, "author": metadata.author}
    return Written(
        name=metadata.name,
        description=metadata.description,
        license=metadata.license,
        labels=_labels(file, metadata.label_file),
        color=metadata.color,
        mean=metadata.mean,
        std=metadata.std,
        min_score=metadata.min_score,
        texts={key: text for key, text in texts.items() if text},
    )


def _labels(file: Path, name: str) -> tuple[str, ...]:
    """Read a label file from the archive behind the model: the one that the metadata names, or the only text in it."""
    try:
        with zipfile.ZipFile(file) as archive:
            held = archive.namelist()
            texts = [one for one in held if one.endswith(".txt")]
            chosen = name if name in held else texts[0] if len(texts) == 1 else ""
            if not chosen or archive.getinfo(chosen).file_size > MAX_LABELS_BYTES:
                return ()
            lines = archive.read(chosen).decode("utf-8", "replace").splitlines()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError):
        # RuntimeError: a password is wanted, or a way to pack that is unknown here.
        return ()
    return tuple(line.strip() for line in lines if line.strip())
