"""The box's models for requests: brought in like a pipeline's, admitted by the memory that is left, with a thread's own instance each."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edged.api.ports import Brought
from edged.api.sequences import Sequences, Step
from edged.assembly.adapters import adapter
from edged.assembly.admitting import Admitting
from edged.assembly.models import Opened, rank
from edged.assembly.supply import Supply
from edged.domain.bundle import ImageInput
from edged.domain.errors import BudgetError, EdgedError, FrameError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Clock
from edged.domain.result import Output
from edged.domain.tensor import FREE, Array, TensorSpec
from edged.domain.variant import Rung
from edged.hardware import heap
from edged.pipeline.line import Line
from edged.pipeline.loop import Loop
from edged.pipeline.memory import RememberingEngine
from edged.pipeline.model import Model
from edged.pipeline.turns import Held, Turns
from edged.update.manifest import find_bundles

LAST = -1_000_000
"""Requests' turn on a processor: behind every pipeline's, whose priority is -1000 or more."""
NICE = 10
"""Of a thread that answers requests beside pipelines: a third of a pipeline's share where both want the same processor."""
PASS_S = 0.02
"""How long a request lets frames pass that compute on all processors: beside a run one of 6.4 ms took 7.7, and the slowest percent 12.7
in place of 10.1. Of several pipelines there is always one."""
SWITCH_S = 0.0005
"""How long one of Python's threads keeps the interpreter while another wants it, once requests are answered beside pipelines. With the
usual 5 ms a frame of 6 ms may wait for the parsing of a request at each of its steps, and its slowest percent takes twice as long."""
OFFER_S = 1.0
"""How long a look at the folders holds: a client may ask for the index, or for names that there are not, as often as it likes."""
PLATFORMS = {"onnx": "onnxruntime_onnx", "tflite": "tensorflow_lite"}
"""As others name them."""


class Guests:
    """Processors for requests: each takes its turn behind the pipelines', and where pipelines run one place stays theirs."""

    def __init__(self, turns: Turns, places: int, lines: Callable[[], Sequence[Line]]) -> None:
        self.places = places
        self._turns, self._lines = turns, lines
        self._alone, self._beside = Turns(places), Turns(max(1, places - 1))
        self._run_s = 0.0
        self._threads = threading.local()

    def turn(self) -> AbstractContextManager[object]:
        """Wait for a place and hold it; where no pipeline runs there is nobody else to take turns with.

        A pipeline that begins is known half a second later at most, when the daemon reports: until then it is one more at work.
        """
        if not self._lines():
            return self._alone.turn()
        self._give_way()
        return GuestTurn(self._beside.turn(), self._turns.turn(LAST), self)

    def let_pass(self) -> None:
        """Do not begin beside a frame that computes on all processors, nor so late that the next one would meet the run."""
        self._turns.let_pass(self.places - 1, self._run_s, PASS_S)

    def ran(self, run_s: float) -> None:
        """Take note how long a run took."""
        self._run_s = run_s

    def _give_way(self) -> None:
        """Let this thread run behind the pipelines' where there are more at work than processors; once, since there is no way back."""
        if not getattr(self._threads, "gives_way", False):
            self._threads.gives_way = True
            sys.setswitchinterval(SWITCH_S)
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class GuestTurn:
    """A place among the requests, and then one on a processor, when those who go first have passed."""

    __slots__ = ("_among", "_began_s", "_guests", "_on")

    def __init__(self, among: Held, on: Held, guests: Guests) -> None:
        """``guests`` are told how long the run took."""
        self._among, self._on, self._guests = among, on, guests
        self._began_s = 0.0

    def __enter__(self) -> None:
        """Wait for both."""
        self._among.__enter__()
        try:
            self._guests.let_pass()
            self._on.__enter__()
            self._began_s = time.monotonic()
        except BaseException:
            self._among.__exit__()
            raise

    def __exit__(self, *_error: object) -> None:
        """Give both up."""
        self._on.__exit__()
        self._guests.ran(time.monotonic() - self._began_s)
        self._among.__exit__()


class BoxModels:
    """Implements ``edged.api.ports.Supplier``."""

    def __init__(
        self,
        folders: tuple[Path, ...],
        supply: Supply,
        admitting: Admitting,
        guests: Guests,
        lines: Callable[[], Sequence[Line]],
        clock: Clock,
    ) -> None:
        self._folders, self._supply, self._admitting = folders, supply, admitting
        self._guests, self._lines, self._clock = guests, lines, clock
        self._offered: dict[str, str] = {}
        self._looked_s = -OFFER_S
        self._lock = threading.Lock()

    def offered(self) -> Mapping[str, str]:
        """Give every model in the folders and in the store, with the version that runs or would."""
        with self._lock:
            if time.monotonic() - self._looked_s >= OFFER_S:
                self._offered = {
                    one.model: one.pointer.active.version if one.pointer.active else one.found[0][0]
                    for one in self._supply.installed().models
                    if one.pointer.active or one.found
                }
                self._looked_s = time.monotonic()
            return self._offered

    def runs(self, name: str) -> bool:
        """Whether a pipeline runs it now."""
        loops = (pipeline.worker.steps for line in self._lines() for pipeline in line.pipelines)
        return any(isinstance(loop, Loop) and loop.model.ref.name == name for loop in loops)

    def bring(self, name: str) -> Brought:
        """Bring a model in and open it on the rung that serves requests."""
        found = find_bundles(self._folders).bundles.get(name, ())
        refusal = self._admitting.alone(found[0]) if found else None
        if refusal is not None:
            raise BudgetError(refusal.message, remedy="unload another model, or give it a smaller one")
        opened = self._supply.open(name, None)
        try:
            return BroughtModel(self._serving(opened), self._supply, self._guests, self._clock)
        except EdgedError:
            opened.model.engine.close()
            raise

    def _serving(self, opened: Opened) -> Opened:
        """Give the model on one thread: so many instances at once do more than so many threads, by 1.6 times in CPU time."""
        threads = self._supply.shared_threads(opened) or 1
        if opened.rung.accelerator != "cpu" or opened.rung.threads == threads:
            return opened
        other = self._supply.open_rung(opened.bundle, replace(opened.rung, threads=threads), opened.rungs)
        with heap.freeing():
            opened.model.engine.close()
        return other


class BroughtModel:
    """Implements ``edged.api.ports.Brought``: the model as it was opened first, until it is closed."""

    def __init__(self, opened: Opened, supply: Supply, guests: Guests, clock: Clock) -> None:
        self._opened, self._supply, self._guests, self._clock = opened, supply, guests, clock
        self._first: Model | None = opened.model
        self.name, self.version = opened.bundle.manifest.name, opened.bundle.manifest.version
        self._rung: Rung = opened.rung
        self.inputs: tuple[TensorSpec, ...] = opened.model.engine.inputs
        self.outputs: tuple[TensorSpec, ...] = opened.model.engine.outputs

    @property
    def takes(self) -> str:
        """What an instance's ``answer`` takes."""
        return self._opened.model_input.kind

    @property
    def about(self) -> Mapping[str, Any]:
        """The rung that runs, in words."""
        manifest, ref, variant = self._opened.bundle.manifest, self._opened.model.ref, self._opened.variant
        return {
            "platform": PLATFORMS.get(variant.runtime, variant.runtime),
            "backend": ref.runtime,
            "task": manifest.task,
            "variant": ref.variant,
            "precision": variant.precision,
            "accelerator": ref.accelerator,
            "threads": self._rung.threads,
            "digest": ref.digest,
        }

    @property
    def most(self) -> int:
        """As many as there are processors; an accelerator does one thing at a time, and who remembers goes step by step."""
        return self._guests.places if self._rung.accelerator == "cpu" and not self.remembers else 1

    @property
    def remembers(self) -> bool:
        """Whether outputs are carried to inputs."""
        return bool(self._opened.bundle.state_of(self._opened.variant))

    def turn(self) -> AbstractContextManager[object]:
        """Give the turn on a processor; an accelerator takes nobody's."""
        return self._guests.turn() if self._rung.accelerator == "cpu" else nullcontext()

    def instance(self) -> BoxInstance:
        """Give one more; the first is the model that was opened."""
        first, self._first = self._first, None
        if first is None and not self._supply.has_room(self._rung):
            message = f"cannot run another instance of {self.name!r}: memory has no room for it"
            raise BudgetError(message)
        opened = self._opened
        model = first or self._supply.open_rung(opened.bundle, self._rung, opened.rungs).model
        rank(model, LAST)
        instance = BoxInstance(model, self._clock, is_picture=isinstance(opened.model_input, ImageInput))
        try:
            instance.warm_up()
        except EdgedError:
            instance.close()
            raise
        return instance

    def close(self) -> None:
        """Free what no instance took."""
        first, self._first = self._first, None
        if first is not None:
            first.engine.close()


class BoxInstance:
    """Implements ``edged.api.ports.Instance``."""

    def __init__(self, model: Model, clock: Clock, *, is_picture: bool) -> None:
        self._model, self._clock, self._is_picture = model, clock, is_picture
        self._sequences = Sequences()

    def warm_up(self) -> None:
        """Run once on nothing, so that the first request does not pay for what a runtime does late."""
        specs = self._model.engine.inputs
        nothing = [np.zeros([max(1, size) if size != FREE else 1 for size in one.shape], one.dtype) for one in specs]
        self._model.engine.infer(nothing)

    def infer(self, tensors: Sequence[Array], step: Step | None = None) -> list[Array]:
        """Run the engine; one that remembers, on the memory of the step's sequence."""
        engine = self._model.engine
        if not isinstance(engine, RememberingEngine) or step is None:
            return engine.infer(tensors)
        now_ns = self._clock.monotonic_ns()
        engine.recall(self._sequences.recall(step, now_ns))
        outputs = engine.infer(tensors)
        self._sequences.keep(step, engine.memory, now_ns)
        return outputs

    def answer(self, given: bytes | Frame, step: Step | None = None) -> Output:
        """Decode the picture, if it is one, and take it the way of a pipeline's frame."""
        frame = given if isinstance(given, Frame) else self._frame(given)
        model = self._model
        try:
            tensors = model.preprocess(frame)
        except EdgedError as error:
            # A pipeline that meets this has the wrong source; here it is the client that sent the wrong thing.
            raise FrameError(str(error.args[0])) from error
        return model.decoder.decode(self.infer(tensors, step), tensors, frame)

    def close(self) -> None:
        """Give the engine back."""
        self._model.engine.close()

    def _frame(self, encoded: bytes) -> Frame:
        if not self._is_picture:
            message = "cannot decode a picture for a model of sensor windows"
            raise FrameError(message)
        picture = adapter("edged.sources.images").decode_picture(encoded)
        return Frame(picture, Stamp(0, self._clock.monotonic_ns(), self._clock.wall_ns(), 0.0))
