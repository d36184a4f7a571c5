from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.postprocess.nms import MAX_CANDIDATES, overlap, suppress

BOXES = st.lists(
    st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(0, 20)] * 2, st.integers(0, 100), st.integers(0, 2)), max_size=30
)


def _arrays(boxes: list[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(boxes, np.float32).reshape(-1, 6)
    return (
        np.concatenate((table[:, :2], table[:, :2] + table[:, 2:4]), axis=1),
        table[:, 4],
        table[:, 5].astype(np.intp),
    )


@given(boxes=BOXES, iou=st.floats(0.05, 1.0))
def test_what_stays_does_not_overlap_and_what_goes_overlaps_something_better(
    boxes: list[tuple[int, ...]], iou: float
) -> None:
    corners, scores, classes = _arrays(boxes)
    kept = suppress(corners, scores, classes, iou=iou, limit=1000).tolist()
    assert sorted(kept, key=lambda place: (-scores[place], place)) == kept
    for place in range(len(boxes)):
        better = [
            k for k in kept if k != place and classes[k] == classes[place] and (scores[k], -k) > (scores[place], -place)
        ]
        rivals = overlap(corners[place], corners[better]) > iou
        assert bool(rivals.any()) == (place not in kept)


def test_classes_do_not_suppress_each_other() -> None:
    corners, scores, classes = _arrays([(0, 0, 10, 10, 90, 0), (0, 0, 10, 10, 80, 1), (0, 0, 10, 10, 70, 0)])
    assert suppress(corners, scores, classes, iou=0.5, limit=10).tolist() == [0, 1]


def test_at_most_the_limit_is_kept() -> None:
    corners, scores, classes = _arrays([(index * 30, 0, 10, 10, index, 0) for index in range(5)])
    assert suppress(corners, scores, classes, iou=0.5, limit=2).tolist() == [4, 3]


def test_thousands_of_candidates_are_cut_to_the_best() -> None:
    corners, scores, classes = _arrays([(index * 30, 0, 10, 10, index, 0) for index in range(MAX_CANDIDATES + 50)])
    kept = suppress(corners, scores, classes, iou=0.5, limit=10_000)
    assert kept.tolist() == list(range(MAX_CANDIDATES + 49, 49, -1))


@pytest.mark.parametrize(
    ("other", "expected"),
    [((0, 0, 2, 2), 1.0), ((1, 0, 3, 2), 1 / 3), ((2, 0, 4, 2), 0.0), ((0, 0, 1, 1), 0.25), ((1, 1, 1, 1), 0.0)],
)
def test_overlap_is_the_common_share_of_the_union(other: tuple[int, ...], expected: float) -> None:
    got = overlap(np.array([0, 0, 2, 2], np.float32), np.array([other], np.float32))
    assert got.tolist() == pytest.approx([expected])


def test_two_empty_boxes_do_not_overlap() -> None:
    assert overlap(np.zeros(4, np.float32), np.zeros((1, 4), np.float32)).tolist() == [0.0]
