"""The child's end of the sandbox: runs models when told to. Python 3.8 or newer and NumPy; nothing of edged.

What loads and runs them is ``sandbox_runtimes.py``, which lies beside it and needs no more. It may run in another interpreter than
edged's, with the runtime that a delegate was built for. Words are JSON, one a line, over the socket that it was started with; a call is
two bytes there and one back. One thing at a time. Version 2 of the protocol:

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

# ruff: noqa: B905, EM101 - the parent sees an error's words only; zip's strict came with Python 3.10
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
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edged.engines.sandbox_runtimes import FailedError

PROTOCOL = 2
RUN, DONE, FAILED = b"r", b"y", b"n"
PR_SET_PDEATHSIG = 1
SESSION_NICE = 10
"""A tenth of a processor that everybody wants; at 19 a call would wait for seconds."""
EARLY_VICTIM = 500
"""When memory ends the kernel takes a child before the daemon; half of the most, which measurements have: those go first of all."""
DESCRIPTOR_BYTES = 4  # of a C int
WARM_UP_S = 2.0  # longer takes no warm-up: another model's frames may wait for their turn


def main() -> None:
    """Serve the parent whose socket stands in the arguments, until it is gone."""
    channel, kind = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    _humble(int(sys.argv[3]))
    # Behind the interpreter's own: an edged that runs from a folder has its runtimes there, too.
    sys.path += [path for path in sys.argv[4:] if path not in sys.path]
    beside = _beside("sandbox_runtimes")
    with suppress(BrokenPipeError, ConnectionResetError):
        try:
            server = Server(channel, beside.RUNTIMES[kind](), beside.FailedError)
        except beside.FailedError as failure:
            _say(channel, "failed", _words(failure))
        else:
            server.serve()


class Server:
    """The models that run here, by their numbers; ``failure`` is what they and their runtime raise."""

    def __init__(self, channel: socket.socket, runtime: Any, failure: type[FailedError]) -> None:
        self._channel, self._runtime, self._failure = channel, runtime, failure
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
            except self._failure as failure:
                _say(self._channel, "failed", _words(failure))
            else:
                _say(self._channel, "opened", told)
        elif what == "map":
            self._views[number] = Views(descriptors[0], content, self._failure)
            os.close(descriptors[0])
            _say(self._channel, "ready", {})
        elif what == "drop":
            self._models.pop(number, None)
            self._views.pop(number, None)

    def _run(self, number: int) -> None:
        views = self._views[number]
        try:
            views.put(self._models[number].run(views.inputs()))
        except self._failure as failure:
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

    def __init__(self, memory: int, places: dict[str, Any], failure: type[FailedError]) -> None:
        self._failure = failure
        self._bytes = mmap.mmap(memory, places["bytes"])
        self._inputs, self._outputs = places["inputs"], places["outputs"]

    def inputs(self) -> list[Any]:
        """Give what the parent has put there."""
        return [self._view(place, self._shape(place)) for place in self._inputs]

    def put(self, answers: Sequence[Any]) -> None:
        """Put the answer there."""
        for place, answer in zip(self._outputs, map(np.asarray, answers)):
            if answer.nbytes > place["room"]:
                raise self._failure("run", f"an output has {answer.nbytes} bytes, expected at most {place['room']}")
            is_open = place["shape_at"] is not None
            # What is left from the call before would be read as this one's.
            if answer.ndim != place["rank"] if is_open else list(answer.shape) != place["shape"]:
                raise self._failure("run", f"an output has the shape {answer.shape}, expected {place['shape']}")
            if is_open:
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


def _beside(name: str) -> Any:
    """Load what lies beside this file: in another interpreter there is no edged to import it from, and a child writes nothing."""
    sys.dont_write_bytecode = True
    module = ModuleType(name)
    SourceFileLoader(name, os.path.join(os.path.dirname(__file__), name + ".py")).exec_module(module)  # noqa: PTH118, PTH120 - as above
    return module


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


def _words(failure: BaseException) -> dict[str, str]:
    return dict(zip(("stage", "text"), failure.args))


if __name__ == "__main__":
    main()
