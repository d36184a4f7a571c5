"""From one trained torch network to the files of a bundle: TFLite fp32 and int8, ONNX fp32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import litert_torch
import numpy as np
import onnx
import torch
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import quantizer, recipe
from ai_edge_quantizer.utils import qsv_utils

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

ONNX_OPSET = 17
"""Read by every ONNX Runtime since 1.12."""


def write_onnx(network: torch.nn.Module, example: torch.Tensor, path: Path, outputs: list[str]) -> None:
    """Write ``path`` with an input named ``input`` of the example's fixed shape."""
    options = {"opset_version": ONNX_OPSET, "dynamo": False, "input_names": ["input"], "output_names": outputs}
    torch.onnx.export(network.eval(), (example,), str(path), **options)
    onnx.checker.check_model(str(path), full_check=True)


def write_tflite(network: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write the float file. ``network`` takes what the file shall take: NHWC for pictures."""
    litert_torch.convert(network.eval(), (example,)).export(str(path))


def write_int8(float_path: Path, path: Path, calibration: Iterable[NDArray[np.float32]]) -> None:
    """Quantise weights, activations, input and output to int8; the ranges hold all that the calibration inputs cause.

    The quantizer by itself takes a moving average of the extremes of each input, which cut off a third of the values of
    an accelerometer's window; so each input is calibrated alone and the extremes of all are joined.
    """
    ((signature, tensors),) = Interpreter(model_path=str(float_path)).get_signature_list().items()
    quantise = quantizer.Quantizer(str(float_path), quantization_recipe=recipe.static_wi8_ai8())
    ranges = {}
    for sample in calibration:
        seen = quantise.calibrate({signature: [{tensors["inputs"][0]: sample}]}, num_threads=1)
        ranges = {name: qsv_utils.min_max_update(ranges.get(name, {}), extremes) for name, extremes in seen.items()}
    path.unlink(missing_ok=True)
    quantise.quantize(ranges).export_model(str(path))
    path.chmod(0o644)


def run_tflite(path: Path, samples: NDArray[np.float32]) -> list[list[NDArray[np.float32]]]:
    """Answer each sample (the file's own input shape) with the output tensors in real values."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    answers = []
    for sample in samples:
        interpreter.set_tensor(given["index"], quantised(sample, given))
        interpreter.invoke()
        answers.append([_real(interpreter, detail) for detail in interpreter.get_output_details()])
    return answers


def quantised(values: NDArray[np.float32], detail: dict) -> NDArray[np.generic]:
    """Give the values as the tensor wants them: (value / scale) + zero point, rounded, where it is quantised."""
    if detail["dtype"] == np.float32:
        return values
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(detail["dtype"])
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def dequantised(values: NDArray[np.generic], detail: dict) -> NDArray[np.float32]:
    """Give real values: (stored - zero point) * scale, where the tensor is quantised."""
    if detail["dtype"] == np.float32:
        return values
    scale, zero_point = detail["quantization"]
    return ((values.astype(np.float32) - zero_point) * scale).astype(np.float32)


def _real(interpreter: Interpreter, detail: dict) -> NDArray[np.float32]:
    return dequantised(interpreter.get_tensor(detail["index"]), detail)
