"""A pipeline's model that learns what is normal on its box before its answers count."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edged.assembly.calibrations import Kept, Records, fitting
from edged.assembly.models import Opened, read_labels
from edged.config import schema
from edged.domain.bundle import Bundle, Calibration, WindowInput
from edged.domain.errors import BundleError, CalibratingError, DeviceError, EdgedError, FrameError
from edged.domain.frame import Frame, Stamp
from edged.domain.health import Reason
from edged.domain.ports import Clock, Decoder
from edged.domain.result import Anomaly, Output
from edged.domain.tensor import Array
from edged.fleet.topics import rfc3339
from edged.pipeline import features
from edged.pipeline.calibration import Gathered, Learned, Normalisation, Score, is_complete, learn, objection
from edged.pipeline.model import Model
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.binding import Binding
from edged.telemetry import logs

NS_PER_MS = 1_000_000
UNSEEN = Frame(np.empty((0, 0), np.float32), Stamp(0, 0, 0, 0.0))
"""What a decoder of reconstructions is given where there is no window any more: it looks at tensors only."""

_LOG = logging.getLogger("edged.learning")


@dataclass(frozen=True, slots=True)
class Told:
    """How far a pipeline's calibration has come, as ``out/models`` tells it."""

    model: str
    version: str
    state: str = "calibrating"
    since: str | None = None
    seconds: float | None = None
    windows: int | None = None
    threshold: float | None = None
    reason: str = ""


@dataclass(slots=True)
class Gathering:
    """What is gathered of normal running: shared by models that take each other's place and look at their windows alike.

    ``fits`` says how; ``taught`` counts how often it was enough to learn from.
    """

    fits: str
    so_far: Gathered = field(default_factory=Gathered)
    taught: int = 0


class Learning:
    """One pipeline's calibration: outlives its models. ``fitted`` is the worker's; everything else may come from any thread."""

    def __init__(
        self, pipeline: str, source: Mapping[str, Any], seconds: float | None, records: Records, clock: Clock
    ) -> None:
        self._pipeline, self._source, self._seconds = pipeline, source, seconds
        self._records, self._clock = records, clock
        self._lock = threading.RLock()
        self._learns: Learner | None = None
        self._told: Told | None = None
        self._since_ns = clock.monotonic_ns()
        self._trouble: Reason | None = None
        self._unkept: Kept | None = None

    def __repr__(self) -> str:
        return f"<Learning {self._pipeline}: {self._told.state if self._told else 'nothing to learn'}>"

    @property
    def is_wanted(self) -> bool:
        """Whether the model that runs learns anything."""
        return self._told is not None

    def fitted(self, opened: Opened) -> Opened:
        """Give the opened model as it shall run: itself, or one that learns or has learned. Frees it where that fails."""
        wanted, window = opened.bundle.manifest.calibration, opened.model_input
        with self._lock:
            if wanted is None or not isinstance(window, WindowInput):
                self._learns = self._told = self._trouble = None
                return opened
            if self._seconds is not None:
                wanted = wanted.model_copy(update={"seconds": self._seconds})
            before = self._learns
            try:
                learner = self._learns = Learner(opened, window, wanted, self, self._gathering(window))
                learner.begin(self._kept(learner))
            except EdgedError:
                # What ran before may go on running, and learning.
                self._learns = before
                opened.model.engine.close()
                raise
        return replace(opened, model=replace(opened.model, preprocess=learner.tensors, decoder=learner))

    def recalibrate(self) -> None:
        """Forget what was learned and begin anew. Raises DeviceError when the disk does not let the old go."""
        with self._lock:
            self._records.remove(self._pipeline)
            self._unkept = None
            if self._learns is not None:
                self._learns.gathering.so_far = Gathered()
                self._learns.begin(None)

    def reasons(self) -> Sequence[Reason]:
        """Say that it learns, and what is wrong; empty when it has learned."""
        # Without the lock, which is held while something is learned: the thread that asks here feeds the watchdog.
        told, trouble = self._told, self._trouble
        found = [trouble] if trouble is not None else []
        if told is not None and told.state == "calibrating":
            message = "learns the normal running of its machine; its results are unknown until then"
            found.append(
                Reason("calibrating", self._pipeline, message, self._since_ns, "let it run normally", informs=True)
            )
        return found

    def told(self) -> dict[str, Any] | None:
        """Give the calibration as ``out/models`` carries it, or None where there is nothing to learn."""
        told = self._told
        if told is None:
            return None
        return {"pipeline": self._pipeline, **{name: getattr(told, name) for name in Told.__slots__}}

    # -- what a learner says, under its lock

    def guarded(self) -> threading.RLock:
        """Give the lock that keeps a command from a frame's way."""
        return self._lock

    def begins(self, learner: Learner, refused: str) -> None:
        """Take that it begins, anew if something was refused, or goes on with what another model began."""
        if learner is not self._learns:
            return
        ref = learner.opened.model.ref
        self._told = Told(ref.name, ref.version, reason=refused)
        if not learner.gathering.so_far.windows:
            self._since_ns = self._clock.monotonic_ns()
        self._trouble = None
        if refused:
            logs.event(_LOG, "calibration.refused", level=logging.WARNING, pipeline=self._pipeline, reason=refused)
            remedy = "see that the machine runs normally; it is tried again until then"
            message = f"cannot calibrate: {refused}"
            self._trouble = Reason("calibration-refused", self._pipeline, message, self._since_ns, remedy)

    def complete(self, learner: Learner, gathered: Gathered) -> Kept:
        """Date what was gathered, and say what it fits."""
        seconds = round(gathered.seconds(learner.window), 3)
        at_ms = self._clock.wall_ns() // NS_PER_MS
        return Kept(np.stack(gathered.features), learner.gathering.fits, seconds, gathered.windows, at_ms)

    def keep(self, kept: Kept) -> None:
        """Write down what taught something, as well as the disk allows."""
        try:
            self._records.write(self._pipeline, kept)
            self._unkept = None
        except DeviceError as error:
            self._unkept = kept
            logs.event(_LOG, "calibration.unkept", level=logging.WARNING, pipeline=self._pipeline, error=error)
            message = f"has calibrated, and will not remember it: {error.args[0]}"
            self._trouble = Reason("calibration-unkept", self._pipeline, message, self._clock.monotonic_ns())

    def learned(self, learner: Learner, kept: Kept, threshold: float) -> None:
        """Take that it has learned."""
        if learner is not self._learns:
            return
        self._trouble = None
        ref, since = learner.opened.model.ref, rfc3339(kept.at_ms * NS_PER_MS)
        self._told = Told(ref.name, ref.version, "calibrated", since, kept.seconds, kept.windows, round(threshold, 6))
        logs.event(_LOG, "calibration.learned", pipeline=self._pipeline, windows=kept.windows, threshold=threshold)

    def taught(self, learner: Learner) -> Kept | None:
        """Give what taught the model that ran until now, which was not there yet when this one was opened."""
        return self._kept(learner)

    def _gathering(self, window: WindowInput) -> Gathering:
        """Give what is gathered already, if this model looks at its windows as the one before it does."""
        before, fits = self._learns, fitting(window, self._source)
        return before.gathering if before is not None and before.gathering.fits == fits else Gathering(fits)

    def _kept(self, learner: Learner) -> Kept | None:
        kept = self._unkept or self._records.read(self._pipeline)
        if kept is None or kept.fits != learner.gathering.fits or kept.seconds < learner.wanted.seconds:
            return None
        return kept


class Learnings:
    """Every pipeline's calibration, by name."""

    def __init__(self, state: Path, clock: Clock) -> None:
        self._records, self._clock = Records(state), clock
        self._known: dict[str, Learning] = {}

    def of(self, pipeline: schema.Pipeline, source: schema.Source) -> Learning:
        """Give a pipeline's, new: its line was built anew."""
        looks = {name: getattr(source, name, None) for name in ("name", "columns", "rate_hz")}
        if (grid := getattr(source, "grid", None)) is not None:
            looks["grid"] = grid.model_dump()
        learning = Learning(pipeline.name, looks, pipeline.calibrate_s, self._records, self._clock)
        self._known[pipeline.name] = learning
        return learning

    def told(self, pipelines: Sequence[str]) -> list[dict[str, Any]]:
        """Tell of those of these pipelines that learn or have learned."""
        known = [self._known[name].told() for name in pipelines if name in self._known]
        return [one for one in known if one is not None]


class Learner:
    """One opened model's way to its own normalisation and threshold; a model's preprocessing and decoder in one."""

    def __init__(
        self, opened: Opened, window: WindowInput, wanted: Calibration, learning: Learning, gathering: Gathering
    ) -> None:
        self.opened, self.window, self.wanted, self.gathering = opened, window, wanted, gathering
        self._learning, self._seen = learning, gathering.taught
        self._path = features.build(window, opened.model.engine.inputs[0], opened.variant.layout)
        self._decoder: Decoder | None = None

    def begin(self, kept: Kept | None) -> None:
        """Learn from what was kept, or go on gathering."""
        self._decoder, self._seen = None, self.gathering.taught
        refused = self._learn(kept) if kept is not None else ""
        if self._decoder is None:
            self._learning.begins(self, refused)

    def tensors(self, frame: Frame) -> tuple[Array]:
        """Give the tensor of a window. Raises CalibratingError while it learns, and what features raise."""
        with self._learning.guarded():
            try:
                found = self._path.features(frame)
            except FrameError:
                self.gathering.so_far = self.gathering.so_far.with_unreadable()
                raise
            if self._decoder is None and self._seen != self.gathering.taught:
                self.begin(self._learning.taught(self))
            if self._decoder is None:
                self._gather(found, frame)
                message = "cannot judge this window yet: the box still learns what is normal"
                raise CalibratingError(message)
            return self._path.tensor(found)

    def decode(self, outputs: Sequence[Array], inputs: Sequence[Array], frame: Frame) -> Output:
        """Give the window's score and the threshold that was learned."""
        decoder = self._decoder
        if decoder is None:  # a command came between the two steps
            message = "cannot judge this window any more: the box learns anew what is normal"
            raise CalibratingError(message)
        return decoder.decode(outputs, inputs, frame)

    def _gather(self, found: Array, frame: Frame) -> None:
        gathered = self.gathering.so_far.with_window(found, frame.data, frame.stamp.source_s, self.window)
        self.gathering.so_far = gathered
        if not is_complete(gathered, self.wanted, self.window):
            return
        self.gathering.so_far = Gathered()
        kept = self._learning.complete(self, gathered)
        refused = objection(gathered, self.window) or self._learn(kept)
        if refused:
            self._learning.begins(self, refused)
        else:
            self._learning.keep(kept)
            self.gathering.taught += 1

    def _learn(self, kept: Kept) -> str:
        """Learn from a while of normal running; gives why not, or nothing."""
        bundle, model = self.opened.bundle, self.opened.model
        learned = learn(kept.features, self.wanted, scorer(bundle, model))
        if isinstance(learned, str):
            return learned
        self._path, self._decoder = bound(bundle, model, learned)
        self._learning.learned(self, kept, learned.threshold)
        return ""


def bound(bundle: Bundle, model: Model, learned: Learned) -> tuple[features.WindowPath, Decoder]:
    """Build preprocessing and decoder with what was learned in place of the bundle's own. Raises BundleError for a model of pictures."""
    variant = next(one for one in bundle.manifest.variant if one.id == model.ref.variant)
    window, by = bundle.input_of(variant), learned.normalisation
    if not isinstance(window, WindowInput):
        message = f"cannot calibrate {bundle.manifest.name}: it takes pictures, expected windows of samples"
        raise BundleError(message)
    window = window.model_copy(update={"mean": tuple(by.mean.tolist()), "std": tuple(by.std.tolist())})
    output = bundle.output_of(variant).model_copy(update={"threshold": learned.threshold})
    path = features.build(window, model.engine.inputs[0], variant.layout)
    binding = Binding(output, window, model.engine.inputs, model.engine.outputs, read_labels(bundle, variant))
    return path, registry.bind(binding)


def scorer(bundle: Bundle, model: Model) -> Score:
    """Give what scores features by a normalisation with the model's own engine and decoder."""

    def score(by: Normalisation, rows: Array) -> Array:
        path, decoder = bound(bundle, model, Learned(by, 0.0))
        return np.array([_score_of(path.tensor(row), decoder) for row in rows])

    def _score_of(tensors: tuple[Array], decoder: Decoder) -> float:
        answer = decoder.decode(model.engine.infer(tensors), tensors, UNSEEN)
        return answer.score if isinstance(answer, Anomaly) else float("nan")

    return score
