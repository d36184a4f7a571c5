"""From one trained torch network to the files of a bundle: TFLite and ONNX in fp32, and every variant made from those."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import litert_torch
import numpy as np
import onnx
import torch
from ai_edge_litert.interpreter import Interpreter

from edgectl.bundle.quantizers import RECIPES, make, open_quantizer, tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

ONNX_OPSET = 17
"""Read by every ONNX Runtime since 1.12."""
VARIANTS = ("tflite-int8", "tflite-dynamic", "onnx-int8", "onnx-fp16")
"""What a shipped network carries beside fp32. fp16 TFLite is left out: it loads as fp32 and is no faster."""


def write_onnx(network: torch.nn.Module, example: torch.Tensor, path: Path, outputs: list[str]) -> None:
    """Write ``path`` with an input named ``input`` of the example's fixed shape."""
    options = {"opset_version": ONNX_OPSET, "dynamo": False, "input_names": ["input"], "output_names": outputs}
    torch.onnx.export(network.eval(), (example,), str(path), **options)
    onnx.checker.check_model(str(path), full_check=True)


def write_tflite(network: torch.nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write the float file. ``network`` takes what the file shall take: NHWC for pictures."""
    litert_torch.convert(network.eval(), (example,)).export(str(path))


def write_variants(
    folder: Path,
    prefix: str,
    float_tflite: Path,
    float_onnx: Path,
    calibration: Sequence[NDArray[np.float32]],
    *,
    keep_last: int = 0,
    keep: dict[str, Sequence[str]] | None = None,
) -> tuple[Path, ...]:
    """Write ``{prefix}fp32``, ``int8``, ``dynamic`` .tflite and ``{prefix}fp32``, ``int8``, ``fp16`` .onnx; the same input, the same bytes.

    Args:
        folder: Where they go; the float files may lie there already.
        prefix: Before each name, as in ``small-``; may be empty.
        float_tflite: The float TFLite file.
        float_onnx: The same network as ONNX.
        calibration: What the TFLite file's input takes, one array a sample with its batch axis, float32: pictures NHWC, windows flat. The
            ONNX file gets them channels first where it wants that. They must hold all that the field brings: int8 cuts off the rest.
        keep_last: In int8, so many of the last layers and all behind them stay float.
        keep: Layers that stay float by variant, as in ``{"onnx-int8": ("/classes/Conv_output_0",)}``: output tensors' names.

    Returns:
        The six files.
    """
    sources = {"tflite": float_tflite, "onnx": float_onnx}
    written = [_placed(source, folder / f"{prefix}fp32.{runtime}") for runtime, source in sources.items()]
    quantizers = {runtime: open_quantizer(source, list(calibration)) for runtime, source in sources.items()}
    for recipe in (recipe for recipe in RECIPES if recipe.id in VARIANTS):
        quantizer = quantizers[recipe.runtime]
        kept = dict.fromkeys(
            (*(keep or {}).get(recipe.id, ()), *tail(quantizer, keep_last * (recipe.precision == "int8")))
        )
        path = folder / f"{prefix}{recipe.precision}.{recipe.runtime}"
        path.write_bytes(make(recipe, quantizer, tuple(kept)))
        written.append(path)
    return tuple(written)


def _placed(source: Path, path: Path) -> Path:
    if source.resolve() != path.resolve():
        shutil.copyfile(source, path)
    return path


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
