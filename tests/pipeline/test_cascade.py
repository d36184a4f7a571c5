from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.frame import Frame
from edged.domain.result import Box, Detection, Detections, Further, Keypoint, Keypoints, Mask, Output
from edged.pipeline.cascade import Cascade, around, placed
from fakes.results import anomaly, classes, detections, stamp

FRAME = Frame(np.arange(100 * 200 * 3, dtype=np.uint8).reshape(100, 200, 3), stamp(3.0, 7))
MIDDLE: Box = (0.25, 0.25, 0.75, 0.75)


class Second:
    """A model that says how large its crop was, and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[Frame] = []

    def __call__(self, frame: Frame) -> Output:
        self.seen.append(frame)
        height, width = frame.data.shape[:2]
        return classes((f"{width}x{height}", 1.0))


def test_the_second_model_sees_the_box_with_its_margin_and_the_frames_stamp() -> None:
    second = Second()
    found = Cascade("helmet", second, margin=0.1)(detections("person", box=MIDDLE), FRAME)
    assert isinstance(found, Detections)
    assert found.items[0].then == (Further("helmet", classes(("120x60", 1.0))),)
    assert second.seen[0].stamp == FRAME.stamp
    assert (second.seen[0].data == FRAME.data[20:80, 40:160]).all()


def test_only_what_was_asked_for_is_looked_at() -> None:
    items = (*detections("person", box=MIDDLE).items, *detections("dog", box=MIDDLE).items)
    faint = replace(items[0], score=0.3)
    found = Cascade("helmet", Second(), label="person", min_score=0.5)(Detections((*items, faint)), FRAME)
    assert isinstance(found, Detections)
    assert [len(item.then) for item in found.items] == [1, 0, 0]


def test_a_crowd_is_looked_at_up_to_a_bound_best_first() -> None:
    second = Second()
    found = Cascade("helmet", second, at_most=2)(detections("a", "b", "c", box=MIDDLE), FRAME)
    assert isinstance(found, Detections)
    assert [len(item.then) for item in found.items] == [1, 1, 0]
    assert len(second.seen) == 2


def test_two_cascades_add_to_each_other() -> None:
    first = Cascade("helmet", Second())(detections("person", box=MIDDLE), FRAME)
    both = Cascade("vest", Second())(first, FRAME)
    assert isinstance(both, Detections)
    assert [further.model for further in both.items[0].then] == ["helmet", "vest"]


def test_what_is_too_small_to_show_anything_is_not_looked_at() -> None:
    found = Cascade("helmet", Second(), margin=0.0)(detections("person", box=(0.5, 0.5, 0.5, 0.6)), FRAME)
    assert isinstance(found, Detections)
    assert found.items[0].then == ()


def test_an_answer_without_boxes_passes_as_it_is() -> None:
    assert Cascade("helmet", Second())(anomaly(0.5), FRAME) == anomaly(0.5)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (detections("a", box=(0.0, 0.5, 1.0, 1.0)), detections("a", box=(0.25, 0.5, 0.75, 0.75))),
        (Keypoints((Keypoint("nose", 1.0, 0.5, 0.0),)), Keypoints((Keypoint("nose", 1.0, 0.5, 0.25),))),
        (Mask(2, 2, (0.0, 0.0, 1.0, 1.0), ()), Mask(2, 2, MIDDLE, ())),
        (classes(("a", 1.0)), classes(("a", 1.0))),
    ],
)
def test_places_in_the_crop_become_places_in_the_frame(said: Output, expected: Output) -> None:
    assert placed(said, MIDDLE) == expected


sides = st.floats(0, 1)


@given(st.tuples(sides, sides, sides, sides), st.floats(0, 1))
def test_a_box_with_its_margin_holds_the_box_and_stays_in_the_frame(corners: Box, margin: float) -> None:
    x1, x2 = sorted((corners[0], corners[2]))
    y1, y2 = sorted((corners[1], corners[3]))
    wide = around((x1, y1, x2, y2), margin)
    assert 0 <= wide[0] <= x1
    assert 0 <= wide[1] <= y1
    assert x2 <= wide[2] <= 1
    assert y2 <= wide[3] <= 1


def test_a_detection_says_nothing_further_by_itself() -> None:
    assert Detection("a", 1.0, MIDDLE).then == ()
