from __future__ import annotations

from edged.domain.result import Keypoint, Keypoints, Mask, Output, Segment, Value, Values
from edged.sinks.due import Due
from fakes.results import anomaly, at, classes, detections, result


def due(outputs: list[Output | None], at_least_every_s: float | None = None) -> list[bool]:
    decide = Due("changes", at_least_every_s)
    return [decide(taken) for taken in at(outputs)]


def test_all_and_none_are_what_they_say() -> None:
    assert [Due(mode)(result(detections())) for mode in ("all", "none")] == [True, False]


def test_the_first_result_is_a_change() -> None:
    assert due([detections()]) == [True]


def test_the_same_number_of_each_label_is_no_change_wherever_they_are() -> None:
    assert due([detections("cat", "dog"), detections("dog", "cat", score=0.5), detections("dog")]) == [
        True,
        False,
        True,
    ]


def test_another_top_class_is_a_change_and_another_runner_up_is_none() -> None:
    outputs: list[Output | None] = [
        classes(("a", 0.6), ("b", 0.4)),
        classes(("a", 0.7), ("c", 0.3)),
        classes(("c", 0.9)),
        classes(),
    ]
    assert due(outputs) == [True, False, True, True]


def test_an_anomaly_changes_with_its_verdict() -> None:
    assert due([anomaly(0.1), anomaly(0.2), anomaly(1.2)]) == [True, False, True]


def test_a_pose_changes_with_the_points_that_are_seen() -> None:
    nose, eye = Keypoint("nose", 0.9, 0.5, 0.5), Keypoint("left_eye", 0.9, 0.5, 0.4)
    moved = Keypoint("nose", 0.7, 0.1, 0.1)
    assert due([Keypoints((nose, eye)), Keypoints((eye, moved)), Keypoints((eye,))]) == [True, False, True]


def test_a_value_changes_with_its_second_digit() -> None:
    outputs: list[Output | None] = [Values((Value("bar", value),)) for value in (1.52, 1.54, 1.61)]
    assert due(outputs) == [True, False, True]


def test_a_mask_changes_with_the_classes_on_at_least_a_hundredth_of_it() -> None:
    outputs: list[Output | None] = [
        Mask(10, 10, (0.0, 0.0, 1.0, 1.0), tuple(Segment(label, share, (0, 1)) for label, share in pairs))
        for pairs in ([("bird", 0.4)], [("bird", 0.3), ("dog", 0.005)], [("bird", 0.3), ("dog", 0.01)])
    ]
    assert due(outputs) == [True, False, True]


def test_a_failure_is_a_change_and_so_is_its_end() -> None:
    assert due([detections(), None, None, detections()]) == [True, True, False, True]


def test_an_unchanged_result_is_due_again_after_at_least_every_s() -> None:
    assert due([detections()] * 5, at_least_every_s=2.0) == [True, False, True, False, True]
