from __future__ import annotations

import pytest

from edged.domain.bundle import Golden
from edged.domain.result import (
    Anomaly,
    Classes,
    ClassScore,
    Detection,
    Detections,
    Keypoint,
    Keypoints,
    Mask,
    Output,
    Segment,
    Value,
    Values,
)
from edged.pipeline.postprocess.agree import agrees

GOLDEN = Golden(samples="golden", score_tolerance=0.1, min_iou=0.8)
DOG = Detection("dog", 0.8, (0.0, 0.0, 0.5, 0.5))
CAT = Detection("cat", 0.6, (0.5, 0.5, 1.0, 1.0))


WHOLE = (0.0, 0.0, 1.0, 1.0)


def _points(*items: tuple[str, float, float, float]) -> Keypoints:
    return Keypoints(tuple(Keypoint(*item) for item in items))


def _values(*values: float) -> Values:
    return Values(tuple(Value(str(number), value) for number, value in enumerate(values)))


def _mask(*runs: int, width: int = 10, label: str = "bird") -> Mask:
    return Mask(width, 10, WHOLE, (Segment(label, sum(runs[1::2]) / (10 * width), runs),))


def _dog(score: float = 0.8, x2: float = 0.5) -> Detection:
    return Detection("dog", score, (0.0, 0.0, x2, 0.5))


@pytest.mark.parametrize(
    ("expected", "got", "reason"),
    [
        (Detections((DOG, CAT)), Detections((CAT, DOG)), None),
        (Detections((DOG,)), Detections((_dog(0.75, 0.52),)), None),
        (
            Detections((DOG,)),
            Detections(()),
            "no dog at [0.000, 0.000, 0.500, 0.500] was found, expected one of score 0.800",
        ),
        (Detections((DOG,)), Detections((_dog(x2=0.9),)), "the dog lies at [0.000, 0.000, 0.900, 0.500], expected"),
        (Detections((DOG,)), Detections((_dog(0.6),)), "scores 0.600, expected 0.800"),
        (Detections((DOG, DOG)), Detections((DOG,)), "no dog"),
        (Detections((DOG,)), Detections((DOG, Detection("cat", 0.95, CAT.box))), "a cat of score 0.950 was found"),
        (Detections((DOG,)), Detections((DOG, CAT)), None),
        (Detections(()), Detections(()), None),
        (Detections(()), Detections((CAT,)), "a cat of score 0.600 was found"),
        (Classes((ClassScore("dog", 0.8),)), Classes((ClassScore("dog", 0.75), ClassScore("cat", 0.1))), None),
        (
            Classes((ClassScore("dog", 0.8),)),
            Classes((ClassScore("cat", 0.8),)),
            "the answer is cat (0.800), expected dog (0.800)",
        ),
        (Classes((ClassScore("dog", 0.8),)), Classes((ClassScore("dog", 0.6),)), "dog scores 0.600, expected 0.800"),
        (Classes((ClassScore("dog", 0.8),)), Classes(()), "no class was found, expected dog"),
        (Classes(()), Classes(()), None),
        (Classes(()), Classes((ClassScore("dog", 0.8),)), "the answer is dog, expected no class"),
        (Anomaly(10.0, 20.0), Anomaly(10.9, 20.0), None),
        (Anomaly(10.0, 20.0), Anomaly(11.1, 20.0), "the score is 11.1, expected 10"),
        (Anomaly(19.9, 20.0), Anomaly(20.1, 20.0), "score 20.1 is an anomaly, expected 19.9"),
        (Anomaly(20.1, 20.0), Anomaly(19.9, 20.0), "score 19.9 is no anomaly, expected 20.1"),
        (Anomaly(0.0, 1.0), Anomaly(0.0, 1.0), None),
        (Anomaly(0.0, 1.0), Classes(()), "the answer is Classes, expected Anomaly"),
        (_points(("nose", 0.8, 0.5, 0.5)), _points(("nose", 0.75, 0.54, 0.46)), None),
        (
            _points(("nose", 0.8, 0.5, 0.5)),
            _points(("nose", 0.8, 0.5, 0.56)),
            "the nose lies at 0.500, 0.560, expected",
        ),
        (_points(("nose", 0.8, 0.5, 0.5)), _points(("nose", 0.6, 0.5, 0.5)), "the nose scores 0.600, expected 0.800"),
        (_points(("nose", 0.8, 0.5, 0.5)), _points(), "no nose was found, expected one of score 0.800"),
        (_points(), _points(("nose", 0.8, 0.5, 0.5)), "a nose of score 0.800 was found, expected none"),
        (_points(), _points(("nose", 0.05, 0.5, 0.5)), None),
        (_values(0.5, 1000.0), _values(0.59, 1099.0), None),
        (_values(0.5), _values(0.61), "0 is 0.61, expected 0.5"),
        (_values(1000.0), _values(1101.0), "0 is 1101, expected 1000"),
        (_values(1.0), _values(1.0, 2.0), "the values are 0, 1, expected 0"),
        (_mask(10, 50), _mask(10, 55), None),
        (_mask(10, 50), _mask(40, 50), "the bird overlaps by 0.250, expected 0.8"),
        (_mask(10, 50), _mask(10, 50, label="dog"), "the bird overlaps by 0.000"),
        (_mask(10, 50), _mask(10, 50, width=20), "the mask has 20 by 10 pixels, expected 10 by 10"),
        (_mask(10, 50), Mask(10, 10, WHOLE, (*_mask(10, 50).items, Segment("dog", 0.0, (0, 0)))), None),
    ],
)
def test_answers_are_compared(expected: Output, got: Output, reason: str | None) -> None:
    said = agrees(expected, got, GOLDEN)
    assert said is None if reason is None else said is not None and reason in said
