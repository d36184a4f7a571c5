"""The shipped camera-health bundle on real photographs and frames, spoiled by its judge: edged's own code, every variant."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from itertools import groupby
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edged.assembly.models import answering, open_rung
from edged.config.share import shipped
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Classes
from edged.domain.variant import Rung
from edged.sources import video
from edged.update.manifest import read_bundle
from fakes.brokers import BrokerProcess
from fakes.clock import FakeClock
from fakes.daemon import DaemonProcess, write_config
from fakes.subscriber import Subscriber

pytestmark = pytest.mark.slow

BUNDLE = read_bundle(shipped("models") / "camera-health")
VARIANTS = [variant.id for variant in BUNDLE.manifest.variant]
SIZES = ("large", "small")
SHOWN = ("ok", "occluded", "ok", "dark", "ok", "overexposed", "ok", "blurred", "ok", "tilted", "ok", "noise")
"""What the demo recording shows, 3 s each."""
CONFIG = """
[[source]]
name = "dock"
kind = "file"
path = "{path}"

[[pipeline]]
name = "dock"
source = "dock"
model = "camera-health"
rule = [{{ name = "camera-not-well", when = {{ label = "ok", count = "== 0" }}, for_s = 2 }}]
"""


@dataclass(frozen=True)
class Case:
    """A judged picture and what it must be called."""

    label: str
    frame: Frame


def _module(name: str) -> ModuleType:
    """Load what the bundle itself is judged with; its folder's name is no package's."""
    spec = spec_from_file_location(f"camera_health_{name}", BUNDLE.folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cases(assets: Path) -> list[Case]:
    """Spoil every photograph and frame in every way of the judge."""
    holdout, judged = _module("holdout"), _module("judged")
    return [
        Case(label, Frame(np.ascontiguousarray(spoiled), Stamp(0, 0, 0, 0.0)))
        for index, (_, picture) in enumerate(judged.pictures(assets))
        for label, _, spoiled in holdout.judged(picture, index)
    ]


def told(name: str, frames: Iterator[Frame]) -> Iterator[str]:
    """Give the best label of each frame, empty where none reaches the least score."""
    variant = next(variant for variant in BUNDLE.manifest.variant if variant.id == name)
    model = open_rung(BUNDLE, Rung(variant, "cpu", 1, "chosen", "under test"))
    ask = answering(model)
    for frame in frames:
        answer = ask(frame)
        assert isinstance(answer, Classes)
        yield answer.items[0].label if answer.items else ""
    model.engine.close()


def recorded() -> Iterator[Frame]:
    """Read the demo recording."""
    source = video.open_source(path=BUNDLE.folder / "demo" / "camera.mp4", clock=FakeClock())
    while isinstance(frame := source.read(), Frame):
        yield frame
    source.close()


def test_both_sizes_have_the_variants_that_every_shipped_network_has() -> None:
    precisions = ("tflite-fp32", "tflite-int8", "tflite-dynamic", "onnx-fp32", "onnx-int8", "onnx-fp16")
    assert set(VARIANTS) == {f"{size}-{one}" for size in SIZES for one in precisions}
    files = (file for file in BUNDLE.folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    assert sum(file.stat().st_size for file in files) < 5_200_000


def reached(name: str) -> set[str]:
    """Give the modules beside the bundle that one of them imports, and those that these do."""
    tree = ast.parse((BUNDLE.folder / f"{name}.py").read_text("utf-8"))
    named = {str(one.module) for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)}
    named |= {alias.name for one in ast.walk(tree) if isinstance(one, ast.Import) for alias in one.names}
    beside = {one for one in named if (BUNDLE.folder / f"{one}.py").is_file()}
    return beside.union(*(reached(one) for one in beside))


def test_what_judges_and_what_training_saw_know_nothing_of_each_other() -> None:
    assert reached("lessons") == {"degrade", "garbage", "network", "scenes"}
    assert reached("holdout") == set()
    assert reached("judged") == set()


@pytest.mark.assets
@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_tells_95_of_100_real_pictures_right(cases: list[Case], name: str) -> None:
    labels = np.array([case.label for case in cases])
    hits = labels == np.array(list(told(name, (case.frame for case in cases))))
    assert len(hits) == 580
    assert hits.mean() >= 0.95
    assert all(hits[labels == label].mean() >= 0.85 for label in set(labels))


@pytest.mark.parametrize("name", ["large-tflite-int8", "small-onnx-int8"])
def test_the_demo_recording_shows_every_fault_in_turn(name: str) -> None:
    frames = list(recorded())
    seen = list(told(name, iter(frames)))
    shown = [SHOWN[int(frame.stamp.source_s // 3)] for frame in frames]
    # Where one follows the other, the codec may mix both.
    assert np.mean([one == other for one, other in zip(seen, shown, strict=True)]) >= 0.97
    runs = [(label, len(list(run))) for label, run in groupby(seen)]
    assert [label for label, length in runs if length > 2] == list(SHOWN)


def test_the_daemon_tells_six_times_that_the_camera_is_not_well(tmp_path: Path, broker: BrokerProcess) -> None:
    fleet = Subscriber(broker.port, "edged/v1/d/+/out/#")
    path = BUNDLE.folder / "demo" / "camera.mp4"
    config = write_config(tmp_path, broker.port, CONFIG.format(path=path), models=[shipped("models")])
    daemon = DaemonProcess(config)
    try:
        assert daemon.start().wait() == 0
        begun = [one for one in fleet.of("event/dock") if one.get("phase") == "start"]
    finally:
        daemon.close()
        fleet.close()
    assert [one["source_s"] for one in begun] == [pytest.approx(at, abs=0.3) for at in range(3, 36, 6)]
