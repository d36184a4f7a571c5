"""The networks that are measured, run by edged and by hand."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from edged.assembly.models import open_rung
from edged.config.share import shipped
from edged.domain.bundle import Bundle, ImageInput, Variant
from edged.domain.variant import Rung
from edged.pipeline.model import Model
from edged.update.manifest import read_bundle

Size = Literal["large", "small"]

FILES: dict[Size, tuple[str, int]] = {
    "large": ("mobilenet_v2_1.0_224_quant", 224),
    "small": ("mobilenet_v1_0.25_128_quant", 128),
}
LABELS = "imagenet_labels_1001.txt"
FRAME_WIDTH, FRAME_HEIGHT = 640, 480
SUBSTITUTE = "parts"
"""The shipped model that stands in where the reference models are absent."""

MANIFEST = """
name = "{name}"
version = "1.0.0"
task = "classification"
license = "Apache-2.0"
[input]
kind = "image"
width = {side}
height = {side}
mean = [128.0]
std = [128.0]
[output]
decoder = "classification"
labels = "{labels}"
[[variant]]
id = "int8"
file = "{file}"
sha256 = "{sha256}"
runtime = "tflite"
precision = "int8"
"""


@dataclass(frozen=True, slots=True)
class Network:
    """A bundle in a folder, the variant to run, and a picture file with something in it that the network knows."""

    bundle: Bundle
    variant: Variant
    picture: Path
    is_substitute: bool

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return Path(self.variant.file).stem if not self.is_substitute else f"{SUBSTITUTE} {self.variant.id}"

    def image(self) -> ImageInput:
        """What its picture looks like."""
        model_input = self.bundle.input_of(self.variant)
        assert isinstance(model_input, ImageInput)  # noqa: S101 - the networks here all look at pictures
        return model_input

    def frame(self) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """Give a frame of (480, 640, 3) uint8 BGR."""
        picture = cv2.imread(str(self.picture), cv2.IMREAD_COLOR)
        frame = cv2.resize(np.asarray(picture), (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(frame, np.uint8)


def network(size: Size, folder: Path) -> Network:
    """Make the bundle of a reference model below ``folder``, or name the shipped substitute."""
    assets = os.environ.get("EDGED_ASSETS")
    if not assets:
        bundle = read_bundle(shipped("models") / SUBSTITUTE)
        variant = next(one for one in bundle.manifest.variant if one.runtime == "tflite" and one.precision == "fp32")
        return Network(bundle, variant, bundle.folder / "golden" / "belt-1.png", is_substitute=True)
    stem, side = FILES[size]
    models = Path(assets) / "models"
    target = folder / size
    target.mkdir(parents=True, exist_ok=True)
    file = f"{stem}.tflite"
    for name in (file, LABELS):
        shutil.copyfile(models / name, target / name)
    digest = hashlib.sha256((target / file).read_bytes()).hexdigest()
    text = MANIFEST.format(name=size, side=side, labels=LABELS, file=file, sha256=digest)
    (target / "model.toml").write_text(text, encoding="utf-8")
    bundle = read_bundle(target)
    return Network(bundle, bundle.manifest.variant[0], Path(assets) / "images" / "burger.jpg", is_substitute=False)


def edged_model(net: Network) -> Model:
    """Open the network as the daemon does, on one thread."""
    return open_rung(net.bundle, Rung(net.variant, "cpu", 1, "chosen", ""))


def bare_model(net: Network) -> Callable[[Any], Any]:
    """Open the network as one writes it by hand: resize, colour, set, invoke, get."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - the others of this folder do without it

    interpreter = Interpreter(model_path=str(net.bundle.path_of(net.variant)), num_threads=1)
    interpreter.allocate_tensors()
    given, got = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    given_index, got_index = given["index"], got["index"]
    size = (net.image().width, net.image().height)
    is_float = given["dtype"] is np.float32

    def answer(frame: Any) -> Any:
        picture = cv2.cvtColor(cv2.resize(frame, size), cv2.COLOR_BGR2RGB)
        if is_float:
            picture = (picture.astype(np.float32) - 127.5) / 127.5
        interpreter.set_tensor(given_index, picture[np.newaxis])
        interpreter.invoke()
        return interpreter.get_tensor(got_index)

    return answer
