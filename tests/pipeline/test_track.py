from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.result import Detection, Detections, Output
from edged.pipeline.track import Following, Tracker
from fakes.results import anomaly

FPS = 10.0


def box(x: float, y: float, side: float = 0.1, label: str = "person") -> Detection:
    return Detection(label, 0.9, (x - side / 2, y - side / 2, x + side / 2, y + side / 2))


def numbers(output: Output) -> list[int | None]:
    assert isinstance(output, Detections)
    return [item.track for item in output.items]


def followed(tracker: Tracker, *frames: list[Detection], fps: float = FPS) -> list[list[int | None]]:
    return [numbers(tracker.follow(Detections(tuple(items)), index / fps)) for index, items in enumerate(frames)]


def test_an_object_gets_its_number_once_it_was_seen_three_times() -> None:
    assert followed(Tracker(), *[[box(0.5, 0.5)]] * 5) == [[None], [None], [1], [1], [1]]


def test_what_flickers_up_gets_none() -> None:
    frames = [[box(0.5, 0.5)], [box(0.5, 0.5)], [], [box(0.5, 0.5)], [box(0.5, 0.5)], [box(0.5, 0.5)]]
    assert followed(Tracker(), *frames) == [[None], [None], [], [None], [None], [1]]


def test_a_detection_keeps_everything_but_its_number() -> None:
    tracker = Tracker(Following(confirm=1))
    got = tracker.follow(Detections((box(0.5, 0.5),)), 0.0)
    assert isinstance(got, Detections)
    assert (got.items[0].label, got.items[0].box, got.items[0].track) == ("person", box(0.5, 0.5).box, 1)


def test_two_who_pass_each_other_keep_their_numbers() -> None:
    # They come within a quarter of a side of each other, and are detected in any order.
    ways = [[box(0.2 + 0.03 * step, 0.5), box(0.8 - 0.03 * step, 0.575)] for step in range(20)]
    told = followed(Tracker(), *[way if step % 2 else way[::-1] for step, way in enumerate(ways)])
    by_person = [row if step % 2 else row[::-1] for step, row in enumerate(told)]
    assert len({tuple(row) for row in by_person[2:]}) == 1
    assert sorted(by_person[-1], key=str) == [1, 2]


def test_one_who_is_missed_for_half_a_second_while_walking_is_the_same() -> None:
    frames = [[] if 8 <= step < 13 else [box(0.1 + 0.04 * step, 0.5)] for step in range(20)]
    told = followed(Tracker(), *frames)
    assert [row for row in told[2:] if row] == [[1]] * 13


def test_one_who_comes_back_after_longer_is_another() -> None:
    frames = [[] if 5 <= step < 17 else [box(0.5, 0.5)] for step in range(22)]
    assert followed(Tracker(), *frames)[-1] == [2]


def test_another_label_is_another_object() -> None:
    frames = [[box(0.5, 0.5, label="person" if step < 4 else "dog")] for step in range(8)]
    assert followed(Tracker(), *frames) == [[None], [None], [1], [1], [None], [None], [2], [2]]


def test_when_time_begins_anew_so_do_the_objects_but_no_number_comes_twice() -> None:
    tracker = Tracker(Following(confirm=1))
    assert numbers(tracker.follow(Detections((box(0.5, 0.5),)), 9.0)) == [1]
    assert numbers(tracker.follow(Detections((box(0.5, 0.5),)), 0.0)) == [2]


def test_answers_that_hold_no_detections_are_given_back() -> None:
    answer = anomaly(1.0)
    assert Tracker().follow(answer, 0.0) is answer


def test_boxes_without_extent_are_borne() -> None:
    assert followed(Tracker(), *[[box(0.5, 0.5, side=0.0)]] * 4)[-1] == [None]


def test_the_tracker_says_what_it_follows() -> None:
    tracker = Tracker()
    followed(tracker, *[[box(0.2, 0.2), box(0.8, 0.8)]] * 3)
    assert (repr(tracker), tracker.count) == ("<Tracker: 2 followed, 2 confirmed so far>", 2)


@pytest.mark.parametrize("fps", [2.0, 5.0, 30.0])
def test_an_object_on_a_curve_keeps_its_number_at_any_frame_rate(fps: float) -> None:
    # Half a turn in four seconds: 0.24 of the picture a second for a box of 0.3.
    times = np.arange(0, 4, 1 / fps)
    frames = [[box(0.5 + 0.3 * math.cos(t * math.pi / 4), 0.5 + 0.3 * math.sin(t * math.pi / 4), 0.3)] for t in times]
    assert {row[0] for row in followed(Tracker(), *frames, fps=fps)[2:]} == {1}


@given(st.lists(st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)), max_size=6), max_size=12))
def test_in_one_frame_no_number_stands_twice(frames: list[list[tuple[float, float]]]) -> None:
    for row in followed(Tracker(Following(confirm=1)), *[[box(x, y) for x, y in places] for places in frames]):
        given_out = [number for number in row if number is not None]
        assert len(given_out) == len(set(given_out)) == len(row)


@given(st.permutations(range(5)))
def test_the_order_of_the_detections_does_not_matter(order: list[int]) -> None:
    places = [box(0.1 + 0.2 * index, 0.5) for index in range(5)]
    tracker = Tracker(Following(confirm=1))
    first = numbers(tracker.follow(Detections(tuple(places)), 0.0))
    again = numbers(tracker.follow(Detections(tuple(places[index] for index in order)), 0.1))
    assert again == [first[index] for index in order]
