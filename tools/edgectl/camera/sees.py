"""What a model would see: the tensor that the daemon's own preprocessing makes, and the same as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgectl.hushed import hushed
from edged.assembly.adapters import adapter
from edged.assembly.box import ladder, model_folders, survey_for
from edged.config.schema import Config
from edged.domain.bundle import Bundle, ImageInput, Variant
from edged.domain.errors import BundleError, ConfigError, EdgedError
from edged.domain.frame import Frame
from edged.domain.tensor import Array, TensorSpec
from edged.pipeline import preprocess
from edged.update.manifest import find_bundles, read_bundle

COLOURS = 3


@dataclass(frozen=True, slots=True)
class View:
    """A tensor and what it stands for. ``picture`` is (H, W, 3) uint8 BGR: the tensor's numbers, taken back to bytes."""

    model: str
    variant: Variant
    image: ImageInput
    tensor: TensorSpec
    values: Array
    picture: Array

    def told(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        real = _real(self.values, self.tensor)
        return {
            "model": self.model,
            "variant": self.variant.id,
            "shape": list(self.values.shape),
            "dtype": str(self.values.dtype),
            "layout": self.variant.layout,
            "color": self.image.color,
            "fit": self.image.fit,
            "range": [self.values.min().item(), self.values.max().item()],
            "real_range": [round(float(real.min()), 4), round(float(real.max()), 4)],
            "mean": round(float(real.mean()), 4),
        }


def model_of(name: str, config: Config) -> Bundle:
    """Find a model by its name or its folder. Raises ConfigError when there is none, or when it takes no pictures."""
    bundle = _bundle(name, config)
    if not isinstance(bundle.input_of(bundle.manifest.variant[0]), ImageInput):
        message = f"cannot show what {name!r} sees: it takes windows of samples, expected a model of pictures"
        raise ConfigError(message, remedy="edged models lists the others")
    return bundle


def view(bundle: Bundle, frame: Frame, config: Config) -> View:
    """Prepare a frame as the daemon does for the variant that it would choose here.

    No engine of the daemon's is touched: the file is opened on the processor alone, and only asked what it takes.

    Raises:
        BundleError: none of its files opens on a processor, or does not take what the bundle describes.
        DeviceError: what reads it is not installed.
    """
    variants = _in_order(bundle, config)
    variant, tensor = _opened(bundle, variants)
    image = bundle.input_of(variant)
    assert isinstance(image, ImageInput)  # noqa: S101 - as model_of made sure
    ops = adapter("edged.pipeline.resize").opencv()
    (values,) = preprocess.build(image, tensor, variant.layout, ops)(frame)
    return View(bundle.manifest.name, variant, image, tensor, values, picture_of(values, tensor, image, variant.layout))


def picture_of(values: Array, tensor: TensorSpec, image: ImageInput, layout: preprocess.Layout) -> Array:
    """Give a tensor as (H, W, 3) uint8 BGR: its real values, taken back through the bundle's mean and deviation.

    What quantisation, letterbox and colour order did is in it; so is what was cut off at the ends of the tensor's range.
    """
    channels = 1 if image.color == "grey" else COLOURS
    real = _real(values, tensor)
    planes = real.reshape(channels, image.height, image.width).transpose(1, 2, 0) if layout == "nchw" else real
    picture = planes.reshape(image.height, image.width, channels)
    seen = np.clip(np.rint(picture * np.asarray(image.std) + np.asarray(image.mean)), 0, 255).astype(np.uint8)
    if channels == 1:
        return np.repeat(seen, COLOURS, axis=2)
    return np.ascontiguousarray(seen[..., ::-1] if image.color == "rgb" else seen)


def _real(values: Array, tensor: TensorSpec) -> Array:
    real = values.astype(np.float64)
    if tensor.quantization is None:
        return real
    return (real - tensor.quantization.zero_point) * tensor.quantization.scale


def _bundle(name: str, config: Config) -> Bundle:
    if "/" in name or (Path(name) / "model.toml").is_file():
        return read_bundle(Path(name))
    bundles = find_bundles(model_folders(config)).bundles
    if name in bundles:
        return bundles[name][0]
    message = (
        f"cannot find model {name!r}: the bundles are {', '.join(bundles) or 'none'}, expected one of them or a folder"
    )
    raise ConfigError(message, remedy="edged models lists them")


def _in_order(bundle: Bundle, config: Config) -> Sequence[Variant]:
    """Give the variants as the box would take them, and those that it would not take behind."""
    chosen = [rung.variant for rung in ladder(bundle, survey_for(config)).runnable]
    every = (*chosen, *bundle.manifest.variant)
    return tuple({variant.id: variant for variant in every}.values())


def _opened(bundle: Bundle, variants: Sequence[Variant]) -> tuple[Variant, TensorSpec]:
    """Open the first file that a processor opens, and give what it takes."""
    reasons = []
    for variant in variants:
        try:
            module = adapter(f"edged.engines.{variant.runtime}", variant.runtime)
            with hushed():
                engine = module.open_engine(bundle.path_of(variant), threads=1)
        except EdgedError as error:
            reasons.append(f"{variant.id}: {error.args[0]}")
            continue
        try:
            return variant, engine.inputs[0]
        finally:
            engine.close()
    message = f"cannot open {bundle.manifest.name}: {'; '.join(reasons)}, expected a file that opens on the processor"
    raise BundleError(message, remedy=f"edged explain {bundle.manifest.name}")
