"""A model bundle as its ``model.toml`` describes it. Field by field: docs/reference/bundle.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Task = Literal["classification", "detection", "segmentation", "keypoints", "anomaly", "regression"]
Runtime = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
"""``tflite`` and ``onnx`` are edged's own; any other is an entry point's name, and refused where no installed package brings it."""
Precision = Literal["fp32", "fp16", "int8", "dynamic"]


def _inside_the_bundle(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\\" in path or not parts.parts:
        message = f"cannot use path {path!r}: expected a relative path inside the bundle"
        raise ValueError(message)
    return path


InnerPath = Annotated[str, AfterValidator(_inside_the_bundle)]


class Part(BaseModel):
    """What every part of a bundle shares: unchangeable, no unknown keys, checked when first used."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)


class ImageInput(Part):
    """How a picture becomes the model's tensor."""

    kind: Literal["image"]
    width: int = Field(gt=0, le=8192)
    height: int = Field(gt=0, le=8192)
    color: Literal["rgb", "bgr", "grey"] = "rgb"
    fit: Literal["stretch", "letterbox", "center-crop"] = "stretch"
    align: Literal["center", "top-left"] = "center"
    """Where a letterboxed picture lies on its canvas."""
    pad: int = Field(default=114, ge=0, le=255)
    """The grey value around a letterboxed picture."""
    interpolation: Literal["nearest", "linear", "cubic", "area"] = "linear"
    mean: tuple[float, ...] = (0.0,)
    """Per channel in the model's colour order (or one for all), of 0..255 values."""
    std: tuple[float, ...] = (1.0,)

    @model_validator(mode="after")
    def _normalisation_fits(self) -> ImageInput:
        channels = 1 if self.color == "grey" else 3
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in {1, channels}:
                message = (
                    f"cannot use {name} of {len(values)} numbers, expected 1 or {channels} for color {self.color!r}"
                )
                raise ValueError(message)
        if any(value == 0 for value in self.std):
            message = "cannot divide by std 0, expected numbers other than 0"
            raise ValueError(message)
        return self


class Frames(Part):
    """How a window of sound is cut into frames and gathered in bands, for ``log-mel``."""

    rate_hz: float = Field(gt=0)
    """Samples a second, as the model was trained."""
    length: int = Field(ge=2, le=65_536)
    """Samples in a frame."""
    hop: int = Field(gt=0, le=65_536)
    """Samples from one frame's start to the next."""
    bands: int = Field(gt=0, le=512)
    low_hz: float = Field(ge=0)
    """Where the lowest band begins."""
    high_hz: float = Field(gt=0)
    """Where the highest band ends; at most half of ``rate_hz``."""

    @model_validator(mode="after")
    def _bands_fit(self) -> Frames:
        if not self.low_hz < self.high_hz <= self.rate_hz / 2:
            message = (
                f"cannot place bands from {self.low_hz:g} to {self.high_hz:g} Hz, "
                f"expected low_hz below high_hz and that at most {self.rate_hz / 2:g}, half of rate_hz"
            )
            raise ValueError(message)
        return self


class Bands(Part):
    """Into how many bands of equal width ``spectral-bands`` gathers what it sees, from the first row above 0 Hz to half the sample rate."""

    spectrum: int = Field(gt=0, le=512)
    """Bands of the spectrum: what turns, rubs or is loose."""
    envelope: int = Field(gt=0, le=512)
    """Bands of the envelope's spectrum: what strikes again and again, as a bearing's damaged race does."""


Step = Literal[
    "detrend",
    "standardise",
    "mad",
    "spectrum",
    "power-spectrum",
    "envelope",
    "spectral-bands",
    "log-mel",
    "micro-features",
]


class WindowInput(Part):
    """How sensor samples become the model's tensor: a window of ``length`` samples every ``stride``."""

    kind: Literal["window"]
    length: int = Field(gt=0, le=1_000_000)
    stride: int = Field(gt=0, le=1_000_000)
    channels: int = Field(gt=0, le=4096)
    steps: tuple[Step, ...] = ()
    """Applied in this order, per channel: detrend subtracts the mean; standardise divides by the standard deviation after it;
    mad replaces the window by its median absolute deviation times 1.4826, one number a channel; spectrum by the amplitude at each
    frequency (length // 2 + 1 rows, Hann window, a sine of amplitude 1 gives 1), power-spectrum by its square; envelope by the magnitude of
    the analytic signal. log-mel makes one channel of sound a row of bands for each of its ``frames``: natural logarithm of the power in HTK
    mel bands, as ``tf.signal`` computes it. micro-features is the front end of TensorFlow Lite Micro's keyword models: sound of -1..1 at
    16 kHz, 40 bands every 20 ms, noise taken away and gain evened out; against the original 98 % of the values lie within 1 of 256
    steps. spectral-bands leaves one row with as many numbers for each channel as ``bands`` says, and one: the natural logarithms of the
    power in the bands of the spectrum, in those of the envelope's, and of the mean square."""
    frames: Frames | None = None
    bands: Bands | None = None
    mean: tuple[float, ...] = (0.0,)
    """Of the values after ``steps``, per channel (of log-mel, micro-features and spectral-bands: per number of a row) or one for all.
    On a box that has calibrated itself its own stand in their place."""
    std: tuple[float, ...] = (1.0,)
    clip: float | None = Field(default=None, gt=0)
    """What lies farther from 0 than this after ``mean`` and ``std`` is moved to it: the range of an int8 input then suits every window."""

    @model_validator(mode="after")
    def _tables_are_used(self) -> WindowInput:
        for step, name in (("log-mel", "frames"), ("spectral-bands", "bands")):
            table = getattr(self, name)
            if (step in self.steps) != (table is not None):
                seen = f"step {step} without {name}" if table is None else f"{name} without step {step}"
                message = f"cannot use {seen}, expected both or neither"
                raise ValueError(message)
        return self


Input = Annotated[ImageInput | WindowInput, Field(discriminator="kind")]


class OutputSpec(Part):
    """How the model's tensors become an answer. Unused keys of other decoders are refused by the decoder itself."""

    decoder: str
    labels: InnerPath | None = None
    min_score: float = Field(default=0.25, ge=0, le=1)
    nms_iou: float = Field(default=0.45, gt=0, le=1)
    max_items: int = Field(default=100, gt=0, le=1000)
    activation: Literal["none", "softmax", "sigmoid"] = "none"
    """What turns the scores of a classifier into 0..1, where the file does not do it itself."""
    boxes: Literal["pixels", "fractions"] | None = None
    """What the numbers of decoded boxes are, of the model's picture. Default: pixels for ``yolov5`` and ``yolov8``, fractions for
    ``boxes``."""
    threshold: float | None = None
    """Anomaly: the score above which a window counts as one."""


class Golden(Part):
    """Samples with known answers that a candidate must reproduce before it may run."""

    samples: InnerPath
    score_tolerance: float = Field(default=0.1, ge=0)
    min_iou: float = Field(default=0.8, gt=0, le=1)
    max_distance: float = Field(default=0.05, ge=0, le=1)
    """How far a keypoint may lie from the expected one, across and down, as fractions of the frame."""


class Accuracy(Part):
    """A measured figure and what it was measured on."""

    metric: str
    value: float
    on: str


class State(Part):
    """An output that is fed back as an input with the next frame, so that the model remembers. It begins with zeros."""

    output: str
    """The output's name in the file."""
    input: str
    """The input's name in the file."""


class Variant(Part):
    """One file of the bundle and what it needs. Its own input, output and golden stand over the bundle's."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    file: InnerPath
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    runtime: Runtime
    """``tflite``, ``onnx``, or the name of an engine that an installed package brings (docs/plug-ins.md)."""
    accelerators: tuple[str, ...] = ("cpu",)
    precision: Precision
    layout: Literal["nhwc", "nchw", "flat"] = "nhwc"
    """Axis order of an image tensor; ``flat`` for windows."""
    accuracy: Accuracy | None = None
    input: Input | None = None
    output: OutputSpec | None = None
    golden: Golden | None = None
    state: tuple[State, ...] | None = None
    """Stands over the bundle's: tensors' names differ from one runtime's file to another's."""


class Calibration(Part):
    """What a box learns of its own machine, from a while of normal running, before the model's answers count there.

    It learns each feature's mean and standard deviation, which stand over ``mean`` and ``std`` of ``[input]``, and the threshold.
    """

    seconds: float = Field(gt=0, le=366 * 86_400)
    """How much normal running is looked at, in the source's own time."""
    quantile: float = Field(default=0.99, gt=0, le=1)
    """The share of the normal windows' scores that lie below the threshold, before ``margin``. Each window is scored by what was learned
    from the others."""
    margin: float = Field(default=1.25, ge=1)
    """The threshold is so many times that score."""
    unlike: float | None = Field(default=None, gt=0)
    """How high one quarter of it may score (the score that a quarter of its windows exceed) by what another quarter taught. Beyond, it
    was not of one kind, as with a start, a stop or a fault that comes and goes, and nothing is learned from it."""


class Drift(Part):
    """The reference that the box's own input and output are held against."""

    reference: InnerPath


class Manifest(Part):
    """``model.toml``."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$")
    task: Task
    license: str
    description: str = ""
    input: Input
    output: OutputSpec
    variant: tuple[Variant, ...] = Field(min_length=1)
    golden: Golden | None = None
    state: tuple[State, ...] = ()
    """Outputs that are carried to inputs between frames; forgotten where the source's time has a gap."""
    drift: Drift | None = None
    calibration: Calibration | None = None

    @model_validator(mode="after")
    def _calibration_has_windows(self) -> Manifest:
        windows = all(
            isinstance(one, WindowInput) for one in (self.input, *(v.input or self.input for v in self.variant))
        )
        remembers = self.state or any(variant.state for variant in self.variant)
        if self.calibration is not None and (self.task != "anomaly" or not windows or remembers):
            message = "cannot calibrate this model, expected an anomaly in windows of samples, without state"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _variants_differ(self) -> Manifest:
        seen: set[str] = set()
        for variant in self.variant:
            if variant.id in seen:
                message = f"cannot tell variants apart: {variant.id!r} stands twice, expected each id once"
                raise ValueError(message)
            seen.add(variant.id)
        return self

    def version_key(self) -> tuple[tuple[int, ...], bool, str]:
        """Order versions as Semantic Versioning does for releases, a pre-release before its release."""
        release, _, suffix = self.version.partition("-")
        return tuple(int(part) for part in re.findall(r"\d+", release)), not suffix, suffix


@dataclass(frozen=True, slots=True)
class Bundle:
    """A manifest and the folder that it was read from."""

    manifest: Manifest
    folder: Path

    def input_of(self, variant: Variant) -> ImageInput | WindowInput:
        """Give the variant's own input, or the bundle's."""
        return variant.input or self.manifest.input

    def output_of(self, variant: Variant) -> OutputSpec:
        """Give the variant's own output, or the bundle's."""
        return variant.output or self.manifest.output

    def golden_of(self, variant: Variant) -> Golden | None:
        """Give the variant's own golden samples, or the bundle's."""
        return variant.golden or self.manifest.golden

    def state_of(self, variant: Variant) -> tuple[State, ...]:
        """Give what the variant's own file, or the bundle's, carries from frame to frame."""
        return self.manifest.state if variant.state is None else variant.state

    def path_of(self, variant: Variant) -> Path:
        """Where the variant's file lies."""
        return self.folder / variant.file
