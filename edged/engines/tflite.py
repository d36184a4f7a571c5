"""TensorFlow Lite models on LiteRT, or on an installed tflite-runtime where LiteRT is absent."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edged.domain.errors import BundleError, DeviceError, EdgedError, EngineLostError
from edged.domain.places import Places
from edged.domain.tensor import Array, Quantization, TensorSpec
from edged.engines.flatbuffer import Facts, inspect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

RUNTIMES = {"ai_edge_litert.interpreter": "litert", "tflite_runtime.interpreter": "tflite-runtime"}
"""Modules, and what results call them. The first one installed is used: tflite-runtime takes 13 times as long on uint8 models, and
breaks with NumPy 2."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a custom operator asks for."""

    prefix: str
    hardware: str
    remedy: str


NEEDS = (
    Need(
        "edgetpu-custom-op", "a Coral Edge TPU and libedgetpu", "use the variant that was not compiled for the Edge TPU"
    ),
    Need("ethos-u", "an Arm Ethos-U, which microcontrollers carry", "use the variant from before Vela compiled it"),
    Need("vsi-npu", "a VeriSilicon NPU and its delegate", "use a variant for the CPU"),
    Need(
        "Signal",
        "the signal library of TensorFlow Lite Micro",
        "run this file on a microcontroller, or give the features themselves",
    ),
    Need("Flex", "TensorFlow's Flex delegate", "convert the model with built-in operators only"),
)
"""Custom operators that are met in the field, by the beginning of their names."""


def open_engine(path: Path, *, threads: int) -> TfliteEngine:
    """Load a model and make it ready to run on ``threads`` CPU threads.

    Raises:
        BundleError: The file is no TFLite model, is damaged, or needs what this runtime does not know.
        DeviceError: No TFLite runtime is installed, or it does not work here.
    """
    facts = inspect(path)
    refuse_foreign(facts.foreign, path.name)
    interpreter, runtime = _interpreter_class()
    try:
        loaded = interpreter(model_path=str(path), num_threads=threads)
        loaded.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise _refusal(str(error), path.name) from error
    except (AttributeError, ImportError, SystemError) as error:
        # tflite-runtime 2.14 was built against NumPy 1 and misses its array interface under NumPy 2: a SystemError, caused by the reason.
        message = f"cannot start {runtime}: {_line(str(error.__cause__ or error))}, expected a runtime that fits NumPy {np.__version__}"
        raise DeviceError(message, remedy="install edged[tflite], or numpy<2", code="runtime-broken") from error
    return TfliteEngine(loaded, runtime, path.name, threads, facts)


def refuse_foreign(operators: Sequence[str], name: str) -> None:
    """Raise BundleError, naming what would be needed, when a file holds operators that no TFLite runtime brings."""
    if not operators:
        return
    operator = operators[0]
    need = next((need for need in NEEDS if operator.startswith(need.prefix)), None)
    if need is None:
        message = (
            f"cannot run {name}: its custom operator {operator!r} is known to no runtime, expected built-in operators"
        )
        raise BundleError(message, remedy="convert the model with built-in operators only", code="operator")
    message = f"cannot run {name}: its custom operator {operator!r} needs {need.hardware}, expected a model for the CPU"
    raise BundleError(message, remedy=need.remedy, code="operator")


class TfliteEngine:
    """A TFLite interpreter: it serves one thread at a time, and others wait; the highest priority is the next."""

    def __init__(self, interpreter: Any, runtime: str, name: str, threads: int, facts: Facts) -> None:
        self.remembers, self.is_lost = facts.remembers, False
        self._interpreter: Any = interpreter
        self._runtime = runtime
        self._name = name
        self._threads = threads
        self._place = Places(1)
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self._inputs = tuple(_spec(detail, "") for detail in inputs)
        self._outputs = tuple(_spec(detail, facts.meanings.get(detail["name"], "")) for detail in outputs)
        self._input_indices = tuple(int(detail["index"]) for detail in inputs)
        self._output_indices = tuple(int(detail["index"]) for detail in outputs)

    def __repr__(self) -> str:
        state = "closed" if self._interpreter is None else f"{self._threads} threads"
        return f"<TfliteEngine {self._name}: {state}>"

    @property
    def runtime(self) -> str:
        """Which of the distributions runs it."""
        return self._runtime

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that ``infer`` takes, in its order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that ``infer`` gives, in its order."""
        return self._outputs

    def infer(self, tensors: Sequence[Array], priority: int = 0) -> list[Array]:
        """Run once; the answer's arrays are copies."""
        self._place.take(priority)
        try:
            interpreter = self._interpreter
            if interpreter is None:
                message = f"cannot run {self._name}: its engine was closed"
                raise EngineLostError(message)
            for index, tensor in zip(self._input_indices, tensors, strict=True):
                interpreter.set_tensor(index, tensor)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in self._output_indices]
        except (ValueError, RuntimeError) as error:
            self.is_lost = True
            message = f"cannot run {self._name}: {_line(str(error))}"
            raise EngineLostError(message) from error
        finally:
            self._place.give()

    def close(self) -> None:
        """Free the model, after the call that is running. May be called twice."""
        self._place.take()
        self._interpreter = None
        self._place.give()


def _interpreter_class() -> tuple[Callable[..., Any], str]:
    """Give the class of the best runtime installed, and its name; importing one costs 10 MB, so it is done when a model needs it."""
    for module, runtime in RUNTIMES.items():
        try:
            found: Callable[..., Any] = importlib.import_module(module).Interpreter
        except ModuleNotFoundError:
            continue
        except ImportError as error:
            message = f"cannot start {runtime}: {_line(str(error))}, expected a runtime that works on this machine"
            raise DeviceError(message, remedy="install edged[tflite] anew") from error
        return found, runtime
    message = "cannot run TFLite models: neither ai-edge-litert nor tflite-runtime is installed, expected one"
    raise DeviceError(message, remedy="install edged[tflite]", code="runtime-missing")


def _spec(detail: dict[str, Any], meaning: str) -> TensorSpec:
    shape = tuple(int(size) for size in detail["shape"])
    return TensorSpec(str(detail["name"]), shape, np.dtype(detail["dtype"]).name, _quantization(detail), meaning)


def _quantization(detail: dict[str, Any]) -> Quantization | None:
    """Give the tensor's scale and zero point; the runtime writes none as (0, 0)."""
    scale, zero_point = detail["quantization"]
    if scale == 0:
        return None
    if len(detail["quantization_parameters"]["scales"]) > 1:
        name = detail["name"]
        message = f"cannot use tensor {name!r}: it is quantised per channel, expected one scale for an input or output"
        raise BundleError(message)
    return Quantization(float(scale), int(zero_point))


def _refusal(text: str, name: str) -> EdgedError:
    """Say what the runtime's words about a file mean."""
    line = _line(text)
    if "quantized_dimension" in text:
        message = (
            f"cannot load {name}: its per-channel quantisation names an axis that its tensors do not have ({line})"
        )
        return BundleError(
            message, remedy="convert the model anew: files of older converters run on TensorFlow Lite Micro only"
        )
    if "Flatbuffer" in text or "flatbuffer" in text:
        message = f"cannot load {name}: its content is damaged ({line}), expected a whole TFLite model"
        return BundleError(message, remedy="deliver the bundle again")
    message = f"cannot load {name}: {line}, expected a model that this runtime can run"
    return BundleError(message)


def _line(text: str, limit: int = 200) -> str:
    """Give the beginning of a runtime's message as one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
