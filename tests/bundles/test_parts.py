"""The shipped parts bundle in a shop that training never saw, rendered with a seed of its own: edged's own code, every variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

import numpy as np
import pytest

from edged.assembly.models import answering, open_rung
from edged.config.share import shipped
from edged.domain.bundle import Bundle
from edged.domain.frame import Frame, Stamp
from edged.domain.result import Detection, Detections
from edged.domain.variant import Rung
from edged.update.manifest import read_bundle

pytestmark = pytest.mark.slow

BUNDLE = read_bundle(shipped("models") / "parts")
VARIANTS = [variant.id for variant in BUNDLE.manifest.variant]
LABELS = (BUNDLE.folder / "labels.txt").read_text("utf-8").split()
SEED, PICTURES = 20_261_122, 120
WIDTH, HEIGHT = 640, 360
ON_IT = 0.5
"""The IoU from which a box is on a part."""
DOUBTFUL = 0.01
"""Average precision needs what a rule would leave out, too."""
UNCLEAR = -1
"""The renderer's label of a part of which nobody could say whether it is faulty."""


@dataclass(frozen=True)
class Scene:
    """A rendered picture, and the boxes (n, 4) and labels (n,) of what lies there, as fractions."""

    frame: Frame
    boxes: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Hit:
    """One detection: its score, and whether it is the first on a part of its label."""

    score: float
    is_right: bool


@pytest.fixture(scope="module")
def scenes() -> Iterator[list[Scene]]:
    """Render the shop that judges; the renderer lies in the bundle and needs no torch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(shipped("models").parent))
        renderer, settings = (import_module(f"models.parts.{name}") for name in ("scene", "settings"))
        size = np.array([WIDTH, HEIGHT, WIDTH, HEIGHT], np.float32)
        yield [
            Scene(Frame(one.picture, Stamp(index, 0, 0, 0.0)), one.boxes / size, one.labels)
            for index, one in enumerate(renderer.rendered(settings.OTHER_SHOP, PICTURES, SEED))
        ]


def doubtful(bundle: Bundle) -> Bundle:
    """Give the bundle with a least score that leaves the doubtful ones in."""
    output = bundle.manifest.output.model_copy(update={"min_score": DOUBTFUL})
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"output": output}))


def told(name: str, scenes: Sequence[Scene]) -> list[Detections]:
    variant = next(variant for variant in BUNDLE.manifest.variant if variant.id == name)
    model = open_rung(doubtful(BUNDLE), Rung(variant, "cpu", 1, "chosen", "under test"))
    ask, answers = answering(model), []
    for scene in scenes:
        answer = ask(scene.frame)
        assert isinstance(answer, Detections)
        answers.append(answer)
    model.engine.close()
    return answers


def overlaps(box: Sequence[float], others: np.ndarray) -> np.ndarray:
    """Give the IoU with each of (n, 4)."""
    mine = np.asarray(box, np.float32)
    low, high = np.maximum(mine[:2], others[:, :2]), np.minimum(mine[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    return np.asarray(shared / ((mine[2:] - mine[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared))


def hits(answer: Detections, scene: Scene, label: int) -> Iterator[Hit]:
    """Judge one label's detections on one picture, the surest first; what lies on an unclear part counts neither way (PASCAL VOC)."""
    wanted, unclear = scene.boxes[scene.labels == label], scene.boxes[scene.labels == UNCLEAR]
    taken: set[int] = set()
    for item in sorted((item for item in answer.items if item.label == LABELS[label]), key=lambda item: -item.score):
        found = overlaps(item.box, wanted)
        best = int(found.argmax()) if len(found) else -1
        is_right = best >= 0 and found[best] >= ON_IT and best not in taken
        if is_right:
            taken.add(best)
        if is_right or not (overlaps(item.box, unclear) >= ON_IT).any():
            yield Hit(item.score, bool(is_right))


def average_precision(answers: Sequence[Detections], scenes: Sequence[Scene], label: int) -> float:
    """Give the area under precision over recall, over all points of the curve (PASCAL VOC 2010 and later)."""
    found = [hit for answer, scene in zip(answers, scenes, strict=True) for hit in hits(answer, scene, label)]
    right = np.array([hit.is_right for hit in sorted(found, key=lambda hit: -hit.score)])
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[right].sum() / sum((scene.labels == label).sum() for scene in scenes))


def true(scene: Scene, shift: int = 0) -> Detections:
    """Give what a detector should find, its labels shifted by so many."""
    clear = [(box, label) for box, label in zip(scene.boxes, scene.labels, strict=True) if label != UNCLEAR]
    names = [LABELS[(label + shift) % len(LABELS)] for _, label in clear]
    return Detections(
        tuple(Detection(name, 0.9, tuple(map(float, box))) for name, (box, _) in zip(names, clear, strict=True))
    )


def test_both_sizes_have_the_variants_that_every_shipped_network_has() -> None:
    precisions = ("tflite-fp32", "tflite-int8", "tflite-dynamic", "onnx-fp32", "onnx-int8", "onnx-fp16")
    assert set(VARIANTS) == {f"{size}-{one}" for size in ("large", "small") for one in precisions}


def test_the_yardstick_knows_perfection_and_a_wrong_label(scenes: list[Scene]) -> None:
    perfect, swapped = ([true(scene, shift) for scene in scenes] for shift in (0, 1))
    assert [average_precision(perfect, scenes, label) for label in range(len(LABELS))] == [1.0] * len(LABELS)
    assert max(average_precision(swapped, scenes, label) for label in range(len(LABELS))) < 0.05


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_finds_nine_tenths_in_a_shop_that_training_never_saw(scenes: list[Scene], name: str) -> None:
    answers = told(name, scenes)
    found = [average_precision(answers, scenes, label) for label in range(len(LABELS))]
    assert np.mean(found) >= 0.90, dict(zip(LABELS, found, strict=True))
