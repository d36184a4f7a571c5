"""What a sandbox's child runs: models on TFLite and on ONNX Runtime. Python 3.8 or newer and NumPy; nothing of edged.

``sandbox_child.py`` loads it by its path: in another interpreter there is no edged to import it from.
"""

# ruff: noqa: B904, B905, EM101 - the parent sees an error's words only; zip's strict came with Python 3.10
from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

TFLITE = (("ai_edge_litert", "litert"), ("tflite_runtime", "tflite-runtime"))
"""Package, and what results call it; the first one that is installed is used."""
ONNX_DTYPES = {"float": "float32", "double": "float64"}
ONNX_DTYPES.update((one, one) for one in ("float16", "uint8", "int8", "uint16", "int16", "int32", "int64", "bool"))
ERROR, FATAL, CAUSES = 3, 4, (" with error: ", "[ERROR] ")  # severities, and what stands before a cause in the log
MAX_OVERHEARD, MAX_WORDS = 65_536, 400


class FailedError(Exception):
    """What went wrong at which stage: ``runtime``, ``numpy``, ``library``, ``delegate``, ``provider``, ``start``, ``load``, ``run``."""

    def __init__(self, stage: str, error: object) -> None:
        words = " ".join(str(error).split())
        # Some say what they did first, and what went wrong last.
        super().__init__(stage, words if len(words) <= MAX_WORDS else f"{words[:200]} … {words[-200:]}")


class Tflite:
    """The TFLite runtime that is installed. A delegate is opened once: it holds its device, whatever runs there."""

    def __init__(self) -> None:
        self._delegates: dict[str, Any] = {}
        for package, name in TFLITE:
            try:
                self._module = import_module(package + ".interpreter")
            except ModuleNotFoundError:
                continue
            except ImportError as error:
                raise FailedError("runtime", error)
            self.runtime, self.version = name, _version(import_module(package))
            return
        raise FailedError("runtime", "neither ai-edge-litert nor tflite-runtime is installed")

    def load(self, order: dict[str, Any]) -> TfliteModel:
        """Load the file, on the delegate if one is named."""
        delegates = [self._delegate(order)] if order["delegate"] else None
        try:
            interpreter = self._module.Interpreter(
                model_path=order["file"], num_threads=order["threads"], experimental_delegates=delegates
            )
            interpreter.allocate_tensors()
            return TfliteModel(interpreter)
        except (ValueError, RuntimeError) as error:
            raise FailedError("load", error)
        except (AttributeError, ImportError, SystemError) as error:
            raise FailedError("numpy", error.__cause__ or error)

    def _delegate(self, order: dict[str, Any]) -> Any:
        name = json.dumps([order["delegate"], order["options"]])
        try:
            if name not in self._delegates:
                self._delegates[name] = self._module.load_delegate(order["delegate"], order["options"])
            return self._delegates[name]
        except OSError as error:
            raise FailedError("library", error)
        except ValueError as error:
            raise FailedError("delegate", error)


class TfliteModel:
    """A TFLite interpreter."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter = interpreter
        self._inputs, self._outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def inputs(self) -> list[dict[str, Any]]:
        """Describe what goes in."""
        return [_told(detail) for detail in self._inputs]

    def outputs(self) -> list[dict[str, Any]]:
        """Describe what comes out."""
        return [_told(detail) for detail in self._outputs]

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        """Run once."""
        try:
            for detail, tensor in zip(self._inputs, tensors):
                self._interpreter.set_tensor(detail["index"], tensor)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(detail["index"]) for detail in self._outputs]
        except (ValueError, RuntimeError) as error:
            raise FailedError("run", error)


class Onnx:
    """ONNX Runtime."""

    runtime = "onnxruntime"

    def __init__(self) -> None:
        try:
            self._module = import_module("onnxruntime")
        except ImportError as error:
            raise FailedError("runtime", error)
        self.version = _version(self._module)

    def load(self, order: dict[str, Any]) -> OnnxModel:
        """Load the file on the providers that are asked for, and on no others without a word."""
        names, options = map(list, zip(*order["providers"]))
        brought, heard = self._module.get_available_providers(), Overheard()
        if _absent(names, brought):
            raise FailedError("provider", "{} is not among {}".format(_absent(names, brought), ", ".join(brought)))
        self._module.set_default_logger_severity(ERROR)
        made = self._module.InferenceSession
        try:
            with heard:
                session = made(order["file"], self._options(order), names, options, enable_fallback=0)
        except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
            lacking = heard.cause("Failed to load library")
            raise FailedError("start" if lacking else "load", lacking or error)
        self._module.set_default_logger_severity(FATAL)
        absent, got = _absent(names, session.get_providers()), ", ".join(session.get_providers())
        if absent:
            why = heard.cause("[E:") or "it does not say why"
            raise FailedError("start", f"ONNX Runtime took {got} instead of {absent}: {why}")
        return OnnxModel(session)

    def _options(self, order: dict[str, Any]) -> Any:
        """Set threads by hand, and none that spin while they wait."""
        options = self._module.SessionOptions()
        options.log_severity_level = FATAL
        options.intra_op_num_threads, options.inter_op_num_threads = order["threads"], 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options


class Overheard:
    """What is printed on standard error meanwhile: why a provider does not start is said there, and nowhere else."""

    text = ""

    def __enter__(self) -> None:
        self._said, self._stderr = os.memfd_create("said"), os.dup(2)
        os.dup2(self._said, 2)

    def __exit__(self, *_: object) -> None:
        os.dup2(self._stderr, 2)
        os.close(self._stderr)
        said = os.pread(self._said, MAX_OVERHEARD, 0)
        os.close(self._said)
        self.text = said.decode("utf-8", "replace")
        os.write(2, said)

    def cause(self, mark: str) -> str:
        """Give the cause that the last line with this mark names; empty when there is none."""
        line = next((line for line in reversed(self.text.splitlines()) if mark in line), "")
        return next((line.rpartition(before)[2] for before in CAUSES if before in line), line)


class OnnxModel:
    """An ONNX Runtime session."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._names = [one.name for one in session.get_inputs()]

    def inputs(self) -> list[dict[str, Any]]:
        """Describe what goes in; open dimensions are -1."""
        return [_argument(one) for one in self._session.get_inputs()]

    def outputs(self) -> list[dict[str, Any]]:
        """Describe what comes out."""
        return [_argument(one) for one in self._session.get_outputs()]

    def run(self, tensors: Sequence[Any]) -> list[Any]:
        """Run once."""
        try:
            return list(self._session.run(None, dict(zip(self._names, tensors))))
        except Exception as error:  # noqa: BLE001 - as above
            raise FailedError("run", error)


RUNTIMES: dict[str, Callable[[], Any]] = {"tflite": Tflite, "onnx": Onnx}


def _told(detail: dict[str, Any]) -> dict[str, Any]:
    scale, zero_point = detail["quantization"]
    return {
        "name": str(detail["name"]),
        "shape": [int(size) for size in detail["shape"]],
        "dtype": np.dtype(detail["dtype"]).name,
        "scale": float(scale),
        "zero_point": int(zero_point),
        "scales": len(detail["quantization_parameters"]["scales"]),
    }


def _argument(one: Any) -> dict[str, Any]:
    kind = one.type[len("tensor(") : -1]
    if kind not in ONNX_DTYPES:
        raise FailedError("load", f"{one.name!r} is {one.type}, expected a tensor of numbers")
    shape = [size if isinstance(size, int) else -1 for size in one.shape]
    return {"name": one.name, "shape": shape, "dtype": ONNX_DTYPES[kind], "scale": 0.0, "zero_point": 0, "scales": 0}


def _absent(wanted: Sequence[str], got: Sequence[str]) -> str:
    return ", ".join(provider for provider in wanted if provider not in got)


def _version(package: Any) -> str:
    # Not from the installed metadata: to import what reads that takes a quarter of the time that a frame waits for a new child.
    version: str = getattr(package, "__version__", "")
    return version
