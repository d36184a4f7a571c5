"""ONNX Runtime's execution providers for accelerators, and the options that each is opened with: pure.

The options' names are those of ONNX Runtime's pages for each provider; unknown ones make a session fail, so there are few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MIB = 2**20
LEAST_ROOM_MB = 64.0
"""CUDA's own structures take as much; a bound below that is none that a session could keep."""
NAMES: Mapping[str, tuple[str, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "openvino": ("OpenVINOExecutionProvider",),
    "openvino-npu": ("OpenVINOExecutionProvider",),
    "openvino-cpu": ("OpenVINOExecutionProvider",),
}
"""By accelerator, best first. What TensorRT has no layer for runs on CUDA, not on the CPU."""

BUILT = frozenset({"tensorrt", "openvino", "openvino-npu", "openvino-cpu"})
"""Accelerators that compile a model for the device first, which takes seconds to many minutes, and can keep the outcome."""

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "cuda": ("onnxruntime-gpu",),
    "tensorrt": ("onnxruntime-gpu",),
    "openvino": ("onnxruntime-openvino",),
    "openvino-npu": ("onnxruntime-openvino",),
    "openvino-cpu": ("onnxruntime-openvino",),
}
"""The distributions that bring an accelerator's providers. All of them are imported as ``onnxruntime``: only one can be installed."""

EXTRAS: Mapping[str, str] = {"onnxruntime-gpu": "onnx-gpu", "onnxruntime-openvino": "openvino"}
"""What of edged brings each distribution."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the options of a provider depend on."""

    precision: str = "fp32"
    threads: int = 1
    cache: Path | None = None
    """The folder of the compiled model; it holds one model for one device and is written by the first session."""
    room_mb: float | None = None
    """What the device may take of a memory that it shares with the system; None where it has its own, or nothing bounds it."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider and its options, as ``InferenceSession`` takes them."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)


def providers(accelerator: str, setting: Setting) -> tuple[Provider, ...]:
    """Give what a session on this accelerator is opened with, best first."""
    return tuple(Provider(name, OPTIONS[name](accelerator, setting)) for name in NAMES[accelerator])


def _none(_accelerator: str, _setting: Setting) -> dict[str, str]:
    return {}


def _cuda(_accelerator: str, setting: Setting) -> dict[str, str]:
    """Grow by what is asked for, not by doubling: on a Jetson the arena is the system's own memory.

    The exhaustive search for convolutions, which is the default, runs each of them in every way at the first call.
    """
    options = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "HEURISTIC"}
    return options if setting.room_mb is None else {**options, "gpu_mem_limit": _bytes(setting.room_mb)}


def _tensorrt(_accelerator: str, setting: Setting) -> dict[str, str]:
    options = {
        "trt_fp16_enable": str(int(setting.precision == "fp16")),
        # Of a quantized file: its own scales are used, and nothing is calibrated.
        "trt_int8_enable": str(int(setting.precision == "int8")),
    }
    if setting.room_mb is not None:
        options["trt_max_workspace_size"] = _bytes(setting.room_mb)
    if setting.cache is not None:
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(setting.cache)}
    return options


DEVICES: Mapping[str, str] = {"openvino": "GPU", "openvino-npu": "NPU", "openvino-cpu": "CPU"}


def _openvino(accelerator: str, setting: Setting) -> dict[str, str]:
    options = {"device_type": DEVICES[accelerator]}
    if accelerator == "openvino-cpu":
        options["num_of_threads"] = str(setting.threads)
    if setting.cache is not None:
        options["cache_dir"] = str(setting.cache)
    return options


def _bytes(room_mb: float) -> str:
    return str(int(max(LEAST_ROOM_MB, room_mb) * MIB))


OPTIONS: Mapping[str, Callable[[str, Setting], dict[str, str]]] = {
    "CPUExecutionProvider": _none,
    "CUDAExecutionProvider": _cuda,
    "TensorrtExecutionProvider": _tensorrt,
    "OpenVINOExecutionProvider": _openvino,
}
