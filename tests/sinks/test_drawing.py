from __future__ import annotations

import numpy as np
import pytest

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
)
from edged.sinks.drawing import drawn

GREY = np.full((180, 320, 3), 128, np.uint8)
CLASSES = Classes((ClassScore("scratched", 0.9), ClassScore("whole", 0.1)))


def boxed(*box: float) -> Detections:
    x1, y1, x2, y2 = box
    return Detections((Detection("scratched", 0.91, (x1, y1, x2, y2)),))


@pytest.mark.parametrize(
    "found", [boxed(0.0, 0.0, 0.2, 0.3), boxed(0.95, 0.5, 1.0, 0.6), boxed(0.4, 0.4, 0.6, 0.6), CLASSES]
)
def test_a_label_is_dark_on_a_plate_of_its_own_and_all_of_it_is_on_the_picture(found: Output) -> None:
    picture = drawn(GREY, found)

    rows, columns = np.nonzero(picture.max(axis=2) < 60)
    text = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert text.shape[0] >= 6
    assert text.shape[1] > 50
    assert not (text == GREY[0, 0]).all(axis=2).any()


def test_a_pose_is_a_point_each() -> None:
    pose = Keypoints((Keypoint("nose", 0.9, 0.25, 0.5), Keypoint("left-eye", 0.9, 0.75, 0.5)))

    is_changed = (drawn(GREY, pose) != GREY).any(axis=2)

    assert is_changed[90, 80]
    assert is_changed[90, 240]
    assert is_changed.sum() < 100


def test_a_mask_tints_what_it_covers_and_nothing_else() -> None:
    left_half_below = Mask(2, 2, (0.0, 0.0, 1.0, 1.0), (Segment("belt", 0.25, (2, 1)),))

    is_changed = (drawn(GREY, left_half_below) != GREY).any(axis=2)

    assert is_changed[95:, :160].all()
    assert not is_changed[95:, 160:].any()
    assert not is_changed[40:90].any()


def test_a_number_has_no_place_on_a_picture() -> None:
    assert np.array_equal(drawn(GREY, Anomaly(3.0, 1.0)), GREY)


def test_the_picture_that_was_given_stays_as_it_was() -> None:
    before = GREY.copy()

    drawn(GREY, boxed(0.1, 0.1, 0.5, 0.5), [[(0.1, 0.1), (0.9, 0.1), (0.9, 0.9)]])

    assert np.array_equal(before, GREY)
