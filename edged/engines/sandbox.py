"""Any engine in a child process, with a deadline: what hangs or crashes in native code costs that process and one frame.

The child's end is ``sandbox_child.py``; tensors travel through shared memory (``sandbox_tensors.py``), wake-ups are a byte each way, and
the socket's end tells of a death at once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edged.domain.errors import BundleError, DeadlineError, DeviceError, EdgedError, EngineLostError
from edged.domain.places import Places
from edged.domain.tensor import Array, Quantization, TensorSpec
from edged.engines import flatbuffer, sandbox_child
from edged.engines.providers import Provider
from edged.engines.sandbox_deadline import Patience, deadline_s, slowest_s
from edged.engines.sandbox_process import Process
from edged.engines.sandbox_tensors import Tensors, plan, reserve
from edged.telemetry import logs

FIRST = 1_000_000_000
"""Above every pipeline's priority: a child that is busy for the most important ones must still be told to open and to end."""
MOST_MODELS = 256
"""In one child: a model's number is one byte."""

_LOG = logging.getLogger("edged.sandbox")


@dataclass(frozen=True, slots=True)
class Order:
    """What a child shall run."""

    file: Path
    kind: Literal["tflite", "onnx"]
    threads: int = 1
    delegate: str = ""
    """A delegate's library, for TFLite; empty is none."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The delegate's."""
    providers: tuple[Provider, ...] = (Provider("CPUExecutionProvider"),)
    """For ONNX, best first."""
    runs: int = 3
    """Of the warm-up, after the first call."""

    def told(self) -> dict[str, Any]:
        """Write it for the child."""
        return {
            "file": str(self.file),
            "threads": self.threads,
            "delegate": self.delegate,
            "options": dict(self.options),
            "providers": [[one.name, dict(one.options)] for one in self.providers],
            "runs": self.runs,
        }


@dataclass(frozen=True, slots=True)
class Hello:
    """What a child's interpreter and runtime are."""

    protocol: int
    python: str
    numpy: str
    runtime: str
    runtime_version: str


@dataclass(frozen=True, slots=True)
class Home:
    """Where a child lives. ``p99_s`` is what a call was measured to take; None: the warm-up tells."""

    python: Path | None = None
    """Its interpreter; None is edged's own."""
    nice: int = 0
    patience: Patience = field(default_factory=Patience)
    p99_s: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What opening and the warm-up took: seconds to the first answer, of each further call, and of processor time for all of those."""

    load_s: float
    took_s: Sequence[float]
    cpu_s: float
    memory_kib: int
    """The child's largest resident size."""


class CrashedError(DeviceError):
    """A child was ended by a signal of its own making before it could run: a library and a runtime that do not fit do so."""

    code = "runtime-crashed"


def open_engine(order: Order, home: Home | None = None) -> SandboxEngine:
    """Start a child for one model; it ends when the engine is closed. Raises as ``Sandbox`` and its ``open`` do."""
    sandbox = Sandbox(order.kind, home or Home(), order.file.name)
    try:
        return sandbox.open(order, home, is_alone=True)
    except BaseException:
        sandbox.close()
        raise


class Sandbox:
    """A child, and the models that run in it. Thread-safe: one call at a time, and others wait without their deadlines running.

    Of those who wait the highest priority comes first: an accelerator is shared by pipelines that are not equally important.
    """

    def __init__(self, kind: str, home: Home, what: str) -> None:
        """Start it; ``kind`` is the runtime, ``what`` the name for people of what runs there.

        Raises DeviceError when the child cannot be started, lacks its runtime, or says nothing.
        """
        self.places = Places(1)
        self._home, self._what = home, what
        self._numbers: set[int] = set()
        self.process = Process(kind, home.python, home.nice, what)
        try:
            self.hello = _greeted(self._heard("hello", kind, home), what)
        except EngineLostError as error:
            self.process.close()
            raise self._before_it_ran(error) from error
        except BaseException:
            self.process.close()
            raise

    def __repr__(self) -> str:
        return f"<Sandbox {self._what}: {self.process!r}, {len(self._numbers)} models>"

    @property
    def is_lost(self) -> bool:
        """Whether the child has ended, or was killed."""
        return not self.process.runs

    @property
    def lingers(self) -> bool:
        """Whether the child was killed and has not ended: it still holds its device."""
        return self.process.lingers

    def open(self, order: Order, home: Home | None = None, *, is_alone: bool = False) -> SandboxEngine:
        """Have the child load a file and run it once; with ``is_alone`` the child ends with the engine.

        Raises:
            BundleError: The file is no model, is damaged, or needs what the runtime does not know.
            DeviceError: The child lacks a library, takes too long, or there is no memory for the tensors.
            CrashedError: The child crashed.
        """
        meanings = flatbuffer.inspect(order.file).meanings if order.kind == "tflite" else {}
        memory = reserve()
        try:
            with self._alone():
                return self._opened(memory, order, home or self._home, meanings, is_alone=is_alone)
        except EngineLostError as error:
            raise self._before_it_ran(error) from error
        finally:
            os.close(memory)

    def drop(self, number: int) -> None:
        """Free a model."""
        with self._alone(), suppress(EngineLostError):
            self._numbers.discard(number)
            if self.process.runs:
                self.process.say("drop", {"model": number})

    def close(self) -> None:
        """End the child, after the call that is running. May be called twice."""
        with self._alone():
            self.process.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self.places.take(FIRST)
        try:
            yield
        finally:
            self.places.give()

    def _opened(
        self, memory: int, order: Order, home: Home, meanings: Mapping[str, str], *, is_alone: bool
    ) -> SandboxEngine:
        name, number = order.file.name, next(number for number in range(MOST_MODELS) if number not in self._numbers)
        self.process.say("open", {"model": number, **order.told()})
        told = self._heard("opened", name, home, order)
        inputs = tuple(_spec(one, "") for one in told["inputs"])
        outputs = tuple(_spec(one, meanings.get(one["name"], "")) for one in told["outputs"])
        laid_out = plan(inputs, outputs, told["shapes"])
        tensors = Tensors(memory, laid_out, name)
        self.process.say("map", {"model": number, **laid_out.told()}, memory)
        self._heard("ready", name, home)
        self._numbers.add(number)
        cost = Cost(**told["cost"])
        within_s = deadline_s(slowest_s(cost.took_s) if home.p99_s is None else home.p99_s, home.patience)
        logs.event(
            _LOG, "sandbox.opened", model=name, pid=self.process.pid, runtime=self.hello.runtime, deadline_s=within_s
        )
        return SandboxEngine(self, Loaded(name, number, tensors, inputs, outputs, is_alone=is_alone), within_s, cost)

    def _heard(self, wanted: str, name: str, home: Home, order: Order | None = None) -> Any:
        what, content = self.process.hear(home.patience.joining_s if self._numbers else home.patience.opening_s)
        if what == "failed":
            raise _refusal(content["stage"], content["text"], order or name, home)
        if what != wanted:
            message = f"cannot run {name}: its child said {what!r}, expected {wanted!r}"
            raise EngineLostError(message)
        return content

    def _before_it_ran(self, error: EngineLostError) -> EdgedError:
        """Say of a child that never ran a model that the box, not a frame, is concerned."""
        if self.process.crashed:
            return CrashedError(str(error.args[0]), remedy=error.remedy)
        return DeviceError(str(error.args[0]), code=error.code)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in a child: its name for people, its number there, and its tensors."""

    name: str
    number: int
    tensors: Tensors
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    is_alone: bool


class SandboxEngine:
    """An engine in a child process. It serves one thread at a time, and others wait, the highest priority first."""

    def __init__(self, sandbox: Sandbox, loaded: Loaded, deadline_s: float, cost: Cost) -> None:
        self.deadline_s, self.cost = deadline_s, cost
        self._sandbox, self._loaded = sandbox, loaded
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else repr(self._sandbox.process)
        return f"<SandboxEngine {self._loaded.name}: {state}, deadline {self.deadline_s:.2f} s>"

    @property
    def hello(self) -> Hello:
        """What the child's interpreter and runtime are."""
        return self._sandbox.hello

    @property
    def pid(self) -> int:
        """The child's process."""
        return self._sandbox.process.pid

    @property
    def is_lost(self) -> bool:
        """Whether its child has ended."""
        return self._sandbox.is_lost

    @property
    def runtime(self) -> str:
        """What runs the model in the child."""
        return self._sandbox.hello.runtime

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The inputs that ``infer`` takes, in its order."""
        return self._loaded.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs that ``infer`` gives, in its order."""
        return self._loaded.outputs

    def infer(self, tensors: Sequence[Array], priority: int = 0) -> list[Array]:
        """Run once; the answer's arrays are copies.

        Raises DeadlineError when the child gave no answer in time, EngineLostError when it crashed or its runtime failed.
        """
        if not self._sandbox.places.take(priority, self.deadline_s):
            # Another pipeline opens its model on the same device, or hangs there: this one's frames shall not wait for that.
            message = f"cannot run {self._loaded.name}: its device was busy for {self.deadline_s:.2f} s, expected its turn by then"
            raise DeadlineError(message)
        try:
            return self._call(tensors)
        finally:
            self._sandbox.places.give()

    def close(self) -> None:
        """Free the model, after the call that is running. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._loaded.is_alone:
            self._sandbox.close()
        else:
            self._sandbox.drop(self._loaded.number)

    def _call(self, tensors: Sequence[Array]) -> list[Array]:
        loaded, process = self._loaded, self._sandbox.process
        if self._closed:
            message = f"cannot run {loaded.name}: its engine was closed"
            raise EngineLostError(message)
        loaded.tensors.put(tensors)
        if process.call(loaded.number, self.deadline_s) == sandbox_child.DONE:
            return loaded.tensors.take()
        _, failure = process.hear(self.deadline_s)
        message = f"cannot run {loaded.name}: {failure['text']}"
        raise EngineLostError(message)


def _greeted(told: Mapping[str, Any], what: str) -> Hello:
    """Read a child's first words; of another version nothing but its number is understood."""
    protocol = told.get("protocol")
    if protocol != sandbox_child.PROTOCOL:
        message = f"cannot run {what}: its child speaks protocol {protocol}, expected {sandbox_child.PROTOCOL}"
        raise DeviceError(message, remedy="install edged anew", code="sandbox")
    return Hello(**told)


def _spec(told: Mapping[str, Any], meaning: str) -> TensorSpec:
    if told["scales"] > 1:
        message = f"cannot use tensor {told['name']!r}: it is quantised per channel, expected one scale for an input or output"
        raise BundleError(message)
    # The runtime writes no quantisation as a scale of 0.
    quantization = Quantization(told["scale"], told["zero_point"]) if told["scale"] else None
    return TensorSpec(told["name"], tuple(told["shape"]), told["dtype"], quantization, meaning)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What is said of a stage at which a child failed; ``{…}`` are the order's and the home's."""

    code: str
    message: str
    remedy: str


NO_CODE = "can't protect"
"""What OpenVINO's code generator (xbyak) says where a process may not make code: ``MemoryDenyWriteExecute`` of a hardened unit."""

MEANINGS: Mapping[str, _Meaning] = {
    "code": _Meaning(
        "code-forbidden",
        "cannot run {name} in {who}: it makes code while it runs, which this service may not",
        "set MemoryDenyWriteExecute=no for it (sudo systemctl edit edged), or use another accelerator",
    ),
    "runtime": _Meaning(
        "runtime-missing",
        "cannot run {name}: in {who} {text}, expected its runtime",
        "install it there (edged[{kind}])",
    ),
    "numpy": _Meaning(
        "runtime-broken",
        "cannot run {name}: in {who} {text}, expected a runtime that fits its NumPy",
        "install numpy<2 there",
    ),
    "library": _Meaning(
        "library-missing",
        "cannot load {delegate}: {text}, expected a delegate's library",
        "install it, for this machine",
    ),
    "delegate": _Meaning(
        "device-failed", "cannot open a device with {delegate}: {text}", "look into the log for what the library said"
    ),
    "provider": _Meaning(
        "provider-missing",
        "cannot run {name}: in {who} {text}",
        "install the ONNX Runtime package for this accelerator there, or use the CPU",
    ),
    "start": _Meaning(
        "provider-failed",
        "cannot run {name} on its accelerator in {who}: {text}",
        "install what it names, or give the service access to the device; edged hardware shows what was found",
    ),
}
"""Stages at which the box is to blame; at any other it is the file."""


def _refusal(stage: str, text: str, order: Order | str, home: Home) -> EdgedError:
    """Say what the runtime's words mean, by the stage at which they were said; ``order`` is a name where none was given yet."""
    name, kind, delegate = (
        (order, order, "") if isinstance(order, str) else (order.file.name, order.kind, order.delegate)
    )
    meaning = MEANINGS.get("code" if NO_CODE in text else stage)
    if meaning is None:
        message = f"cannot load {name}: {text}, expected a model that this runtime can run"
        return BundleError(message, remedy="deliver the bundle again, if it ran before")
    who = f"the interpreter {home.python}" if home.python else "edged's own interpreter"
    words = {"name": name, "who": who, "text": text, "kind": kind, "delegate": delegate}
    remedy = meaning.remedy.format(**words)
    return DeviceError(meaning.message.format(**words), remedy=remedy, code=meaning.code)
