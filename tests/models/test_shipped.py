"""The shipped bundles keep what their READMEs promise, on every variant that this machine runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.calibrations import Records
from edged.assembly.learning import Learning
from edged.assembly.models import Opened, answering, open_rung
from edged.config.share import shipped
from edged.domain.bundle import Bundle, WindowInput
from edged.domain.errors import CalibratingError
from edged.domain.frame import Frame, Samples
from edged.domain.ports import Source
from edged.domain.result import Anomaly, Detections
from edged.domain.variant import Rung
from edged.pipeline.postprocess.agree import agrees
from edged.pipeline.window import Windower
from edged.sources import csv, video
from edged.sources.images import read_picture
from edged.update.manifest import read_bundle, verify
from edged.update.trial import try_golden
from fakes.clock import FakeClock

pytestmark = pytest.mark.slow

BUNDLES = [read_bundle(place.parent) for place in sorted(shipped("models").glob("*/model.toml"))]
VARIANTS = [(bundle, variant.id) for bundle in BUNDLES for variant in bundle.manifest.variant]
NAMES = [f"{bundle.manifest.name}/{name}" for bundle, name in VARIANTS]
INT8 = [(bundle, name) for bundle, name in VARIANTS if name.endswith("tflite-int8")]
MIDDLE = (0.33, 0.67)
MOST_BYTES = 15_000_000
EDGE_TPU_OPERATORS = frozenset(
    {
        *("ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "FULLY_CONNECTED", "LOGISTIC", "MAX_POOL_2D", "PAD"),
        *("QUANTIZE", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SOFTMAX"),
    }
)
"""Of those that Google's compiler takes (coral.ai, "TensorFlow models on the Edge TPU", supported operations) the ones that we use."""


def rung(bundle: Bundle, name: str) -> Rung:
    variant = next(variant for variant in bundle.manifest.variant if variant.id == name)
    return Rung(variant, "cpu", 1, "chosen", "under test")


def frames(source: Source, windower: Windower | None = None) -> Iterator[Frame]:
    while (item := source.read()) is not None:
        if isinstance(item, Samples):
            assert windower is not None
            yield from windower.push(item)
        else:
            yield item
    source.close()


def stretches(seen: list[tuple[float, bool]]) -> list[tuple[float, float]]:
    """Give first and last time of each run of frames that showed it."""
    runs = [(held, list(group)) for held, group in groupby(seen, key=lambda one: one[1])]
    return [(group[0][0], group[-1][0]) for held, group in runs if held]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.manifest.name)
def test_the_files_are_those_that_the_manifest_names(bundle: Bundle) -> None:
    assert verify(bundle) == []


def test_all_of_them_together_stay_small() -> None:
    files = [one for one in shipped("models").rglob("*") if one.is_file() and "__pycache__" not in one.parts]
    assert {one.suffix for one in files} >= {".tflite", ".onnx", ".mp4", ".csv"}
    assert sum(one.stat().st_size for one in files) <= MOST_BYTES


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.manifest.name)
def test_each_comes_with_its_recipe_and_its_seed_and_its_figures(bundle: Bundle) -> None:
    seed = re.search(r"^SEED = (\d+)$", (bundle.folder / "recipe.py").read_text("utf-8"), re.MULTILINE)
    told = (bundle.folder / "README.md").read_text("utf-8")
    assert seed is not None
    assert f"seed {seed[1]}" in " ".join(told.split())
    # A figure of the README belongs to the very file that lies here, by its size.
    rows = [f"| {one.id} | {bundle.path_of(one).stat().st_size} |" for one in bundle.manifest.variant]
    assert [row for row in rows if row not in told] == []


@pytest.mark.parametrize(("bundle", "name"), INT8, ids=[f"{bundle.manifest.name}/{name}" for bundle, name in INT8])
def test_an_int8_tflite_file_is_in_the_form_that_the_edge_tpu_compiler_takes(bundle: Bundle, name: str) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert (extra `tflite`)")
    interpreter = litert.Interpreter(model_path=str(bundle.path_of(rung(bundle, name).variant)))
    interpreter.allocate_tensors()
    # Integer throughout; biases and shapes are int32, as that compiler takes them.
    assert {np.dtype(one["dtype"]).name for one in interpreter.get_tensor_details()} == {"int8", "int32"}
    ends = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    assert {np.dtype(one["dtype"]).name for one in ends} == {"int8"}
    assert all(size > 0 for one in ends for size in one["shape_signature"])
    used = {one["op_name"] for one in interpreter._get_ops_details()} - {"DELEGATE"}
    assert used <= EDGE_TPU_OPERATORS


def test_each_bundle_that_is_quantised_has_such_a_file() -> None:
    assert {bundle.manifest.name for bundle, _ in INT8} == {bundle.manifest.name for bundle in BUNDLES}


@pytest.mark.parametrize(("bundle", "name"), VARIANTS, ids=NAMES)
def test_every_variant_reproduces_the_golden_samples(bundle: Bundle, name: str) -> None:
    model = open_rung(bundle, rung(bundle, name))
    golden = bundle.golden_of(rung(bundle, name).variant)
    assert golden is not None
    assert try_golden(bundle.folder, golden, answering(model), agrees, read_picture) is None
    model.engine.close()


@pytest.mark.parametrize("name", [name for bundle, name in VARIANTS if bundle.manifest.name == "parts"])
def test_the_demo_video_shows_four_bolts_and_six_faults_in_the_middle(name: str) -> None:
    bundle = read_bundle(shipped("models") / "parts")
    answer = answering(open_rung(bundle, rung(bundle, name)))
    seen: dict[str, list[tuple[float, bool]]] = {"bolt": [], "bent": [], "scratched": []}
    for frame in frames(video.open_source(path=demo(bundle, "conveyor.mp4"), clock=FakeClock())):
        output = answer(frame)
        assert isinstance(output, Detections)
        middle = {item.label for item in output.items if MIDDLE[0] <= (item.box[0] + item.box[2]) / 2 <= MIDDLE[1]}
        for label, told in seen.items():
            told.append((frame.stamp.source_s, label in middle))
    expected = {
        "bolt": [(1.92, 3.08), (6.42, 7.58), (10.92, 12.08), (15.83, 17.08)],
        "bent": [(0.83, 2.0), (8.67, 9.92), (14.42, 15.58)],
        "scratched": [(3.83, 5.0), (12.92, 14.08), (17.92, 19.08)],
    }
    for label, told in seen.items():
        assert [pytest.approx(one, abs=0.2) for one in expected[label]] == stretches(told), label


@pytest.mark.parametrize("name", [name for bundle, name in VARIANTS if bundle.manifest.name == "vibration"])
def test_the_demo_recording_shakes_twice(name: str, tmp_path: Path) -> None:
    bundle = read_bundle(shipped("models") / "vibration")
    window = bundle.manifest.input
    assert isinstance(window, WindowInput)
    model = open_rung(bundle, rung(bundle, name))
    # The demo learns what is normal from the first 11 s.
    learning = Learning("bearing", {}, 11.0, Records(tmp_path), FakeClock())
    answer = answering(learning.fitted(Opened(model, bundle, window, "", rung(bundle, name))).model)
    source = csv.open_source(path=demo(bundle, "fan.csv"), clock=FakeClock(), columns=("x", "y", "z"), time="t")
    seen = []
    for frame in frames(source, Windower(window.length, window.stride, window.channels)):
        try:
            output = answer(frame)
        except CalibratingError:
            assert frame.stamp.source_s <= 11.3
            continue
        assert isinstance(output, Anomaly)
        seen.append((frame.stamp.source_s, output.is_anomaly))
    # Knocking from 15 to 25 s, imbalance from 40 to 50 s; a window is told by its last sample.
    assert [pytest.approx(one, abs=1.0) for one in [(15.5, 25.3), (40.3, 50.3)]] == stretches(seen)


def demo(bundle: Bundle, name: str) -> Path:
    return bundle.folder / "demo" / name
