"""Quantised ONNX files from a float one, through ONNX Runtime's own tools and onnxconverter-common."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter
from onnxconverter_common import float16
from onnxruntime import quantization
from onnxruntime.quantization import qdq_loss_debug
from onnxruntime.quantization.shape_inference import quant_pre_process

from edged.domain.errors import BundleError

Samples = Sequence[NDArray[np.float32]]
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
FUSED = frozenset({"Clip", "Relu"})
"""What ONNX Runtime runs together with a quantised layer."""
OPSET = 13
"""The first in which weights may be quantised each channel by itself."""
FIRST_IR = 7
"""The file format that belongs to it."""
ERROR_SAMPLES = 8
"""Enough to order layers by; every tensor of every sample is kept in memory meanwhile."""
MAX_STEPS = 4
"""From a layer to where its quantised output is seen: bias, activation and the like lie between."""
SMALL = 1e-12
"""Keeps a noise defined where there is no signal at all."""


class OnnxQuantizer:
    """One float file and its calibration samples; each call makes one file.

    A layer is named by its first output tensor.
    """

    runtime = "onnx"

    def __init__(self, file: Path, samples: Samples) -> None:
        """Read the file and prepare it: shapes inferred, normalisations folded into convolutions.

        Args:
            file: A float ONNX model with one input.
            samples: What the input takes, float32; pictures may lie channels last where the input wants them first.

        Raises:
            BundleError: The file is quantised already, takes more than one input, or another shape than the samples'.
        """
        self._float = onnx.load(str(file))
        given = _only_input(self._float, file.name)
        self._input = given.name
        self._samples = [_as_input(sample, given, file.name) for sample in samples]
        self._graph = _prepared(self._float)

    @property
    def operators(self) -> tuple[str, ...]:
        """Every operator, in the order in which they run."""
        return tuple(node.output[0] for node in self._graph.graph.node)

    @property
    def layers(self) -> tuple[str, ...]:
        """The operators that carry weights, in the same order."""
        return tuple(node.output[0] for node in self._graph.graph.node if node.op_type in WEIGHTED)

    @property
    def others(self) -> tuple[str, ...]:
        """The operators that carry none, but for activations that run together with the layer before them."""
        plain = WEIGHTED | FUSED
        return tuple(node.output[0] for node in self._graph.graph.node if node.op_type not in plain)

    def int8(self, keep: Sequence[str] = ()) -> bytes:
        """Quantise weights (int8, each channel by itself) and activations (uint8), but for the layers to ``keep`` in float.

        Input and output stay float32. Weights use 7 of the 8 bits: an x86 processor without VNNI adds two products in 16 bits and
        would cut off larger sums without a word, on the user's box and not on this one.
        """
        exclude = [self._node(name).name for name in keep]
        with tempfile.TemporaryDirectory() as folder, _quiet():
            plain, made = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
            plain.write_bytes(_bytes(self._graph))  # a model in memory would have its weights moved to a file
            quantization.quantize_static(
                plain,
                made,
                _Reader(self._input, self._samples),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                reduce_range=True,
                nodes_to_exclude=exclude,
            )
            return _bytes(onnx.load(str(made)))

    def fp16(self, keep: Sequence[str] = ()) -> bytes:
        """Compute in half precision between a float32 input and output, but for the layers to ``keep``.

        Raises:
            BundleError: The result is no valid model: an operator of this file is beyond the converter.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self._graph)
        names = [self._node(name).name for name in keep]
        with _quiet():
            half = float16.convert_float_to_float16(model, keep_io_types=True, node_block_list=names)
        return _bytes(half)

    def errors(self, made: bytes) -> dict[str, float]:
        """Give each layer's noise in ``made``: mean square of what differs by mean square of what should be."""
        with tempfile.TemporaryDirectory() as folder, _quiet():
            right = self._activations(_bytes(self._graph), Path(folder, "float.onnx"))
            wrong = self._activations(made, Path(folder, "made.onnx"))
            pairs = qdq_loss_debug.create_activation_matching(wrong, right)
        seen = {layer: self._seen_at(layer, pairs) for layer in self.layers}
        return {layer: _noise(pairs[tensor]) for layer, tensor in seen.items() if tensor}

    def _activations(self, content: bytes, file: Path) -> dict[str, list[Any]]:
        plain, told = file.with_suffix(".plain.onnx"), file.with_suffix(".told.onnx")
        plain.write_bytes(content)
        qdq_loss_debug.modify_model_output_intermediate_tensors(str(plain), str(told))
        few = self._samples[:ERROR_SAMPLES]
        values: dict[str, list[Any]] = qdq_loss_debug.collect_activations(str(told), _Reader(self._input, few))
        return values

    def _seen_at(self, tensor: str, known: Container[str]) -> str | None:
        """Give the first tensor from ``tensor`` on that has a quantised twin: a convolution's is behind its activation."""
        for _ in range(MAX_STEPS):
            if tensor in known:
                return tensor
            after = next((node for node in self._graph.graph.node if tensor in node.input), None)
            if after is None:
                break
            tensor = after.output[0]
        return None

    def _node(self, name: str) -> Any:
        for node in self._graph.graph.node:
            if node.output[0] == name:
                return node
        known = ", ".join(self.operators)
        message = f"cannot keep layer {name!r} in float: the file has none, expected one of {known}"
        raise BundleError(message)


class _Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, samples: Samples) -> None:
        self._next = iter([{name: sample} for sample in samples])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._next, None)


def _only_input(model: Any, name: str) -> Any:
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [given for given in model.graph.input if given.name not in held]
    if len(inputs) != 1:
        message = f"cannot quantise {name}: it has {len(inputs)} inputs, expected 1"
        raise BundleError(message)
    kinds = {node.op_type for node in model.graph.node}
    if inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT or kinds & {"QuantizeLinear", "QLinearConv"}:
        message = f"cannot quantise {name}: it is quantised already or takes no float32, expected a float model"
        raise BundleError(message, remedy="give the file from before it was quantised")
    return inputs[0]


def _as_input(sample: NDArray[np.float32], given: Any, name: str) -> NDArray[np.float32]:
    """Lay a sample out as the input takes it: its own shape, or channels brought to the front."""
    wanted = [dim.dim_value for dim in given.type.tensor_type.shape.dim]
    forms = [sample, sample.transpose(0, 3, 1, 2)] if sample.ndim == len("NHWC") else [sample]
    for form in forms:
        if len(wanted) == form.ndim and all(size in {0, has} for size, has in zip(wanted, form.shape, strict=True)):
            return np.ascontiguousarray(form, np.float32)
    message = f"cannot calibrate {name}: a sample has shape {sample.shape}, expected {tuple(wanted)}"
    raise BundleError(message)


def _prepared(model: Any) -> Any:
    for tensor in model.graph.initializer:
        # Some exporters leave the name of a file behind that the weights no longer lie in.
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    # Old files list their weights among the inputs, which keeps every tool from folding or halving them.
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [given for given in model.graph.input if given.name not in held]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, FIRST_IR)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        plain, made = Path(folder, "float.onnx"), Path(folder, "prepared.onnx")
        own = next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})
        onnx.save(version_converter.convert_version(model, OPSET) if own < OPSET else model, str(plain))
        # Symbolic shapes would need sympy; shapes of edge models are fixed but for the batch.
        quant_pre_process(plain, made, skip_symbolic_shape=True)
        ready = onnx.load(str(made))
    seen: set[str] = set()
    for node in ready.graph.node:
        # The tools tell nodes apart by name, and a file need not have any.
        if not node.name or node.name in seen:
            node.name = f"{node.op_type}:{node.output[0]}"
        seen.add(node.name)
    return ready


def _noise(pair: dict[str, Any]) -> float:
    signal = np.concatenate([np.ravel(one) for one in pair["float"]])
    got = np.concatenate([np.ravel(one) for one in pair["post_qdq"]])
    return float(np.mean(np.square(got - signal)) / max(float(np.mean(np.square(signal))), SMALL))


def _bytes(model: Any) -> bytes:
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' advice and warnings to themselves: what they say is told by the gate, with a figure."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
