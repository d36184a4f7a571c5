"""The libraries behind the workshop, on real files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgectl.bundle.quantizers import RECIPES, Quantizer, make, open_quantizer, tail
from edged.domain.errors import BundleError
from edged.engines import onnx, tflite

pytest.importorskip("ai_edge_quantizer", reason="needs edged[workshop]")
pytest.importorskip("onnxconverter_common", reason="needs edged[workshop]")
pytestmark = [pytest.mark.assets, pytest.mark.slow]

SHAPES = {"vww_96_float.tflite": (1, 96, 96, 3), "ad01_fp32.tflite": (1, 640), "FastestDet.onnx": (1, 352, 352, 3)}
MAKE = """
import hashlib, sys
from pathlib import Path
import numpy as np
from edgectl.bundle.quantizers import RECIPES, make, open_quantizer
samples = [np.random.default_rng(1).random({shape}, np.float32) for _ in range(3)]
quantizer = open_quantizer(Path({file!r}), samples)
for recipe in RECIPES:
    if recipe.runtime == quantizer.runtime:
        print(recipe.id, hashlib.sha256(make(recipe, quantizer)).hexdigest())
"""


def quantizer_of(assets: Path, name: str) -> Quantizer:
    chance = np.random.default_rng(1)
    return open_quantizer(assets / "models" / name, [chance.random(SHAPES[name], np.float32) for _ in range(3)])


def made(quantizer: Quantizer, precision: str, keep: tuple[str, ...] = ()) -> bytes:
    (recipe,) = (one for one in RECIPES if (one.runtime, one.precision) == (quantizer.runtime, precision))
    return make(recipe, quantizer, keep)


@pytest.mark.parametrize("name", SHAPES)
def test_every_variant_is_smaller_and_runs(assets: Path, tmp_path: Path, name: str) -> None:
    quantizer = quantizer_of(assets, name)
    whole = (assets / "models" / name).stat().st_size
    for recipe in (recipe for recipe in RECIPES if recipe.runtime == quantizer.runtime):
        file = tmp_path / f"{recipe.precision}.{recipe.runtime}"
        file.write_bytes(make(recipe, quantizer))
        engine = (tflite if recipe.runtime == "tflite" else onnx).open_engine(file, threads=1)
        given = engine.inputs[0]
        answer = engine.infer([np.zeros([abs(size) for size in given.shape], given.dtype)])
        assert all(np.isfinite(tensor).all() for tensor in answer)
        assert file.stat().st_size < 0.6 * whole, recipe.id
        engine.close()


def test_full_integer_takes_and_gives_integers(assets: Path, tmp_path: Path) -> None:
    file = tmp_path / "int8.tflite"
    file.write_bytes(made(quantizer_of(assets, "vww_96_float.tflite"), "int8"))
    engine = tflite.open_engine(file, threads=1)
    assert [spec.dtype for spec in (*engine.inputs, *engine.outputs)] == ["int8", "int8"]


def test_an_output_of_a_kept_layer_stays_float(assets: Path, tmp_path: Path) -> None:
    quantizer = quantizer_of(assets, "vww_96_float.tflite")
    file = tmp_path / "int8.tflite"
    file.write_bytes(made(quantizer, "int8", tail(quantizer, 1)))
    engine = tflite.open_engine(file, threads=1)
    assert [spec.dtype for spec in (*engine.inputs, *engine.outputs)] == ["int8", "float32"]


def test_the_ranges_hold_every_sample_not_their_average(assets: Path, tmp_path: Path) -> None:
    quiet, loud = (np.full((1, 640), value, np.float32) for value in (1.0, 40.0))
    quantizer = open_quantizer(assets / "models" / "ad01_fp32.tflite", [quiet] * 9 + [loud])
    file = tmp_path / "int8.tflite"
    file.write_bytes(made(quantizer, "int8"))
    held = tflite.open_engine(file, threads=1).inputs[0].quantization
    assert held is not None
    assert held.scale * (127 - held.zero_point) == pytest.approx(40.0, rel=0.01)


@pytest.mark.parametrize("name", ["vww_96_float.tflite", "FastestDet.onnx"])
def test_each_layer_has_a_noise(assets: Path, name: str) -> None:
    quantizer = quantizer_of(assets, name)
    noise = quantizer.errors(made(quantizer, "int8"))
    assert len(noise) >= 0.9 * len(quantizer.layers)
    assert all(0 <= value < 10 for value in noise.values())


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_input_gives_the_same_bytes_in_any_process(assets: Path, name: str) -> None:
    script = MAKE.format(shape=SHAPES[name], file=str(assets / "models" / name))
    runs = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            check=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0].count("\n") >= 2
    assert runs[0] == runs[1]


def test_old_files_without_signatures_and_codes_are_read(assets: Path) -> None:
    chance = np.random.default_rng(1)
    samples = [chance.random((1, 224, 224, 3), np.float32)]
    quantizer = open_quantizer(assets / "models" / "mobilenet_v1_0.25_224_float.tflite", samples)
    assert len(quantizer.layers) == 28
    assert hashlib.sha256(made(quantizer, "int8")).digest()


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_224_quant.tflite", "mobilenet_v2_quant.onnx"])
def test_a_file_that_is_quantised_already_is_refused(assets: Path, name: str) -> None:
    with pytest.raises(BundleError, match="give the file from before it was quantised"):
        open_quantizer(assets / "models" / name, [np.zeros((1, 224, 224, 3), np.float32)])


def test_samples_of_another_shape_are_refused(assets: Path) -> None:
    with pytest.raises(BundleError, match=r"a sample has shape \(1, 5\), expected \(1, 3, 352, 352\)"):
        open_quantizer(assets / "models" / "FastestDet.onnx", [np.zeros((1, 5), np.float32)])


@pytest.mark.parametrize("name", ["vww_96_float.tflite", "FastestDet.onnx"])
def test_an_unknown_layer_is_refused(assets: Path, name: str) -> None:
    with pytest.raises(BundleError, match="cannot keep layer 'nobody' in float: the file has none"):
        made(quantizer_of(assets, name), "int8", ("nobody",))
