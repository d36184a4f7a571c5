from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edged.domain.bundle import Golden
from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.result import Anomaly, Output
from edged.domain.tensor import Array
from edged.update.trial import read_answer, try_golden
from fakes.results import anomaly, classes, detections

GOLDEN = Golden(samples="golden/")


def same(expected: Output, got: Output, _golden: Golden) -> str | None:
    return None if expected == got else f"got {got}, expected {expected}"


def no_picture(file: Path) -> Array:
    raise AssertionError(file)


def sample(folder: Path, name: str, answer: object, data: Array | None = None) -> None:
    place = folder / "golden"
    place.mkdir(exist_ok=True)
    (place / f"{name}.json").write_text(json.dumps(answer))
    if data is None:
        (place / f"{name}.png").write_bytes(b"a picture")
    else:
        np.save(place / f"{name}.npy", data)


def score(frame: Frame) -> Output:
    return Anomaly(float(frame.data.mean()), 1.0)


def test_a_candidate_that_reproduces_every_window_passes(tmp_path: Path) -> None:
    sample(tmp_path, "a", {"anomaly": {"score": 2.0}}, np.full((4, 3), 2.0, np.float32))
    sample(tmp_path, "b", {"anomaly": {"score": 0.0}}, np.zeros((4, 3), np.float32))
    assert try_golden(tmp_path, GOLDEN, score, same, no_picture) is None


def test_the_first_sample_that_is_not_reproduced_is_named(tmp_path: Path) -> None:
    sample(tmp_path, "a", {"anomaly": {"score": 2.0}}, np.full((4, 3), 2.0, np.float32))
    sample(tmp_path, "b", {"anomaly": {"score": 9.0}}, np.zeros((4, 3), np.float32))
    why = try_golden(tmp_path, GOLDEN, score, same, no_picture)
    assert why is not None
    assert why.startswith("golden sample b.npy: got Anomaly(score=0.0")


def test_pictures_are_read_by_whoever_can(tmp_path: Path) -> None:
    sample(tmp_path, "cat", {"classes": [{"label": "cat", "score": 0.9}]})
    seen: list[str] = []

    def read_picture(file: Path) -> Array:
        seen.append(file.name)
        return np.zeros((2, 2, 3), np.uint8)

    assert try_golden(tmp_path, GOLDEN, lambda _frame: classes(("cat", 0.9)), same, read_picture) is None
    assert seen == ["cat.png"]


def test_a_samples_threshold_is_the_models_own_of_today(tmp_path: Path) -> None:
    sample(tmp_path, "a", {"anomaly": {"score": 2.0, "threshold": 5.0}}, np.full((1, 1), 2.0, np.float32))
    assert try_golden(tmp_path, GOLDEN, score, same, no_picture) is None


def test_each_kind_of_answer_is_read_as_results_carry_it(tmp_path: Path) -> None:
    documents = {
        "d": {"detections": [{"label": "cat", "score": 0.9, "box": [0, 0, 1, 1]}]},
        "c": {"classes": [{"label": "cat", "score": 0.9}]},
        "a": {"anomaly": {"score": 2.0, "threshold": 1.0}},
    }
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    assert [read_answer(tmp_path / f"{name}.json") for name in documents] == [
        detections("cat"),
        classes(("cat", 0.9)),
        anomaly(2.0),
    ]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"detections": [{}]}', '{"anomaly": 3}'])
def test_an_answer_that_is_none_is_the_bundles_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BundleError, match=r"cannot read golden answer a\.json"):
        read_answer(tmp_path / "a.json")


def test_an_answer_that_is_missing_is_the_bundles_fault(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read golden answer a\.json"):
        read_answer(tmp_path / "a.json")
