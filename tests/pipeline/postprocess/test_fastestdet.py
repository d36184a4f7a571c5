from __future__ import annotations

import numpy as np
import pytest

from edged.domain.errors import BundleError
from edged.domain.tensor import TensorSpec
from edged.pipeline.postprocess import fastestdet
from fakes.binding import bound, picture

SHAPE = (1, 7, 4, 8)
SPEC = TensorSpec("y", SHAPE, "float32")


def test_a_cell_becomes_a_box_and_objectness_and_class_a_score() -> None:
    grid = np.zeros(SHAPE, np.float32)
    # Row 1, column 2: the centre half a cell on, the sides a quarter of the picture.
    half, quarter = np.arctanh(0.5), np.log(1 / 3)
    grid[0, :, 1, 2] = (0.9, half, half, quarter, quarter, 0.2, 0.8)
    decoder = fastestdet.bind(bound([SPEC], decoder="fastestdet", labels=("person", "dog"), min_score=0.5))
    (found,) = decoder.decode([grid], [], picture()).items
    assert (found.label, found.score) == ("dog", pytest.approx(0.9**0.6 * 0.8**0.4))
    centre = (2.5 / 8, 1.5 / 4)
    assert found.box == pytest.approx((centre[0] - 1 / 8, centre[1] - 1 / 8, centre[0] + 1 / 8, centre[1] + 1 / 8))


def test_negative_numbers_are_no_score() -> None:
    decoder = fastestdet.bind(bound([SPEC], decoder="fastestdet"))
    assert decoder.decode([np.full(SHAPE, -1.0, np.float32)], [], picture()).items == ()


@pytest.mark.parametrize("shapes", [[], [(1, 5, 4, 8)], [(1, 85, 22)], [SHAPE, SHAPE], [(1, 85, 22, -1)]])
def test_other_outputs_are_refused(shapes: list[tuple[int, ...]]) -> None:
    specs = [TensorSpec("y", shape, "float32") for shape in shapes]
    with pytest.raises(BundleError, match=r"expected one output of 1 x \(5 \+ classes\) x rows x columns"):
        fastestdet.bind(bound(specs, decoder="fastestdet"))
