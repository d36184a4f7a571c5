from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.bundle import ImageInput
from edged.pipeline.geometry import Placement, place

Fit = Literal["stretch", "letterbox", "center-crop"]
SIDES = st.integers(1, 4000)
FRACTIONS = st.floats(0.0, 1.0, width=32)


def _image(width: int, height: int, fit: Fit, align: Literal["center", "top-left"] = "center") -> ImageInput:
    return ImageInput(kind="image", width=width, height=height, fit=fit, align=align)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (_image(416, 416, "stretch"), Placement(768, 576, 0, 0, 768, 576, 0, 0, 416, 416)),
        (_image(416, 416, "letterbox", "top-left"), Placement(768, 576, 0, 0, 768, 576, 0, 0, 416, 312)),
        (_image(416, 416, "letterbox"), Placement(768, 576, 0, 0, 768, 576, 0, 52, 416, 312)),
        (_image(416, 416, "center-crop"), Placement(768, 576, 96, 0, 576, 576, 0, 0, 416, 416)),
        (_image(100, 400, "letterbox"), Placement(768, 576, 0, 0, 768, 576, 0, 162, 100, 75)),
    ],
)
def test_a_frame_lies_where_the_fit_says(image: ImageInput, expected: Placement) -> None:
    assert place(image, (576, 768, 3)) == expected


@given(
    fit=st.sampled_from(["stretch", "letterbox", "center-crop"]),
    align=st.sampled_from(["center", "top-left"]),
    sides=st.tuples(SIDES, SIDES, SIDES, SIDES),
    corner=st.tuples(FRACTIONS, FRACTIONS),
)
def test_a_point_goes_to_the_models_picture_and_back(
    fit: Fit, align: Literal["center", "top-left"], sides: tuple[int, int, int, int], corner: tuple[float, float]
) -> None:
    width, height, frame_width, frame_height = sides
    at = place(_image(width, height, fit, align), (frame_height, frame_width, 3))
    there = (
        (corner[0] * frame_width - at.crop_x) / at.crop_width * at.width + at.x,
        (corner[1] * frame_height - at.crop_y) / at.crop_height * at.height + at.y,
    )
    (back,) = at.fractions(np.array([there * 2], np.float32))
    assert back == pytest.approx([*corner, *corner], abs=2e-3)


@given(
    fit=st.sampled_from(["stretch", "letterbox", "center-crop"]),
    sides=st.tuples(SIDES, SIDES, SIDES, SIDES),
    box=st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 4),
)
def test_boxes_are_cut_to_the_frame(fit: Fit, sides: tuple[int, int, int, int], box: tuple[float, ...]) -> None:
    at = place(_image(sides[0], sides[1], fit), (sides[2], sides[3], 3))
    back = at.fractions(np.array([box], np.float32))
    assert ((back >= 0) & (back <= 1)).all()


@given(fit=st.sampled_from(["stretch", "letterbox", "center-crop"]), sides=st.tuples(SIDES, SIDES, SIDES, SIDES))
def test_what_is_placed_lies_inside_of_frame_and_picture(fit: Fit, sides: tuple[int, int, int, int]) -> None:
    width, height, frame_width, frame_height = sides
    at = place(_image(width, height, fit), (frame_height, frame_width, 3))
    assert 0 <= at.x <= at.x + at.width <= width
    assert 0 <= at.y <= at.y + at.height <= height
    assert 0 <= at.crop_x <= at.crop_x + at.crop_width <= frame_width
    assert 0 <= at.crop_y <= at.crop_y + at.crop_height <= frame_height
    assert min(at.width, at.height, at.crop_width, at.crop_height) > 0
