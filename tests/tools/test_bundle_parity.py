from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgectl.bundle.accuracy import measure
from edgectl.bundle.parity import compare
from edged.domain.errors import ConfigError
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

MIN_SCORE = 0.4


def classes(*scores: tuple[str, float]) -> Classes:
    return Classes(tuple(ClassScore(*score) for score in scores))


def box(x: float, score: float = 0.9, label: str = "nut") -> Detections:
    return Detections((Detection(label, score, (x, 0.1, x + 0.2, 0.3)),))


def failed(reference: Sequence[Output], got: Sequence[Output]) -> list[str]:
    return [figure.name for figure in compare(reference, got, MIN_SCORE).faults]


def test_one_class_of_fifty_may_differ_and_two_may_not() -> None:
    wanted = [classes(("a", 0.9), ("b", 0.1))] * 50
    other = classes(("b", 0.9), ("a", 0.1))
    assert failed(wanted, [other, *wanted[1:]]) == []
    assert failed(wanted, [other, other, *wanted[2:]]) == ["classes agree"]


def test_a_class_that_the_reference_holds_for_as_good_agrees() -> None:
    assert failed([classes(("a", 0.49), ("b", 0.47))], [classes(("b", 0.5), ("a", 0.45))]) == []


def test_boxes_elsewhere_are_refused_with_their_overlap() -> None:
    parity = compare([box(0.1)], [box(0.25)], MIN_SCORE)
    # 0.05 of 0.35 in width, and all of the height.
    assert parity.agreement == pytest.approx(1 / 7, abs=1e-3)
    assert str(parity.faults[0]) == "boxes' mean IoU 0.143, expected at least 0.9"


def test_boxes_a_little_aside_are_the_same() -> None:
    assert failed([box(0.1)], [box(0.105)]) == []


def test_a_missing_object_is_refused() -> None:
    assert failed([box(0.1), box(0.5)], [box(0.1), Detections(())]) == ["objects found"]


def test_an_object_too_many_is_refused() -> None:
    more = Detections((*box(0.1).items, *box(0.6).items))
    assert failed([box(0.1)], [more]) == ["objects too many"]


def test_an_object_that_the_reference_is_not_sure_of_counts_neither_way() -> None:
    faint = Detections((*box(0.1).items, *box(0.6, 0.45).items))
    assert failed([faint], [box(0.1)]) == []
    assert failed([box(0.1)], [faint]) == []


def test_samples_on_which_nothing_is_found_judge_nobody() -> None:
    with pytest.raises(ConfigError, match="finds nothing sure on any of 2; give samples that show"):
        compare([Detections(())] * 2, [Detections(())] * 2, MIN_SCORE)


def test_a_point_out_of_place_is_refused() -> None:
    def points(x: float) -> Keypoints:
        return Keypoints((Keypoint("nose", 0.9, x, 0.5),))

    assert failed([points(0.5)], [points(0.54)]) == []
    assert failed([points(0.5)], [points(0.56)]) == ["points in place"]


def test_masks_are_held_to_nine_tenths_of_overlap() -> None:
    def mask(pixels: int) -> Mask:
        return Mask(10, 10, (0.0, 0.0, 1.0, 1.0), (Segment("cat", pixels / 100, (0, pixels)),))

    assert failed([mask(50)], [mask(46)]) == []
    assert failed([mask(50)], [mask(40)]) == ["masks' mean IoU"]


def test_masks_of_another_size_do_not_overlap() -> None:
    whole = (Segment("cat", 1.0, (0, 4)),)
    wanted, got = (Mask(width, 4 // width, (0.0, 0.0, 1.0, 1.0), whole) for width in (2, 4))
    assert failed([wanted], [got]) == ["masks' mean IoU"]


def test_anomaly_scores_keep_their_order_and_their_verdict() -> None:
    wanted = [Anomaly(score, 1.0) for score in (0.2, 0.4, 2.0, 4.0)]
    assert failed(wanted, [Anomaly(score, 1.0) for score in (0.3, 0.5, 1.9, 3.0)]) == []
    assert failed(wanted, [Anomaly(score, 1.0) for score in (0.4, 0.2, 2.0, 4.0)]) == ["scores in order"]
    assert failed(wanted, [Anomaly(score, 1.0) for score in (0.2, 0.4, 0.9, 4.0)]) == ["verdicts agree"]


def test_values_may_differ_by_a_tenth_of_what_they_spread() -> None:
    def values(*numbers: float) -> list[Output]:
        return [Values((Value("y", number),)) for number in numbers]

    assert failed(values(0, 1, 2), values(0.05, 1.05, 2.05)) == []
    assert failed(values(0, 1, 2), values(0.5, 1.5, 2.5)) == ["values agree"]


def test_accuracy_is_measured_where_the_truth_is_known() -> None:
    score = measure([classes(("a", 0.9)), classes(("b", 0.9)), classes(("a", 0.9))], [classes(("a", 1.0))] * 2 + [None])
    assert score is not None
    assert (score.metric, score.value) == ("top-1", 0.5)


def test_f1_counts_each_object_once() -> None:
    twice = Detections((*box(0.1).items, *box(0.11, 0.8).items))
    score = measure([twice], [box(0.1)])
    assert score is not None
    assert score.value == pytest.approx(2 / 3)


def test_no_truth_gives_no_accuracy() -> None:
    assert measure([box(0.1)], [None]) is None
