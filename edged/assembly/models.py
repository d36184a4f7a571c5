"""From a bundle to a model that runs: the best rung of its ladder that opens."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.assembly import plugins
from edged.assembly.adapters import adapter
from edged.assembly.box import Box, ladder
from edged.control.choose import OWN_RUNTIMES
from edged.domain.bundle import Bundle, ImageInput, Variant, WindowInput
from edged.domain.errors import BundleError, ConfigError, DeviceError, EdgedError
from edged.domain.frame import Frame
from edged.domain.ports import Engine
from edged.domain.result import ModelRef, Output
from edged.domain.tensor import Array
from edged.domain.variant import Rung
from edged.pipeline import memory, preprocess
from edged.pipeline.model import Model
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.agree import agrees
from edged.pipeline.postprocess.binding import Binding
from edged.telemetry import logs
from edged.update.trial import try_golden

PROVIDERS: dict[str, tuple[str, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider",),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "openvino": ("OpenVINOExecutionProvider",),
}
"""ONNX Runtime's names, best first."""

_LOG = logging.getLogger("edged.models")


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that runs, what its windows or pictures look like, and why better rungs do not run (empty when none is)."""

    model: Model
    bundle: Bundle
    model_input: ImageInput | WindowInput
    passed_over: str

    @property
    def variant(self) -> Variant:
        """The bundle's words about the file that runs."""
        return next(variant for variant in self.bundle.manifest.variant if variant.id == self.model.ref.variant)

    @property
    def file(self) -> Path:
        """The file that runs."""
        return self.bundle.path_of(self.variant)


def open_best(bundle: Bundle, box: Box, pin: str | None = None) -> Opened:
    """Open the first rung of the ladder that opens.

    Raises DeviceError when the box can run none of them, or lacks what one of them needs to open; BundleError when it is the files
    alone that do not open. Both give every rung's reason.
    """
    whole = ladder(bundle, box, pin)
    objections = [
        f"{rung.variant.id} on {rung.accelerator}: {rung.reason}" for rung in whole.rungs if rung.verdict == "refused"
    ]
    passed_over: list[str] = []
    kinds: set[type[EdgedError]] = set()
    for rung in whole.runnable:
        try:
            model = open_rung(bundle, rung)
        except (BundleError, DeviceError) as error:
            logs.event(
                _LOG,
                "rung.failed",
                level=logging.WARNING,
                model=bundle.manifest.name,
                variant=rung.variant.id,
                error=error,
            )
            passed_over.append(f"{rung.variant.id} on {rung.accelerator}: {error}")
            kinds.add(BundleError if isinstance(error, BundleError) else DeviceError)
            continue
        return Opened(model, bundle, bundle.input_of(rung.variant), "; ".join(passed_over))
    name = f"{bundle.manifest.name} {bundle.manifest.version}"
    message = f"cannot run {name} on this box: {'; '.join(passed_over + objections)}"
    # A bundle is blamed, and may be put into quarantine for good, only when no trouble of the box could be the reason.
    kind = BundleError if kinds == {BundleError} else DeviceError
    raise kind(message, remedy=f"edged explain {bundle.manifest.name} shows every variant")


def open_rung(bundle: Bundle, rung: Rung) -> Model:
    """Load the variant's file and bind everything around it; what does not fit is refused here, not at the first frame."""
    variant = rung.variant
    engine = _open_engine(bundle.path_of(variant), rung)
    try:
        return _bind(bundle, rung, engine)
    except EdgedError:
        engine.close()
        raise


def _open_engine(file: Path, rung: Rung) -> Engine:
    if rung.variant.runtime == "onnx":
        onnx: Engine = adapter("edged.engines.onnx", "onnx").open_engine(
            file, threads=rung.threads, providers=PROVIDERS[rung.accelerator]
        )
        return onnx
    if rung.variant.runtime not in OWN_RUNTIMES:
        return plugins.open_engine(rung.variant.runtime, file, threads=rung.threads, accelerator=rung.accelerator)
    tflite: Engine = adapter("edged.engines.tflite", "tflite").open_engine(file, threads=rung.threads)
    return tflite


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
    return Model(model_ref(bundle, rung, engine.runtime), prepare, carried, registry.bind(binding))


def model_ref(bundle: Bundle, rung: Rung, runtime: str) -> ModelRef:
    """Name what runs, as results do."""
    manifest, variant = bundle.manifest, rung.variant
    return ModelRef(manifest.name, manifest.version, variant.id, f"sha256:{variant.sha256}", runtime, rung.accelerator)


def read_labels(bundle: Bundle, variant: Variant) -> tuple[str, ...]:
    """Read one label a line; empty when the bundle names no file."""
    name = bundle.output_of(variant).labels
    if name is None:
        return ()
    return tuple(
        line.strip() for line in (bundle.folder / name).read_text(encoding="utf-8").splitlines() if line.strip()
    )


def try_bundle(bundle: Bundle, box: Box, keep: Callable[[Opened], None] | None = None) -> str | None:
    """Run the bundle's golden samples on the rung that would run; the reason when it must not go live.

    ``keep`` is given the opened model when it passed and remembers nothing of its samples: what was tried can run at once.

    Raises DeviceError when the box can run none of its variants: no fault of the bundle.
    """
    try:
        opened = open_best(bundle, box)
    except BundleError as error:
        return str(error)
    reason = _try_opened(opened)
    if reason is None and keep is not None and not bundle.state_of(opened.variant):
        keep(opened)
    else:
        opened.model.engine.close()
    return reason


def _try_opened(opened: Opened) -> str | None:
    golden = opened.bundle.golden_of(opened.variant)
    if golden is None:
        return None
    try:
        return try_golden(opened.bundle.folder, golden, answering(opened.model), agrees, _read_picture)
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
