from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edged.domain.bundle import Golden
from edged.domain.errors import BundleError, ConfigError, EdgedError, FrameError, SourceLostError
from edged.domain.frame import Frame
from edged.domain.result import Anomaly, Keypoint, Keypoints, Mask, Output, Segment, Value, Values
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
        "k": {"keypoints": [{"label": "nose", "score": 0.9, "x": 0.5, "y": 0.25}]},
        "v": {"values": [{"label": "bar", "value": 1.5}]},
        "m": {
            "mask": {
                "width": 4,
                "height": 2,
                "box": [0, 0, 1, 1],
                "segments": [{"label": "bird", "share": 0.25, "runs": [2, 2]}],
            }
        },
    }
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    assert [read_answer(tmp_path / f"{name}.json") for name in documents] == [
        detections("cat"),
        classes(("cat", 0.9)),
        anomaly(2.0),
        Keypoints((Keypoint("nose", 0.9, 0.5, 0.25),)),
        Values((Value("bar", 1.5),)),
        Mask(4, 2, (0, 0, 1, 1), (Segment("bird", 0.25, (2, 2)),)),
    ]


TOO_LONG = (
    '{"mask": {"width": 2, "height": 2, "box": [0, 0, 1, 1], "segments": [{"label": "a", "share": 1, "runs": [0, 5]}]}}'
)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"detections": [{}]}', '{"anomaly": 3}', '{"mask": []}', TOO_LONG])
def test_an_answer_that_is_none_is_the_bundles_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BundleError, match=r"cannot read golden answer a\.json"):
        read_answer(tmp_path / "a.json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_an_answer_that_everything_would_agree_with_is_refused(tmp_path: Path, number: str) -> None:
    (tmp_path / "a.json").write_text(f'{{"anomaly": {{"score": {number}, "threshold": 1}}}}')
    with pytest.raises(BundleError, match="expected finite numbers"):
        read_answer(tmp_path / "a.json")


def test_an_answer_that_is_missing_is_the_bundles_fault(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read golden answer a\.json"):
        read_answer(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_a_window_that_cannot_be_read_is_the_bundles_fault(tmp_path: Path, content: bytes) -> None:
    sample(tmp_path, "a", {"anomaly": {"score": 1.0}}, np.zeros((4, 1), np.float32))
    (tmp_path / "golden" / "a.npy").write_bytes(content)
    with pytest.raises(BundleError, match=r"cannot read golden sample a\.npy: .*; build the bundle again"):
        try_golden(tmp_path, GOLDEN, score, same, no_picture)


def test_a_window_of_text_is_the_bundles_fault(tmp_path: Path) -> None:
    sample(tmp_path, "a", {"anomaly": {"score": 1.0}}, np.full((4, 1), "text"))
    with pytest.raises(BundleError, match=r"cannot use golden sample a\.npy: it holds <U4, expected numbers"):
        try_golden(tmp_path, GOLDEN, score, same, no_picture)


@pytest.mark.parametrize("error", [ConfigError("of shape (4, 1)"), SourceLostError("of shape (4, 1)")])
def test_a_sample_that_the_model_cannot_take_is_refused_by_name(tmp_path: Path, error: EdgedError) -> None:
    def answer(_frame: Frame) -> Output:
        raise error

    sample(tmp_path, "a", {"anomaly": {"score": 1.0}}, np.zeros((4, 1), np.float32))
    assert try_golden(tmp_path, GOLDEN, answer, same, no_picture) == "golden sample a.npy: of shape (4, 1)"


def test_a_window_that_promises_more_numbers_than_it_has_is_refused_and_takes_no_memory(tmp_path: Path) -> None:
    sample(tmp_path, "a", {"anomaly": {"score": 2.0}}, np.full((4, 3), 2.0, np.float32))
    file = tmp_path / "golden" / "a.npy"
    content = file.read_bytes()
    file.write_bytes(content.replace(b"(4, 3), }         ", b"(4000000000, 30), }", 1))
    tracemalloc.start()
    with pytest.raises(BundleError, match=r"cannot read golden sample a\.npy"):
        try_golden(tmp_path, GOLDEN, score, same, no_picture)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_an_answer_of_brackets_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(BundleError, match=r"cannot read golden answer a\.json"):
        read_answer(tmp_path / "a.json")


def test_a_window_of_no_numbers_is_the_bundles_fault(tmp_path: Path) -> None:
    sample(tmp_path, "a", {"anomaly": {"score": 2.0}}, np.full((4, 3), np.inf, np.float32))

    def refuse(_frame: Frame) -> Output:
        raise FrameError("cannot prepare window 0", code="samples-invalid")

    assert try_golden(tmp_path, GOLDEN, refuse, same, no_picture) == "golden sample a.npy: cannot prepare window 0"
