"""The decoders by name: edged's own, then those that installed packages bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edged.config.plugins import brought, load_plugin
from edged.domain.errors import BundleError
from edged.pipeline.postprocess import (
    boxes,
    classification,
    fastestdet,
    keypoints,
    reconstruction,
    regression,
    segmentation,
    ssd,
    yolo,
    yolox,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.domain.ports import Decoder
    from edged.pipeline.postprocess.binding import Binding

DECODERS: dict[str, Callable[[Binding], Decoder]] = {
    "boxes": boxes.bind,
    "classification": classification.bind,
    "fastestdet": fastestdet.bind,
    "keypoints": keypoints.bind,
    "reconstruction": reconstruction.bind,
    "regression": regression.bind,
    "segmentation": segmentation.bind,
    "ssd": ssd.bind,
    "yolov5": yolo.bind_v5,
    "yolov8": yolo.bind_v8,
    "yolox": yolox.bind,
}


def bind(binding: Binding) -> Decoder:
    """Build the decoder that the bundle names, for these tensors.

    Raises:
        BundleError: There is no such decoder, or it cannot read these tensors.
    """
    name = binding.output.decoder
    if name in DECODERS:
        return DECODERS[name](binding)
    others = brought("edged.decoders")
    if name not in others:
        known = ", ".join(sorted({*DECODERS, *others}))
        message = f"cannot decode with {name!r}: there is no such decoder, expected one of {known}"
        raise BundleError(message, remedy="install the package that brings it (entry point group edged.decoders)")
    made: Decoder = load_plugin("edged.decoders", name)(binding)
    return made
