"""What an ONNX file says of itself, read through onnx."""

from __future__ import annotations

import ast
import math
from collections import Counter
from pathlib import Path
from typing import Any

import onnx

from edgectl.bundle.facts import Inside, Written
from edged.domain.bundle import Precision
from edged.domain.errors import BundleError

QUANTISED = frozenset({"QLinearConv", "QLinearMatMul", "QuantizeLinear"})
DYNAMIC = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul"})


def read_inside(file: Path) -> Inside:
    """Read the graph. Raises BundleError when the file is no ONNX model."""
    try:
        model = onnx.load(str(file), load_external_data=False)
    except Exception as error:  # protobuf's and onnx's own, which share no base
        message = f"cannot read {file.name}: {' '.join(str(error).split())[:120]}, expected an ONNX model"
        raise BundleError(message) from error
    graph = model.graph
    outputs = {output.name for output in graph.output}
    last = tuple(node.op_type for node in graph.node if outputs & set(node.output))
    counts = Counter(node.op_type for node in graph.node)
    return Inside(_precision(graph, counts), dict(sorted(counts.items())), last, _written(model))


def _precision(graph: Any, counts: Counter[str]) -> Precision:
    if counts.keys() & DYNAMIC:
        return "dynamic"
    if counts.keys() & QUANTISED:
        return "int8"
    sizes: Counter[int] = Counter()
    for tensor in graph.initializer:
        sizes[tensor.data_type] += math.prod(tensor.dims)
    return "fp16" if sizes[onnx.TensorProto.FLOAT16] > sizes[onnx.TensorProto.FLOAT] else "fp32"


def _written(model: Any) -> Written:
    texts = {entry.key: entry.value for entry in model.metadata_props}
    if model.producer_name:
        texts["producer"] = f"{model.producer_name} {model.producer_version}".strip()
    texts["opset"] = ", ".join(f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import)
    return Written(
        description=texts.get("description", model.doc_string),
        license=texts.get("license", ""),
        labels=_names(texts.get("names", "")),
        texts=texts,
    )


def _names(text: str) -> tuple[str, ...]:
    """Read class names as the YOLO exporters write them: ``{0: 'person', 1: 'bicycle'}``."""
    try:
        found = ast.literal_eval(text) if text else {}
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # what a text may do to Python's parser
        return ()
    if isinstance(found, dict) and all(isinstance(number, int) for number in found):
        found = [found[number] for number in sorted(found)]
    return tuple(str(name) for name in found) if isinstance(found, list) else ()
