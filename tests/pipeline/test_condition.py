from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.config.count import Count
from edged.domain.result import (
    Anomaly,
    Detection,
    Detections,
    Further,
    Keypoint,
    Keypoints,
    Mask,
    Output,
    Segment,
    Value,
    Values,
)
from edged.pipeline.condition import Moving, Then, When, centre, inside
from edged.pipeline.paths import Crossing, Dwell
from fakes.results import anomaly, classes, detections

LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
ARROW = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (1.0, 1.0), (0.0, 1.0))
LEFT, RIGHT = (0.1, 0.4, 0.3, 0.6), (0.7, 0.4, 0.9, 0.6)


def test_only_the_named_label_counts() -> None:
    assert [When(label="cat")(detections(label)) for label in ("cat", "dog")] == [True, False]


def test_a_score_at_the_minimum_counts() -> None:
    assert [When(min_score=0.6)(detections("cat", score=score)) for score in (0.6, 0.59)] == [True, False]


def test_a_detection_is_in_the_zone_with_the_centre_of_its_box() -> None:
    assert [When(zone=LEFT_HALF)(detections("cat", box=box)) for box in (LEFT, RIGHT)] == [True, False]


def test_a_class_is_in_no_zone() -> None:
    assert not When(zone=LEFT_HALF)(classes(("cat", 0.9)))


@pytest.mark.parametrize(("count", "holds"), [("== 2", True), (">= 3", False), ("< 3", True), ("!= 2", False)])
def test_the_count_is_of_what_passes_the_other_conditions(count: str, holds: bool) -> None:
    seen = Detections((*detections("cat", "cat").items, *detections("dog").items))
    assert When(label="cat", count=Count.parse(count))(seen) is holds


@pytest.mark.parametrize(
    ("when", "output", "holds"),
    [
        (When(), anomaly(2.0), True),
        (When(), anomaly(0.5), False),
        (When(anomaly=True), anomaly(2.0), True),
        (When(anomaly=False), anomaly(0.5), True),
        (When(anomaly=False), anomaly(2.0), False),
        (When(anomaly=True, min_value=3.0), anomaly(2.0), False),
        (When(min_value=0.3), anomaly(0.5), True),
        (When(min_value=0.3), anomaly(0.2), False),
        (When(max_value=0.3), anomaly(0.5), False),
        (When(min_value=0.1, max_value=0.6, anomaly=False), anomaly(0.5), True),
    ],
)
def test_an_anomaly_is_judged_by_its_verdict_and_score(when: When, output: Anomaly, holds: bool) -> None:
    assert when(output) is holds


@pytest.mark.parametrize(("point", "is_in"), [((0.2, 0.5), True), ((0.9, 0.5), False), ((0.9, 0.05), True)])
def test_a_zone_may_have_a_notch(point: tuple[float, float], is_in: bool) -> None:
    assert inside(ARROW, point) is is_in


@given(x=st.floats(0.01, 0.99), y=st.floats(0.01, 0.99))
def test_a_point_is_in_exactly_one_half_of_a_split_square(x: float, y: float) -> None:
    right_half = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))
    assert inside(LEFT_HALF, (x, y)) != inside(right_half, (x, y))


def test_the_centre_of_a_box_is_its_middle() -> None:
    assert centre((0.0, 0.2, 1.0, 0.4)) == pytest.approx((0.5, 0.3))


POSE = Keypoints((Keypoint("nose", 0.9, 0.2, 0.5), Keypoint("left_wrist", 0.4, 0.8, 0.5)))
READING = Values((Value("bar", 1.5), Value("rpm", 900.0)))
SCENE = Mask(10, 10, (0.0, 0.0, 1.0, 1.0), (Segment("bird", 0.4, (0, 40)), Segment("dog", 0.1, (90, 10))))


@pytest.mark.parametrize(
    ("when", "output", "holds"),
    [
        (When(label="left_wrist"), POSE, True),
        (When(label="left_wrist", min_score=0.5), POSE, False),
        (When(label="nose", zone=LEFT_HALF), POSE, True),
        (When(label="left_wrist", zone=LEFT_HALF), POSE, False),
        (When(count=Count("==", 2)), POSE, True),
        (When(label="bar", min_value=1.5), READING, True),
        (When(label="bar", max_value=1.4), READING, False),
        (When(min_value=1.0, count=Count("==", 2)), READING, True),
        (When(zone=LEFT_HALF), READING, False),
        (When(label="bird"), SCENE, True),
        (When(label="bird", min_value=0.5), SCENE, False),
        (When(label="dog", max_value=0.2), SCENE, True),
        (When(label="cat"), SCENE, False),
    ],
)
def test_points_values_and_classes_of_a_mask_are_counted(when: When, output: Output, holds: bool) -> None:
    assert when(output) is holds


def _at(x: float, label: str = "person") -> Detections:
    return Detections((Detection(label, 0.9, (x - 0.1, 0.4, x + 0.1, 0.6), track=1),))


def test_a_rule_counts_who_of_those_it_looks_for_crossed_a_line() -> None:
    line = ((0.5, 0.0), (0.5, 1.0))
    person, dog = (Moving(When(label=label), (Crossing(line),)) for label in ("person", "dog"))
    way = [_at(0.4), _at(0.6), _at(0.7)]
    assert [person(seen, float(now)) for now, seen in enumerate(way)] == [False, True, False]
    assert [dog(seen, float(now)) for now, seen in enumerate(way)] == [False] * 3


def test_a_rule_counts_who_has_stayed_in_the_zone() -> None:
    moving = Moving(When(zone=LEFT_HALF), (Dwell(2.0),))
    stays = [moving(_at(0.2), float(now)) for now in range(4)]
    leaves = [moving(_at(0.8), 4.0), moving(_at(0.2), 6.5)]
    assert (stays, leaves) == ([False, False, True, True], [False, False])


def test_only_detections_move() -> None:
    assert not Moving(When(), (Dwell(0.1),))(POSE, 0.0)


def wearing(*labels: str) -> Detections:
    """Give a person of whom the model ``helmet`` said these labels, and one at whom it did not look."""
    (person,) = detections("person").items
    said = Further("helmet", classes(*((label, 0.9) for label in labels)))
    return Detections((replace(person, then=(said,)), person))


@pytest.mark.parametrize(
    ("then", "output", "holds"),
    [
        (Then("helmet", "helmet"), wearing("helmet"), True),
        (Then("helmet", "helmet"), wearing("cap"), False),
        (Then("helmet", "helmet", min_score=0.95), wearing("helmet"), False),
        (Then("helmet"), wearing("cap"), True),
        (Then("helmet", "helmet", absent=True), wearing("cap"), True),
        (Then("helmet", "helmet", absent=True), wearing("helmet"), False),
        (Then("vest", "vest", absent=True), wearing("helmet"), False),
        (Then("helmet", "helmet", absent=True), detections("person"), False),
    ],
)
def test_what_a_further_model_said_counts_and_not_looked_at_is_evidence_of_nothing(
    then: Then, output: Detections, holds: bool
) -> None:
    assert When(label="person", then=then)(output) is holds


def test_only_detections_are_looked_at_by_further_models() -> None:
    assert not When(then=Then("helmet"))(classes(("person", 0.9)))
