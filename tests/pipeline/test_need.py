"""A picture is made smaller only as far as every reader allows."""

from __future__ import annotations

import pytest

from edged.domain.bundle import ImageInput
from edged.pipeline.need import Needs


def image(width: int, height: int, fit: str = "stretch") -> ImageInput:
    return ImageInput.model_validate({"kind": "image", "width": width, "height": height, "fit": fit})


def test_nothing_is_made_smaller_before_every_pipeline_has_told() -> None:
    needs = Needs(["a", "b"])
    needs.tell("a", image(96, 96))

    assert needs.reduction(1920, 1080) == 1.0


@pytest.mark.parametrize(
    ("wanted", "reduction"),
    [
        (image(300, 300), 3.6),
        (image(416, 416, "letterbox"), 1920 / 416),
        (image(224, 224, "center-crop"), 1080 / 224),
        (image(1920, 1080), 1.0),
        (image(4000, 4000), 1.0),
        (None, 1.0),
    ],
)
def test_each_way_of_fitting_needs_what_it_takes(wanted: ImageInput | None, reduction: float) -> None:
    needs = Needs(["a"])
    needs.tell("a", wanted)

    assert needs.reduction(1920, 1080) == pytest.approx(reduction, rel=0.01)


def test_the_most_demanding_reader_decides() -> None:
    needs = Needs(["a", "b"])
    needs.tell("a", image(96, 96))
    needs.tell("b", image(540, 540))

    assert needs.reduction(1920, 1080) == pytest.approx(2.0)


def test_a_new_model_is_told_anew() -> None:
    needs = Needs(["a"])
    needs.tell("a", image(96, 96))
    assert needs.reduction(1920, 1080) > 10

    needs.tell("a", image(1080, 1080))

    assert needs.reduction(1920, 1080) == 1.0


def test_a_pipeline_that_reads_nothing_asks_for_nothing() -> None:
    needs = Needs(["a", "b"])
    needs.tell("a", image(540, 540))
    needs.excuse("b")
    assert needs.reduction(1920, 1080) == pytest.approx(2.0)

    needs.excuse("a")

    assert needs.reduction(1920, 1080) == 1.0
    assert repr(needs) == "<Needs {}, not told yet []>"


def test_the_same_size_of_picture_has_the_same_answer_again() -> None:
    needs = Needs(["a"])
    needs.tell("a", image(96, 96))
    assert needs.reduction(1920, 1080) == needs.reduction(1920, 1080) > 1
