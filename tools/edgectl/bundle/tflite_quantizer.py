"""Quantised TFLite files from a float one, through ai-edge-quantizer: no TensorFlow, no torch."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.utils import qsv_utils, tfl_flatbuffer_utils
from numpy.typing import NDArray

from edged.domain.errors import BundleError

Samples = Sequence[NDArray[np.float32]]
SIGNATURE = "serving_default"
"""What a file without signatures gets, as the converters call theirs: the quantizer reads inputs by signature."""
WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
FUSED = frozenset({"RELU", "RELU6"})
ERROR_SAMPLES = 8
"""Enough to order layers by."""
HALF_OPERATIONS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "EMBEDDING_LOOKUP")
"""All that the quantizer stores in half precision (its float_casting.py)."""


SMALL = 1e-12
"""Keeps a noise defined where there is no signal at all."""


class TfliteQuantizer:
    """One float file and what its calibration samples cause in it; each call makes one file.

    A layer is named by its first output tensor.
    """

    runtime = "tflite"

    def __init__(self, file: Path, samples: Samples) -> None:
        """Read the file; nothing is run before ``int8``.

        Args:
            file: A float TFLite model with one input.
            samples: What the input takes, float32 in its own shape, as many as describe the field's range.

        Raises:
            BundleError: The file is quantised already, or takes more than one input.
        """
        self._content, self._graph, self._argument = _with_signature(file)
        self._samples = samples
        self._ranges: dict[str, Any] | None = None

    @property
    def operators(self) -> tuple[str, ...]:
        """Every operator, in the order in which they run."""
        return tuple(self._scope(operator)[0] for operator in self._graph.subgraphs[0].operators)

    @property
    def layers(self) -> tuple[str, ...]:
        """The operators that carry weights, in the same order."""
        return self._of_kinds(WEIGHTED, member=True)

    @property
    def others(self) -> tuple[str, ...]:
        """The operators that carry none, but for plain activations."""
        return self._of_kinds(WEIGHTED | FUSED, member=False)

    def int8(self, keep: Sequence[str] = ()) -> bytes:
        """Quantise weights, activations, input and output, but for the layers to ``keep`` in float.

        An output that a kept layer writes stays float32.
        """
        return self._made(recipe.static_wi8_ai8(), keep, self._calibrated())

    def dynamic(self, keep: Sequence[str] = ()) -> bytes:
        """Quantise the weights; activations are quantised while it runs, each by its own range."""
        return self._made(recipe.dynamic_wi8_afp32(), keep)

    def fp16(self, keep: Sequence[str] = ()) -> bytes:
        """Store the weights in half precision; they are float32 again once loaded."""
        rules = recipe_manager.RecipeManager()
        for operation in HALF_OPERATIONS:
            rules.add_quantization_config(".*", qtyping.TFLOperationName(operation), _HALF, AlgorithmName.FLOAT_CASTING)
        return self._made(rules.get_quantization_recipe(), keep)

    def errors(self, made: bytes) -> dict[str, float]:
        """Give each layer's noise in ``made``: mean square of what differs by mean square of what should be."""
        with _quiet():
            judge = quantizer.Quantizer(self._content, None, made)
            data = {SIGNATURE: [{self._argument: sample} for sample in self._samples[:ERROR_SAMPLES]]}
            found = judge.validate(data, [quantizer.ValidationErrorMetric.SNR], use_xnnpack=False, num_threads=1)
        ratios = {name: next(iter(values.values())) for name, values in found.get_all_tensor_results().items()}
        return {name: 1.0 / max(ratios[name], SMALL) for name in self.layers if name in ratios}

    def _of_kinds(self, kinds: frozenset[str], *, member: bool) -> tuple[str, ...]:
        numbers = {int(getattr(flatbuffer_utils.schema_fb.BuiltinOperator, kind)) for kind in kinds}
        graph, codes = self._graph.subgraphs[0], [int(code.builtinCode) for code in self._graph.operatorCodes]
        return tuple(self._scope(one)[0] for one in graph.operators if (codes[one.opcodeIndex] in numbers) == member)

    def _calibrated(self) -> dict[str, Any]:
        """Give each tensor's extremes over all samples, found once.

        The quantizer by itself takes a moving average of the samples' extremes, which cut off a third of the values of an
        accelerometer's window; here the extremes of all are joined.
        """
        if self._ranges is None:
            rules = recipe_manager.RecipeManager()
            rules.load_quantization_recipe(recipe.static_wi8_ai8())
            with _quiet():
                watch = calibrator.Calibrator(self._content, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
                watch.calibrate({SIGNATURE: [{self._argument: sample} for sample in self._samples]}, rules)
                self._ranges = watch.get_model_qsvs()
        return self._ranges

    def _made(self, rules: Any, keep: Sequence[str], ranges: dict[str, Any] | None = None) -> bytes:
        with _quiet():
            maker = quantizer.Quantizer(self._content, rules)
            for scope in self._scopes(keep):
                maker.update_quantization_recipe(
                    f"^{re.escape(scope)}$",
                    qtyping.TFLOperationName.ALL_SUPPORTED,
                    algorithm_key=AlgorithmName.NO_QUANTIZE,
                )
            made = maker.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
        return bytes(made.quantized_model)

    def _scopes(self, keep: Sequence[str]) -> list[str]:
        """Give the quantizer's own names of the layers to keep, and of the model's outputs when one of them is theirs."""
        graph = self._graph.subgraphs[0]
        names = {self._scope(operator)[0]: operator for operator in graph.operators}
        unknown = sorted(set(keep) - names.keys())
        if unknown:
            message = (
                f"cannot keep layer {unknown[0]!r} in float: the file has none, expected one of {', '.join(names)}"
            )
            raise BundleError(message)
        kept = [names[name] for name in keep]
        written = {place for operator in kept for place in operator.outputs}
        outputs = [self._joined(graph.outputs)] if written & set(graph.outputs) else []
        return [self._joined(operator.outputs) for operator in kept] + outputs

    def _scope(self, operator: Any) -> list[str]:
        return [
            tfl_flatbuffer_utils.get_tensor_name(self._graph.subgraphs[0].tensors[place])
            for place in operator.outputs
            if place >= 0
        ]

    def _joined(self, places: Sequence[int]) -> str:
        tensors = self._graph.subgraphs[0].tensors
        return "".join(f"{tfl_flatbuffer_utils.get_tensor_name(tensors[place])};" for place in places)


_HALF = qtyping.OpQuantizationConfig(
    weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
    compute_precision=qtyping.ComputePrecision.FLOAT,
    explicit_dequantize=True,
)


def _with_signature(file: Path) -> tuple[bytes, Any, str]:
    """Give the file's content with a signature, its graph, and the signature's name of the input."""
    graph = flatbuffer_utils.read_model(str(file))
    main = graph.subgraphs[0]
    if len(main.inputs) != 1:
        message = f"cannot quantise {file.name}: it has {len(main.inputs)} inputs, expected 1"
        raise BundleError(message)
    for code in graph.operatorCodes:
        # Files from before 2020 hold the code in one byte; newer ones fill both, and the larger counts (schema.fbs).
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    schema = flatbuffer_utils.schema_fb
    if main.tensors[main.inputs[0]].type != schema.TensorType.FLOAT32:
        message = f"cannot quantise {file.name}: its input is not float32, expected a float model"
        raise BundleError(message, remedy="give the file from before it was quantised")
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = SIGNATURE.encode(), 0
    signature.inputs = [_entry(schema, "input", main.inputs[0])]
    signature.outputs = [_entry(schema, f"output_{index}", place) for index, place in enumerate(main.outputs)]
    graph.signatureDefs = graph.signatureDefs or [signature]
    own = graph.signatureDefs[0]
    own.signatureKey = SIGNATURE.encode()
    argument = own.inputs[0].name
    return bytes(flatbuffer_utils.convert_object_to_bytearray(graph)), graph, _text(argument)


def _entry(schema: Any, name: str, place: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), place
    return entry


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' progress bars and warnings to themselves: what they say is told by the gate, with a figure."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
