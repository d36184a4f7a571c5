"""What is masked is black before anybody sees it."""

from __future__ import annotations

import numpy as np

from edged.domain.frame import Frame
from edged.sources.mask import masked
from fakes.source import FakeSource, picture, samples

LEFT_HALF = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]


def white(height: int, width: int) -> Frame:
    return Frame(np.full((height, width, 3), 255, np.uint8), picture().stamp)


def test_pixels_inside_a_polygon_are_black_and_others_untouched() -> None:
    frame = masked(FakeSource([white(40, 60)]), [LEFT_HALF]).read()

    assert isinstance(frame, Frame)
    assert not frame.data[:, :31].any()
    assert (frame.data[:, 31:] == 255).all()


def test_a_change_of_size_is_followed() -> None:
    source = masked(FakeSource([white(40, 60), white(20, 30)]), [LEFT_HALF])

    for width in (60, 30):
        frame = source.read()
        assert isinstance(frame, Frame)
        assert not frame.data[:, : width // 2].any()
        assert frame.data[:, width // 2 + 1 :].all()


def test_several_polygons_that_overlap_are_all_black() -> None:
    whole = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]

    frame = masked(FakeSource([white(40, 60)]), [LEFT_HALF, whole]).read()

    assert isinstance(frame, Frame)
    assert not frame.data.any()


def test_without_polygons_the_source_is_its_own() -> None:
    source = FakeSource()

    assert masked(source, []) is source


def test_samples_and_the_end_pass() -> None:
    block = samples([[1.0]], [0.0])
    source = masked(FakeSource([block]), [LEFT_HALF])

    assert source.read() is block
    assert source.read() is None


def test_drops_and_close_are_the_inner_sources() -> None:
    inner = FakeSource()
    inner.drops["damaged"] = 2
    source = masked(inner, [LEFT_HALF])

    source.close()

    assert source.drops == {"damaged": 2}  # type: ignore[attr-defined]
    assert inner.closes == 1
    assert repr(source).startswith("<MaskedSource 1 polygons over")
