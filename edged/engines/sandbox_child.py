"""The child's end of the sandbox: loads models and runs them when told to. Python 3.8 or newer and NumPy; nothing of edged.

It may run in another interpreter than edged's, with the runtime that a delegate was built for. Words are JSON, one a line, over the socket
that it was started with; a call is two bytes there and one back. One thing at a time. Version 2 of the protocol:

====== =====================================================================================================================
child  ``hello``: protocol, python, numpy, runtime, runtime_version; or ``failed``, and it ends
parent ``open``: model (a number below 256), file, threads, delegate, options, providers (each with its options), runs
child  ``opened``: inputs and outputs with name, shape, dtype, scales; the shapes that came out; what it cost; or ``failed``
parent ``map``: model, and where each tensor lies, with the memory's descriptor beside the first two bytes (SCM_RIGHTS)
child  ``ready``
parent ``b"r"`` and the model's number to run it; ``drop``: model; the end of the socket to end
child  to a run ``b"y"``, or ``b"n"`` and a line with ``failed``
====== =====================================================================================================================
"""

# ruff: noqa: B904, B905, EM101 - the parent sees an error's words only; zip's strict came with Python 3.10
from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module, metadata
from typing import Any

import numpy as np

PROTOCOL = 2
RUN, DONE, FAILED = b"r", b"y", b"n"
PR_SET_PDEATHSIG = 1
SESSION_NICE = 10
"""A tenth of a processor that everybody wants; at 19 a call would wait for seconds."""
EARLY_VICTIM = 500
"""When memory ends the kernel takes a child before the daemon; half of the most, which measurements have: those go first of all."""
TFLITE = (
    ("ai_edge_litert.interpreter", "ai-edge-litert", "litert"),
    ("tflite_runtime.interpreter", "tflite-runtime", "tflite-runtime"),
)
"""Module, distribution, and what results call it; the first one that is installed is used."""
ONNX_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
ONNX_DTYPES = {"float": "float32", "double": "float64"}
ONNX_DTYPES.update((one, one) for one in ("float16", "uint8", "int8", "uint16", "int16", "int32", "int64", "bool"))
ERROR, FATAL, CAUSES = 3, 4, (" with error: ", "[ERROR] ")  # severities, and what stands before a cause in the log
MAX_OVERHEARD, MAX_WORDS = 65_536, 400
DESCRIPTOR_BYTES = 4  # of a C int
WARM_UP_S = 2.0  # longer takes no warm-up: another model's frames may wait for their turn


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
        for module, distribution, name in TFLITE:
            try:
                self._module = import_module(module)
            except ModuleNotFoundError:
                continue
            except ImportError as error:
                raise FailedError("runtime", error)
            self.runtime, self.version = name, _version(distribution)
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
        self.version = next(filter(None, map(_version, ONNX_DISTRIBUTIONS)), "")

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


def main() -> None:
    """Serve the parent whose socket stands in the arguments, until it is gone."""
    channel, kind = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    _humble(int(sys.argv[3]))
    # Behind the interpreter's own: an edged that runs from a folder has its runtimes there, too.
    sys.path += [path for path in sys.argv[4:] if path not in sys.path]
    with suppress(BrokenPipeError, ConnectionResetError):
        try:
            server = Server(channel, RUNTIMES[kind]())
        except FailedError as failure:
            _say(channel, "failed", _words(failure))
        else:
            server.serve()


class Server:
    """The models that run here, by their numbers."""

    def __init__(self, channel: socket.socket, runtime: Any) -> None:
        self._channel, self._runtime = channel, runtime
        self._lines = channel.makefile("rb", buffering=0)
        self._models: dict[int, Any] = {}
        self._views: dict[int, Views] = {}

    def serve(self) -> None:
        """Do what the parent says until it says no more."""
        versions = {"python": sys.version.split()[0], "numpy": np.__version__}
        runtime = {"runtime": self._runtime.runtime, "runtime_version": self._runtime.version}
        _say(self._channel, "hello", dict(versions, protocol=PROTOCOL, **runtime))
        while True:
            # Two bytes are a whole run, or the beginning of a line.
            first, beside, _, _ = self._channel.recvmsg(2, socket.CMSG_SPACE(DESCRIPTOR_BYTES))
            if not first:
                return
            if first[:1] == RUN:
                self._run(first[1])
                continue
            descriptors = [int.from_bytes(data[:DESCRIPTOR_BYTES], sys.byteorder) for _, _, data in beside]
            for what, content in json.loads(first + self._lines.readline()).items():
                self._obey(what, content, descriptors)

    def _obey(self, what: str, content: dict[str, Any], descriptors: list[int]) -> None:
        number = content["model"]
        if what == "open":
            try:
                self._models[number], told = _opened(self._runtime, content)
            except FailedError as failure:
                _say(self._channel, "failed", _words(failure))
            else:
                _say(self._channel, "opened", told)
        elif what == "map":
            self._views[number] = Views(descriptors[0], content)
            os.close(descriptors[0])
            _say(self._channel, "ready", {})
        elif what == "drop":
            self._models.pop(number, None)
            self._views.pop(number, None)

    def _run(self, number: int) -> None:
        views = self._views[number]
        try:
            views.put(self._models[number].run(views.inputs()))
        except FailedError as failure:
            self._channel.sendall(FAILED + json.dumps({"failed": _words(failure)}).encode() + b"\n")
        else:
            self._channel.sendall(DONE)


def _opened(runtime: Any, order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    began = time.perf_counter()
    model = runtime.load(order)
    inputs = model.inputs()
    zeros = [np.zeros([1 if size < 0 else size for size in one["shape"]], one["dtype"]) for one in inputs]
    answer = model.run(zeros)
    load_s, cpu_s = time.perf_counter() - began, time.process_time()
    took_s: list[float] = []
    while len(took_s) < order["runs"] and sum(took_s) < WARM_UP_S:
        began = time.perf_counter()
        model.run(zeros)
        took_s.append(time.perf_counter() - began)
    # Not getrusage: its peak is also that of the process that started this one, up to the moment of exec.
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123 - as short as it can be
        peak_kib = int(status.read().partition("VmHWM:")[2].split()[0])
    cost = {"load_s": load_s, "took_s": took_s, "cpu_s": time.process_time() - cpu_s, "memory_kib": peak_kib}
    shapes = [list(np.shape(one)) for one in answer]
    return model, {"inputs": inputs, "outputs": model.outputs(), "shapes": shapes, "cost": cost}


class Views:
    """The tensors in shared memory. Where a dimension is open, the shape of each call lies there, too."""

    def __init__(self, memory: int, places: dict[str, Any]) -> None:
        self._bytes = mmap.mmap(memory, places["bytes"])
        self._inputs, self._outputs = places["inputs"], places["outputs"]

    def inputs(self) -> list[Any]:
        """Give what the parent has put there."""
        return [self._view(place, self._shape(place)) for place in self._inputs]

    def put(self, answers: Sequence[Any]) -> None:
        """Put the answer there."""
        for place, answer in zip(self._outputs, map(np.asarray, answers)):
            if answer.nbytes > place["room"]:
                raise FailedError(
                    "run", "an output has {} bytes, expected at most {}".format(answer.nbytes, place["room"])
                )
            if place["shape_at"] is not None:
                self._numbers(place, answer.ndim)[:] = answer.shape
            np.copyto(self._view(place, answer.shape), answer)

    def _shape(self, place: dict[str, Any]) -> Sequence[int]:
        if place["shape_at"] is None:
            shape: Sequence[int] = place["shape"]
            return shape
        return [int(size) for size in self._numbers(place, len(place["shape"]))]

    def _numbers(self, place: dict[str, Any], count: int) -> Any:
        return np.ndarray((count,), np.int64, self._bytes, place["shape_at"])

    def _view(self, place: dict[str, Any], shape: Sequence[int]) -> Any:
        return np.ndarray(tuple(shape), place["dtype"], self._bytes, place["at"])


def _humble(nice: int) -> None:
    """End with the parent, leave no core file, be taken before the daemon when memory ends, and be as nice as wished for."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - Python 3.8
        file.write(str(EARLY_VICTIM))
    with suppress(OSError):
        os.nice(nice)
    if nice:  # between sessions, and this is one of its own, only this counts: sched(7), "The autogroup feature"
        with suppress(OSError), open("/proc/self/autogroup", "w") as file:  # noqa: PTH123 - Python 3.8
            file.write(str(min(nice, SESSION_NICE)))


def _say(channel: socket.socket, what: str, content: dict[str, Any]) -> None:
    channel.sendall(json.dumps({what: content}).encode() + b"\n")


def _words(failure: FailedError) -> dict[str, str]:
    return dict(zip(("stage", "text"), failure.args))


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


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


if __name__ == "__main__":
    main()
