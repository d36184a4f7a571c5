"""ONNX models on ONNX Runtime, on the processor. Other providers run in children alone: see ``sandbox.py`` and ``providers.py``."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from edged.domain.errors import BundleError, DeviceError, EdgedError, EngineLostError
from edged.domain.tensor import FREE, Array, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

CPU = "CPUExecutionProvider"
FATAL = 4
"""The runtime's log severity: what matters is raised as well, and its lines would stand between ours."""
DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(uint16)": "uint16",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
UNKNOWN_OPERATOR = re.compile(r"([\w.]+:[\w.]+)\(-?\d+\) is not a registered function/op")
"""How the runtime names an operator that it does not bring, ``domain:Operator(opset)``."""
UNKNOWN_STANDARD = re.compile(r"(?:Could not find an implementation for|No Op registered for) (\w+)")
"""The same for operators of ONNX's own domain."""
NO_GRAPH = re.compile(r"No graph was found|does not have a graph")
"""How new runtimes and 1.23, the last for Python 3.10, call an empty file."""
PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .*? failed:\s*)?")
"""The runtime's own beginning of a message: a number, its word, and the whole path."""
EXCEPTIONS = (
    "Fail",
    "InvalidArgument",
    "NoSuchFile",
    "NoModel",
    "EngineError",
    "RuntimeException",
    "InvalidProtobuf",
    "ModelLoaded",
    "NotImplemented",
    "InvalidGraph",
    "EPFail",
)
"""The runtime's own exceptions, which share no base below ``Exception``."""


def open_engine(path: Path, *, threads: int) -> OnnxEngine:
    """Load a model with ``threads`` threads.

    Raises:
        BundleError: The file is no ONNX model, is damaged, or needs operators that this runtime does not know.
        DeviceError: No ONNX Runtime is installed.
    """
    runtime = _runtime()
    _refuse_pointer(path)
    errors = _exceptions(runtime)
    try:
        session = runtime.InferenceSession(str(path), _options(runtime, threads), providers=[CPU])
    except errors as error:
        raise _refusal(error, path.name) from error
    return OnnxEngine(session, path.name, threads, errors)


class OnnxEngine:
    """An ONNX Runtime session, which several threads may run at once.

    A run that fails leaves it as it was. So it is not given up for those who share it: a client's tensor of a wrong size would have its
    weights in memory a second time.
    """

    runtime = "onnxruntime"

    def __init__(self, session: Any, name: str, threads: int, errors: tuple[type[Exception], ...]) -> None:
        self._session: Any = session
        self._name = name
        self._threads = threads
        self._errors: tuple[type[Exception], ...] = (*errors, ValueError, RuntimeError)
        self._inputs = tuple(_spec(argument) for argument in session.get_inputs())
        self._outputs = tuple(_spec(argument) for argument in session.get_outputs())
        self._input_names = tuple(spec.name for spec in self._inputs)

    def __repr__(self) -> str:
        state = "closed" if self._session is None else f"{self._threads} threads"
        return f"<OnnxEngine {self._name}: {state}>"

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that ``infer`` takes, in its order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that ``infer`` gives, in its order."""
        return self._outputs

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        """Run once. Several threads may do so at once."""
        session = self._session
        if session is None:
            message = f"cannot run {self._name}: its engine was closed"
            raise EngineLostError(message)
        try:
            answer: list[Array] = session.run(None, dict(zip(self._input_names, tensors, strict=True)))
        except self._errors as error:
            message = f"cannot run {self._name}: {_line(str(error))}"
            raise EngineLostError(message) from error
        return answer

    def close(self) -> None:
        """Free the model, once the calls that are running have ended. May be called twice."""
        self._session = None


def _runtime() -> ModuleType:
    """Import the runtime, which costs 20 MB, when a model needs it."""
    try:
        return importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        message = "cannot run ONNX models: onnxruntime is not installed"
        raise DeviceError(message, remedy="install edged[onnx]", code="runtime-missing") from error
    except ImportError as error:
        message = f"cannot start onnxruntime: {_line(str(error))}, expected a runtime that works on this machine"
        raise DeviceError(message, remedy="install edged[onnx] anew") from error


def _options(runtime: ModuleType, threads: int) -> Any:
    """Set threads by hand, and none that spin while they wait: that cost 2.6 times the CPU at 10 frames a second."""
    runtime.set_default_logger_severity(FATAL)
    options = runtime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _refuse_pointer(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
    except OSError as error:
        message = f"cannot read model file {path.name}: {error.strerror or error}"
        raise BundleError(message) from error
    if start == LFS_POINTER:
        message = f"cannot load {path.name}: it is a Git LFS pointer, expected the ONNX model that it points to"
        raise BundleError(message, remedy="fetch the file itself (git lfs pull) and build the bundle again")


def _exceptions(runtime: ModuleType) -> tuple[type[Exception], ...]:
    state = runtime.capi.onnxruntime_pybind11_state
    return tuple(getattr(state, name) for name in EXCEPTIONS if hasattr(state, name))


def _spec(argument: Any) -> TensorSpec:
    """Describe an input or output; names of open dimensions become -1."""
    if argument.type not in DTYPES:
        message = f"cannot use {argument.name!r}: its type is {argument.type}, expected a tensor of numbers"
        raise BundleError(message)
    shape = tuple(size if isinstance(size, int) else FREE for size in argument.shape)
    return TensorSpec(argument.name, shape, DTYPES[argument.type])


def _refusal(error: Exception, name: str) -> EdgedError:
    """Say what the runtime's words about a file mean."""
    text = str(error)
    line = _line(text)
    operator = UNKNOWN_OPERATOR.search(text) or UNKNOWN_STANDARD.search(text)
    if operator:
        seen = f"its operator {operator.group(1)!r} is known to no installed runtime"
        message = f"cannot run {name}: {seen}, expected operators of ONNX"
        return BundleError(message, remedy="convert the model with standard operators only", code="operator")
    if "opset" in text:
        message = f"cannot load {name}: its operator set is newer than this runtime knows ({line})"
        return BundleError(message, remedy="update ONNX Runtime, or convert the model for an older operator set")
    if type(error).__name__ in {"InvalidProtobuf", "InvalidGraph", "NoModel"} or NO_GRAPH.search(text):
        message = f"cannot load {name}: its content is damaged ({line}), expected a whole ONNX model"
        return BundleError(message, remedy="deliver the bundle again")
    message = f"cannot load {name}: {line}, expected a model that this runtime can run"
    return BundleError(message)


def _line(text: str, limit: int = 200) -> str:
    """Give the beginning of a runtime's message as one line."""
    line = PREFIX.sub("", " ".join(text.split()))
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
