"""What a model would see is the daemon's own tensor, and the picture of it is that tensor's."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from edgectl.camera.sees import model_of, picture_of, view
from edged.config.schema import Config
from edged.domain.bundle import ImageInput
from edged.domain.errors import ConfigError
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline import preprocess, resize
from fakes.mjpeg import scene
from fakes.sensor import sensor_bundle

CONFIG = Config.model_validate({"device": {"id": "a"}})
FRAME = Frame(scene(3, 64, 48), Stamp(0, 0, 0, 0.0))
TENSORS = {
    "int8": TensorSpec("in", (), "int8", Quantization(1 / 128, 0)),
    "uint8": TensorSpec("in", (), "uint8"),
    "float32": TensorSpec("in", (), "float32"),
}
COLOURS = ("rgb", "bgr", "grey")
LAYOUTS: tuple[preprocess.Layout, ...] = ("nhwc", "nchw", "flat")


def shape(layout: str, channels: int) -> tuple[int, ...]:
    return {"nhwc": (1, 48, 64, channels), "nchw": (1, channels, 48, 64), "flat": (1, 48 * 64 * channels)}[layout]


@pytest.mark.parametrize(("dtype", "color", "layout"), [*product(TENSORS, COLOURS, LAYOUTS)])
def test_a_tensor_of_any_kind_shows_the_picture_that_it_was_made_of(
    dtype: str, color: str, layout: preprocess.Layout
) -> None:
    plain = dtype == "uint8"
    norm = {} if plain else {"mean": (127.5,), "std": (127.5,)}
    image = ImageInput.model_validate(
        {"kind": "image", "width": 64, "height": 48, "color": color, "fit": "stretch", **norm}
    )
    spec = TENSORS[dtype]
    tensor = TensorSpec(spec.name, shape(layout, 1 if color == "grey" else 3), spec.dtype, spec.quantization)
    (values,) = preprocess.build(image, tensor, layout, resize.opencv())(FRAME)

    picture = picture_of(values, tensor, image, layout)

    wanted = FRAME.data.astype(int)
    if color == "grey":
        wanted = np.repeat((wanted @ [0.114, 0.587, 0.299])[..., None], 3, axis=2)
    assert picture.shape == (48, 64, 3)
    assert np.abs(picture.astype(int) - wanted).max() <= 2


def test_letterbox_bars_are_part_of_what_is_seen() -> None:
    image = ImageInput.model_validate(
        {
            "kind": "image",
            "width": 64,
            "height": 64,
            "color": "rgb",
            "fit": "letterbox",
            "mean": (0,),
            "std": (255,),
            "pad": 114,
        }
    )
    tensor = TensorSpec("in", (1, 64, 64, 3), "float32")
    (values,) = preprocess.build(image, tensor, "nhwc", resize.opencv())(FRAME)
    picture = picture_of(values, tensor, image, "nhwc")
    assert (picture[:8] == 114).all()
    assert (picture[-8:] == 114).all()
    assert picture[8:-8].std() > 10


def test_a_shipped_model_sees_through_its_own_file(capfd: pytest.CaptureFixture[str]) -> None:
    shown = view(model_of("camera-health", CONFIG), FRAME, CONFIG)
    told = shown.told()
    assert told["shape"] == [1, *shown.picture.shape]
    assert told["dtype"] in {"int8", "float32"}
    assert told["range"][0] < told["range"][1]
    assert capfd.readouterr().err == ""


def test_a_model_of_windows_sees_no_picture(tmp_path: Path) -> None:
    bundle = sensor_bundle(tmp_path / "level")
    with pytest.raises(ConfigError, match="takes windows of samples"):
        model_of(str(bundle), CONFIG)


def test_a_model_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"the bundles are .*camera-health"):
        model_of("absent", CONFIG)
