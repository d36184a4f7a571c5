from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.bundle.tflite_metadata import Metadata, read_metadata


@given(st.binary(max_size=400))
def test_any_bytes_are_metadata_or_none(content: bytes) -> None:
    assert isinstance(read_metadata(content), Metadata)


def test_no_metadata_says_nothing() -> None:
    assert read_metadata(b"") == Metadata()


@pytest.mark.assets
def test_what_a_real_file_carries_is_read(assets: Path) -> None:
    pytest.importorskip("ai_edge_litert.tools", reason="needs edged[tflite]")
    from edgectl.bundle.tflite_inside import read_inside  # noqa: PLC0415 - after the check for what it needs

    file = assets / "models" / "mobilenet_v1_0.25_224_quant.tflite"
    assert zipfile.is_zipfile(file)
    inside = read_inside(file)
    assert (inside.precision, inside.last, inside.operators["CONV_2D"]) == ("int8", ("SOFTMAX",), 15)
    written = inside.written
    assert (written.name, written.color) == ("MobileNetV1 image classifier (quantized)", "rgb")
    assert (written.mean, written.std) == ((127.5,), (127.5,))
    assert written.labels[:2] == ("background", "tench")


@pytest.mark.assets
@pytest.mark.parametrize(
    ("file", "precision"),
    [
        ("yolox_nano_float16.tflite", "fp16"),
        ("yolox_nano_dynamic_range.tflite", "dynamic"),
        ("yolox_nano_int8.tflite", "fp32"),  # whatever its name says: all 226 tensors of weights are float32
        ("yolox_nano.onnx", "fp32"),
        ("mobilenet_v2_quant.onnx", "int8"),
        ("vww_96_int8.tflite", "int8"),
        ("vww_96_float.tflite", "fp32"),
    ],
)
def test_how_the_weights_are_stored_is_told(assets: Path, file: str, precision: str) -> None:
    pytest.importorskip("onnx", reason="needs edged[workshop]")
    from edgectl.bundle import onnx_inside, tflite_inside  # noqa: PLC0415 - after the check for what they need

    reader = onnx_inside if file.endswith(".onnx") else tflite_inside
    assert reader.read_inside(assets / "models" / file).precision == precision


def test_class_names_in_an_onnx_file_are_read(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs edged[workshop]")
    from edgectl.bundle.onnx_inside import read_inside  # noqa: PLC0415 - after the check for what it needs
    from fakes.modelfile import onnx_model  # noqa: PLC0415

    model = onnx.load_from_string(onnx_model())
    for key, value in (("names", "{1: 'nut', 0: 'bolt'}"), ("license", "AGPL-3.0"), ("stride", "32")):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    file = tmp_path / "x.onnx"
    onnx.save(model, str(file))
    written = read_inside(file).written
    assert (written.labels, written.license, written.texts["stride"]) == (("bolt", "nut"), "AGPL-3.0", "32")


@pytest.mark.parametrize("names", ["", "{0: ", "__import__('os')", "7", "{'a': 'b'}"])
def test_names_that_are_none_are_left_alone(names: str) -> None:
    pytest.importorskip("onnx", reason="needs edged[workshop]")
    from edgectl.bundle.onnx_inside import _names  # noqa: PLC0415 - after the check for what it needs

    assert _names(names) == ()
