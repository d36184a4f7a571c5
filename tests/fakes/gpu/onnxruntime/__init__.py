"""ONNX Runtime as the package for GPUs has it, on a processor: the real one, with two providers more.

It stands in an interpreter of its own (tests/fakes/fakegpu.py). The file that FAKE_GPU names says how the device behaves, in a word:
``ok``, ``build SECONDS``, ``nothing`` (compiles, and keeps no engine), ``library`` (one is missing), ``crash`` or ``hang`` (when it
compiles), ``slow MS``. Errors read as the real package's do.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REAL = Path(os.environ["FAKE_GPU_REAL"])
WORD = Path(os.environ["FAKE_GPU"])
TRT, CUDA, CPU = "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"
ENGINE = "TensorrtExecutionProvider_TRTKernel_graph_main_graph_1_0_{precision}_sm87.engine"
VERSION = os.environ.get("FAKE_GPU_TENSORRT", "10.3.0")


def _load_real() -> Any:
    spec = importlib.util.spec_from_file_location(
        "onnxruntime", REAL / "__init__.py", submodule_search_locations=[str(REAL)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["onnxruntime"] = module
    spec.loader.exec_module(module)
    return module


real = _load_real()
RealSession = real.InferenceSession


class Session:
    """A session that compiles first, keeps what it compiled where it is told to, and then runs on the processor."""

    def __init__(self, file: str, options: Any, providers: list[str], told: list[dict[str, str]], **_: Any) -> None:
        self._got = [*providers, *([] if CPU in providers else [CPU])]
        word, _, amount = WORD.read_text().strip().partition(" ")
        if word == "library" and providers != [CPU]:
            lost = f"Failed to load library {HERE}/libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open"
            os.write(2, f"[E:onnxruntime:Default, provider_bridge_ort.cc:1] {lost} shared object file\n".encode())
            self._got = [CPU]
        if providers[0] == TRT and self._got != [CPU]:
            _compile(told[0], word, float(amount or 0))
        self._slow_s = float(amount) / 1000 if word == "slow" else 0.0
        self._session = RealSession(file, options, providers=[CPU])

    def get_providers(self) -> list[str]:
        return self._got

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        return self._session.get_outputs()

    def run(self, *arguments: Any) -> Any:
        time.sleep(self._slow_s)
        return self._session.run(*arguments)


def _compile(options: dict[str, str], word: str, seconds: float) -> None:
    folder = options.get("trt_engine_cache_path")
    precision = "fp16" if options["trt_fp16_enable"] == "1" else "fp32"
    engine = Path(folder or "/nowhere") / ENGINE.format(precision=precision)
    if engine.exists():
        if engine.read_text() != f"tensorrt {VERSION}":
            message = f"TensorRT EP could not deserialize engine from cache: {engine}"
            raise RuntimeError(message)
        return
    if word == "crash":
        os.abort()
    time.sleep(1e6 if word == "hang" else seconds if word == "build" else 0)
    if folder and word != "nothing":
        engine.write_text(f"tensorrt {VERSION}")


def _providers() -> list[str]:
    return [TRT, CUDA, CPU]


real.InferenceSession = Session
real.get_available_providers = _providers
