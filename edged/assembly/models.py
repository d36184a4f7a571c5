"""From a bundle to a model that runs: the best rung of its ladder that opens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edged.assembly.adapters import adapter
from edged.assembly.box import Box, ladder
from edged.assembly.engines import Engines
from edged.assembly.uses import USUAL, Use
from edged.config.schema import Objective
from edged.control.descent import NOTHING_LESS, Less, descend
from edged.control.remote import far_digest
from edged.domain.bundle import Bundle, ImageInput, Variant, WindowInput
from edged.domain.errors import BundleError, ConfigError, DeviceError, EdgedError
from edged.domain.frame import Frame
from edged.domain.ports import Engine, Queued
from edged.domain.result import ModelRef, Output
from edged.domain.tensor import Array
from edged.domain.variant import Identity, Ladder, Rung
from edged.pipeline import memory, preprocess
from edged.pipeline.model import Model
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.agree import agrees
from edged.pipeline.postprocess.binding import Binding
from edged.telemetry import logs
from edged.update.trial import samples_of, try_golden, try_sample

MAX_CHECKS = 16
"""Golden samples of the live self-test, evenly picked: with very many it would take too long until each had its turn."""

_LOG = logging.getLogger("edged.models")


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that runs, what its windows or pictures look like, and why better rungs do not run (empty when none is).

    ``rung`` is how it runs; ``unmet`` says why that does not meet the pipeline's objective (empty when it does, or nobody measured).
    """

    model: Model
    bundle: Bundle
    model_input: ImageInput | WindowInput
    passed_over: str
    rung: Rung
    unmet: str = ""
    wanted: Identity | None = None
    """The rung that would run if it could; None when that is the one that does."""
    rungs: tuple[Rung, ...] = ()
    """The ladder's that may run, the chosen one first."""

    @property
    def variant(self) -> Variant:
        """The bundle's words about the file that runs."""
        return next(variant for variant in self.bundle.manifest.variant if variant.id == self.model.ref.variant)

    @property
    def file(self) -> Path:
        """The file that runs."""
        return self.bundle.path_of(self.variant)


def open_best(
    bundle: Bundle,
    box: Box,
    pin: str | None = None,
    objective: Objective | None = None,
    running: Identity | None = None,
    less: Less = NOTHING_LESS,
) -> Opened:
    """Open the first rung of the ladder that opens, from ``less`` below the chosen one on.

    ``running`` is the one that it will take the place of.

    Raises DeviceError when the box can run none of them, or lacks what one of them needs to open; BundleError when it is the files
    alone that do not open. Both give every rung's reason.
    """
    free = ladder(bundle, box, pin, objective, running, holds=False)
    whole = box.lost.without(free) if box.lost is not None else free
    objections = [
        f"{rung.variant.id} on {rung.accelerator}: {rung.reason}" for rung in whole.told if rung.verdict == "refused"
    ]
    passed_over: dict[tuple[str, str], str] = {}
    kinds: set[type[EdgedError]] = set()
    for rung in descend(whole.runnable, less):
        way = rung.variant.id, rung.accelerator
        if way in passed_over:
            # What does not open does not open with another number of threads.
            continue
        try:
            model = open_rung(bundle, rung, box.engines)
        except (BundleError, DeviceError) as error:
            name = bundle.manifest.name
            logs.event(_LOG, "rung.failed", level=logging.WARNING, model=name, variant=rung.variant.id, error=error)
            passed_over[way] = f"{rung.variant.id} on {rung.accelerator}: {error}"
            kinds.add(BundleError if isinstance(error, BundleError) else DeviceError)
            if box.lost is not None and box.engines.isolates(rung):
                box.lost.failed(rung, error)
            continue
        if box.lost is not None:
            box.lost.opened(rung)
        better = "; ".join(filter(None, [whole.held, *passed_over.values()]))
        opened = _opened(model, bundle, rung, whole, better)
        first = descend(free.runnable, less)[0]
        is_lesser = first.identity != rung.identity and (box.engines.isolates(first) or bool(whole.held))
        return replace(opened, wanted=first.identity) if is_lesser else opened
    name = f"{bundle.manifest.name} {bundle.manifest.version}"
    message = f"cannot run {name} on this box: {'; '.join([*passed_over.values(), *objections])}"
    # A bundle is blamed, and may be put into quarantine for good, only when no trouble of the box could be the reason.
    kind = BundleError if kinds == {BundleError} else DeviceError
    raise kind(message, remedy=f"edged explain {bundle.manifest.name} shows every variant")


def _opened(model: Model, bundle: Bundle, rung: Rung, whole: Ladder, passed_over: str) -> Opened:
    """Tell of what opened; of a later rung than the chosen one, whether that one meets the objective."""
    logs.event(
        _LOG, "rung.opened", model=whole.model, variant=rung.variant.id, threads=rung.threads, reason=rung.reason
    )
    later = rung.reason if rung.standing == "misses" else ""
    unmet = whole.unmet if rung.verdict == "chosen" else later
    return Opened(model, bundle, bundle.input_of(rung.variant), passed_over, rung, unmet, rungs=whole.runnable)


def open_rung(bundle: Bundle, rung: Rung, engines: Engines | None = None) -> Model:
    """Load the variant's file and bind everything around it; what does not fit is refused here, not at the first frame.

    Without ``engines`` its engine runs in this process.
    """
    engine = (engines or Engines()).open(bundle.path_of(rung.variant), rung)
    try:
        return _bind(bundle, rung, engine)
    except EdgedError:
        engine.close()
        raise


def rank(model: Model, priority: int) -> None:
    """Say how important a model's user is, where its engine's device serves others too."""
    if isinstance(model.engine, Queued):
        model.engine.priority = priority


def _bind(bundle: Bundle, rung: Rung, engine: Engine) -> Model:
    variant = rung.variant
    model_input = bundle.input_of(variant)
    carried = memory.carrying(engine, bundle.state_of(variant), variant.file)
    ops = adapter("edged.pipeline.resize").opencv() if isinstance(model_input, ImageInput) else None
    prepare = preprocess.build(model_input, carried.inputs[0], variant.layout, ops)
    binding = Binding(
        bundle.output_of(variant), model_input, carried.inputs, carried.outputs, read_labels(bundle, variant)
    )
    prepare = memory.forgetting(carried, prepare)
    model = Model(model_ref(bundle, rung, engine.runtime), prepare, carried, registry.bind(binding))
    return replace(model, checks=_checks(bundle, variant, model))


def _checks(bundle: Bundle, variant: Variant, model: Model) -> tuple[Callable[[], str | None], ...]:
    """Give the golden samples as the live self-test asks them; none of a model that would remember them."""
    golden = bundle.golden_of(variant)
    if golden is None or bundle.state_of(variant):
        return ()
    try:
        samples = samples_of(bundle.folder, golden)
    except OSError:  # the trial says what is wrong with them
        return ()
    answer = answering(model)
    picked = samples[:: -(-len(samples) // MAX_CHECKS) or 1]
    return tuple(
        partial(try_sample, sample, index, golden, answer, agrees, _read_picture) for index, sample in enumerate(picked)
    )


def model_ref(bundle: Bundle, rung: Rung, runtime: str) -> ModelRef:
    """Name what runs, as results do."""
    manifest, variant = bundle.manifest, rung.variant
    # Which file a server runs, nobody here knows.
    digest = far_digest(rung.remote) if rung.remote else f"sha256:{variant.sha256}"
    return ModelRef(manifest.name, manifest.version, variant.id, digest, runtime, rung.accelerator)


def read_labels(bundle: Bundle, variant: Variant) -> tuple[str, ...]:
    """Read one label a line; empty when the bundle names no file. Raises BundleError when it cannot be read."""
    name = bundle.output_of(variant).labels
    if name is None:
        return ()
    try:
        text = (bundle.folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"cannot read labels {name}: {getattr(error, 'strerror', None) or error}, expected a label a line"
        raise BundleError(message) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def try_bundle(
    bundle: Bundle, box: Box, keep: Callable[[Opened], None] | None = None, uses: Sequence[Use] = USUAL
) -> str | None:
    """Run the bundle's golden samples on each rung that one of the uses would run; the reason when it must not go live.

    ``keep`` is given the opened model when it passed and remembers nothing of its samples: what was tried can run at once.

    Raises DeviceError when the box can run it for none of its uses: no fault of the bundle.
    """
    tried: set[Identity] = set()
    trouble: DeviceError | None = None
    for use in uses:
        chosen = ladder(bundle, box, use.pin, use.objective).runnable[:1]
        if chosen and chosen[0].identity in tried:
            continue
        try:
            opened = open_best(bundle, box, use.pin, use.objective)
        except BundleError as error:
            return str(error)
        except DeviceError as error:
            # A pipeline that pins what is not there fails by itself, and must not keep the others from the bundle.
            trouble = error
            continue
        tried.add(opened.rung.identity)
        reason = _proved(opened, keep if len(tried) == 1 else None)
        if reason is not None:
            return reason
    if trouble is not None and not tried:
        raise trouble
    return None


def _proved(opened: Opened, keep: Callable[[Opened], None] | None) -> str | None:
    reason = golden_fault(opened.bundle, opened.variant, opened.model)
    if reason is None and keep is not None and not opened.bundle.state_of(opened.variant):
        keep(opened)
    else:
        opened.model.engine.close()
    return reason


def golden_fault(bundle: Bundle, variant: Variant, model: Model) -> str | None:
    """Run a variant's golden samples through its opened model; the first that it does not reproduce, or None."""
    golden = bundle.golden_of(variant)
    if golden is None:
        return None
    try:
        return try_golden(bundle.folder, golden, answering(model), agrees, _read_picture)
    except BundleError as error:
        return str(error)


def answering(model: Model) -> Callable[[Frame], Output]:
    """Give the model as one call, without sinks or times."""

    def answer(frame: Frame) -> Output:
        tensors = model.preprocess(frame)
        return model.decoder.decode(model.engine.infer(tensors), tensors, frame)

    return answer


def _read_picture(file: Path) -> Array:
    try:
        picture: Array = adapter("edged.sources.images").read_picture(file)
    except ConfigError as error:
        # The sample belongs to the bundle: it is the bundle that is damaged, not the operator who erred.
        raise BundleError(str(error), remedy="build the bundle again") from error
    return picture
