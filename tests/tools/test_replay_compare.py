"""Two models' answers held against each other."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from edgectl.replay.compare import Comparison, Difference, Pair, compare, various
from edged.domain.errors import ConfigError
from edged.domain.result import (
    Anomaly,
    Box,
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

LEFT: Box = (0.0, 0.0, 0.4, 0.4)
NEARLY_LEFT: Box = (0.0, 0.0, 0.4, 0.38)
RIGHT: Box = (0.5, 0.5, 0.9, 0.9)


def found(*items: tuple[str, float, Box]) -> Detections:
    return Detections(tuple(Detection(*item) for item in items))


def compared(*both: tuple[Output | None, Output | None]) -> Comparison:
    return compare([Pair(place, *pair) for place, pair in enumerate(both)])


def row(comparison: Comparison, label: str) -> dict[str, object]:
    return next(one.document() for one in comparison.rows if one.label == label)


def words(comparison: Comparison) -> Sequence[tuple[int, tuple[str, ...]]]:
    return [(one.place, one.words) for one in comparison.differences]


def test_boxes_of_one_label_that_overlap_are_one_object() -> None:
    got = compared(
        (found(("nut", 0.9, LEFT), ("bolt", 0.8, RIGHT)), found(("bolt", 0.7, RIGHT), ("nut", 0.6, NEARLY_LEFT)))
    )
    assert row(got, "nut") == {
        "label": "nut",
        "ours": 1,
        "theirs": 1,
        "both": 1,
        "agreement": 1.0,
        "iou": pytest.approx(0.95, abs=1e-4),
        "score_shift": -0.3,
        "score_difference": 0.3,
    }
    assert not got.differences


def test_what_one_alone_finds_is_a_difference_the_surest_first() -> None:
    got = compared(
        (found(("nut", 0.5, LEFT)), found()),
        (found(), found()),
        (found(("nut", 0.9, LEFT)), found(("bolt", 0.6, LEFT))),
    )
    assert words(got) == [(2, ("only A: nut 0.90", "only B: bolt 0.60")), (0, ("only A: nut 0.50",))]
    assert [one.weight for one in got.differences] == [0.9, 0.5]
    assert (row(got, "nut")["ours"], row(got, "nut")["both"], row(got, "nut")["agreement"]) == (2, 0, 0.0)
    assert got.document()["same"] == 1


def test_one_box_is_not_found_twice() -> None:
    got = compared((found(("nut", 0.9, LEFT), ("nut", 0.8, NEARLY_LEFT)), found(("nut", 0.7, LEFT))))
    assert words(got) == [(0, ("only A: nut 0.80",))]


def test_of_classes_the_best_counts() -> None:
    ours, same, other = (Classes((ClassScore(label, 0.8),)) for label in ("cat", "cat", "dog"))
    got = compared((ours, same), (ours, other), (Classes(()), other))
    assert words(got) == [(1, ("A: cat 0.80", "B: dog 0.80")), (2, ("A: none 0.00", "B: dog 0.80"))]
    assert row(got, "cat")["agreement"] == 0.5


def test_anomalies_are_compared_in_their_own_thresholds() -> None:
    got = compared((Anomaly(2.0, 1.0), Anomaly(40.0, 20.0)), (Anomaly(2.0, 1.0), Anomaly(10.0, 20.0)))
    assert row(got, "anomaly")["score_shift"] == 0.0
    assert words(got) == [(1, ("A: anomaly 2.00", "B: normal 0.50"))]


def test_keypoints_agree_where_they_lie_near() -> None:
    ours = Keypoints((Keypoint("nose", 0.9, 0.5, 0.5), Keypoint("hip", 0.9, 0.5, 0.9)))
    got = compared((ours, Keypoints((Keypoint("nose", 0.8, 0.52, 0.5), Keypoint("hip", 0.8, 0.7, 0.9)))))
    assert words(got) == [(0, ("apart: hip",))]
    assert row(got, "nose")["both"] == 1


def test_values_agree_within_what_they_spread() -> None:
    ours = [Values((Value("t", float(level)),)) for level in (0, 10, 20)]
    theirs = [Values((Value("t", level),)) for level in (0.5, 10.0, 25.0)]
    got = compared(*zip(ours, theirs, strict=True))
    assert words(got) == [(2, ("t: A 20, B 25",))]


def test_masks_agree_where_they_cover_the_same() -> None:
    ours = Mask(4, 1, LEFT, (Segment("road", 0.75, (0, 3)),))
    same = Mask(4, 1, LEFT, (Segment("road", 0.5, (0, 2)),))
    other = Mask(4, 1, LEFT, (Segment("road", 0.25, (3, 1)),))
    got = compared((ours, same), (ours, other))
    assert words(got) == [(1, ("road: overlap 0.00",))]
    assert row(got, "road")["iou"] == pytest.approx((2 / 3 + 0) / 2, abs=1e-4)


def test_masks_of_two_sizes_never_agree() -> None:
    got = compared(
        (Mask(4, 1, LEFT, (Segment("road", 1.0, (0, 4)),)), Mask(2, 1, LEFT, (Segment("road", 1.0, (0, 2)),)))
    )
    assert words(got) == [(0, ("road: overlap 0.00",))]


def test_an_unknown_result_is_a_difference_unless_both_are() -> None:
    got = compared((None, found()), (None, None), (found(), found()))
    assert words(got) == [(0, ("only the first gives no answer",))]
    assert row(got, "unknown") == {**row(got, "unknown"), "ours": 2, "theirs": 1, "both": 1}


def test_two_tasks_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="cannot compare Detections with Anomaly, expected two models of one task"):
        compared((found(), Anomaly(1.0, 2.0)))


def test_nothing_at_all_is_no_difference() -> None:
    assert compared().document() == {"inputs": 0, "same": 0, "classes": [], "differences": []}


def test_of_neighbours_that_differ_in_the_same_only_one_is_shown() -> None:
    told = [Difference(place, 0.5, (f"only B: bolt 0.{40 + place}",)) for place in range(30)]
    other = Difference(4, 0.4, ("only A: nut 0.90",))
    assert [one.place for one in various([*told, other], 12)] == [0, 11, 22, 4]
    assert len(various([*told, other], 2)) == 2
