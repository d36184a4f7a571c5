"""Persons on a real recording are followed: one number a visit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.domain.frame import Frame, Stamp
from edged.domain.result import Detection, Detections
from edged.engines import onnx
from edged.pipeline import preprocess
from edged.pipeline.paths import Crossing, Dwell
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.binding import Binding
from edged.pipeline.resize import opencv
from edged.pipeline.track import Tracker
from fakes.assetbundle import load, materialise

pytestmark = [pytest.mark.assets, pytest.mark.slow]
FPS = 10.0
LAST_FRAME = 900
VISITS = ((65, 195), (230, 450), (510, 695), (745, 870))
"""First and last frames that show a person, as they are known."""


def _pictures(file: Path) -> Iterator[tuple[int, np.ndarray]]:
    video = cv2.VideoCapture(str(file))
    for index in range(LAST_FRAME):
        assert video.grab()
        if index % 2 == 0:  # five pictures a second, as a small box would look at them
            _, picture = video.retrieve()
            yield index, picture
    video.release()


@pytest.fixture(scope="module")
def persons(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, list[Detection]]]:
    """Give the followed persons of each picture, with its time in seconds."""
    bundle = load(materialise("yolox-nano", assets, tmp_path_factory.mktemp("bundles")))
    variant = next(one for one in bundle.manifest.variant if one.id == "fp32-onnx")
    model_input, output = bundle.input_of(variant), bundle.output_of(variant)
    labels = tuple((bundle.folder / str(output.labels)).read_text().splitlines())
    engine = onnx.open_engine(bundle.path_of(variant), threads=1)
    prepare = preprocess.build(model_input, engine.inputs[0], variant.layout, opencv())
    decoder = registry.bind(Binding(output, model_input, engine.inputs, engine.outputs, labels))
    tracker = Tracker()
    told = []
    for index, picture in _pictures(assets / "video" / "one-by-one-person-detection.mp4"):
        frame = Frame(picture, Stamp(index, 0, 0, index / FPS))
        tensors = prepare(frame)
        answer = tracker.follow(decoder.decode(engine.infer(tensors), tensors, frame), index / FPS)
        assert isinstance(answer, Detections)
        told.append((index / FPS, [item for item in answer.items if item.label == "person"]))
    engine.close()
    return told


def test_each_visit_has_one_number(persons: list[tuple[float, list[Detection]]]) -> None:
    seen: dict[int, list[float]] = {}
    for now_s, items in persons:
        for item in items:
            if item.track is not None:
                seen.setdefault(item.track, []).append(now_s)
    spans = [(min(times) * FPS, max(times) * FPS) for times in seen.values()]
    assert len(spans) == len(VISITS)
    for (first, last), (known_first, known_last) in zip(spans, VISITS, strict=True):
        assert first == pytest.approx(known_first, abs=10)
        assert last == pytest.approx(known_last, abs=10)


def test_who_stays_ten_seconds_is_told_each_once_and_one_walks_through_the_middle(
    persons: list[tuple[float, list[Detection]]],
) -> None:
    dwell, left, right = Dwell(10.0), *(Crossing(((0.5, 0.0), (0.5, 1.0)), way) for way in ("left", "right"))
    stayed, to_left, to_right = (
        [item.track for now_s, items in persons for item in path.step(items, now_s)] for path in (dwell, left, right)
    )
    assert sorted(set(stayed)) == sorted({item.track for _, items in persons for item in items if item.track})
    assert (len(to_left), to_right) == (1, [])
