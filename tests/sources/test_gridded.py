from __future__ import annotations

from collections import Counter

import pytest

from edged.domain.errors import SourceLostError
from edged.domain.frame import Samples
from edged.domain.ports import Source
from edged.sources.gridded import gridded
from fakes.source import FakeSource, picture, samples


def read(source: Source) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    while isinstance(block := source.read(), Samples):
        assert block.stamp.source_s == block.times_s[-1]
        assert block.stamp.index == len(found) + len(block.values) - 1
        found += zip(block.times_s.tolist(), block.values[:, 0].tolist(), strict=True)
    return found


def test_samples_come_on_the_grid_and_none_is_left_behind_at_the_end() -> None:
    inner = FakeSource([samples([[1.0], [2.0]], [100.0, 104.0]), samples([[4.0], [6.0]], [110.0, 113.0])])
    assert read(gridded(inner, step_s=10.0, late_s=10.0, bridge_s=0.0)) == [(100.0, 1.0), (110.0, 3.0), (120.0, 6.0)]


def test_a_block_is_stamped_as_the_samples_that_settled_it() -> None:
    inner = FakeSource([samples([[1.0]], [101.0], mono_ns=5), samples([[1.0]], [111.0], mono_ns=7)])
    block = gridded(inner, step_s=10.0, late_s=0.0, bridge_s=0.0).read()
    assert block is not None
    assert (block.stamp.mono_ns, block.stamp.source_s) == (7, 110.0)


def test_what_was_left_out_is_told_with_the_inner_sources_drops() -> None:
    inner = FakeSource([samples([[1.0], [2.0], [3.0]], [100.0, 110.0, 95.0])], Counter(malformed=2))
    source = gridded(inner, step_s=10.0, late_s=0.0, bridge_s=0.0)
    assert source.drops == {"malformed": 2}  # type: ignore[attr-defined] # a port's source need not count
    read(source)
    assert source.drops == {"malformed": 2, "late": 1}  # type: ignore[attr-defined] # as above


def test_errors_pictures_and_the_end_are_passed_on() -> None:
    inner = FakeSource([SourceLostError("cannot read on"), picture()])
    source = gridded(inner, step_s=1.0, late_s=0.0, bridge_s=0.0)
    with pytest.raises(SourceLostError):
        source.read()
    assert source.read() is not None
    assert source.read() is None
    source.close()
    assert inner.closes == 1


def test_it_says_what_lies_on_which_grid() -> None:
    source = gridded(FakeSource(), step_s=60.0, late_s=0.0, bridge_s=0.0)
    assert repr(source).startswith("<GriddedSource 0 instants, <Grid every 60 s: ")
