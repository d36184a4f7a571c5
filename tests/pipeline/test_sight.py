"""A camera that no longer sees is flagged after a while, and not before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edged.domain.errors import SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Array
from edged.pipeline.feed import Feed
from edged.pipeline.line import Line
from edged.pipeline.sight import BLACK_NS, FROZEN_NS, Sight
from fakes.clock import FakeClock
from fakes.source import FakeSource

SECOND_NS = 1_000_000_000
NOISE = np.random.default_rng(3)


def noisy(level: int = 100, spread: int = 20) -> Array:
    return NOISE.integers(level - spread, level + spread, (72, 128, 3)).astype(np.uint8)


def watched(pictures: list[Array], seconds: float = 1.0) -> Sight:
    """Show one picture every ``seconds``."""
    sight = Sight("dock")
    for number, picture in enumerate(pictures):
        sight.look(picture, int(number * seconds * SECOND_NS))
    return sight


def test_a_live_picture_is_no_trouble() -> None:
    assert watched([noisy() for _ in range(60)]).reason is None


def test_a_picture_that_never_changes_is_frozen_after_half_a_minute() -> None:
    still = noisy()

    assert watched([still] * 31).reason is None

    reason = watched([still] * 33).reason
    assert reason is not None
    assert (reason.code, reason.component, reason.fatal) == ("frozen-picture", "dock", False)
    assert reason.since_mono_ns == SECOND_NS
    assert reason.remedy


def test_one_changed_picture_begins_the_half_minute_anew() -> None:
    still = noisy()

    assert watched([still] * 20 + [noisy()] + [still] * 20).reason is None


def test_a_picture_that_moves_again_is_well_again() -> None:
    still = noisy()

    assert watched([still] * 40 + [noisy()]).reason is None


def test_a_covered_lens_is_black_even_with_a_little_noise() -> None:
    reason = watched([noisy(10, 3) for _ in range(12)]).reason

    assert reason is not None
    assert reason.code == "black-picture"


def test_black_is_the_word_for_what_is_black_and_frozen() -> None:
    reason = watched([np.full((72, 128, 3), 16, np.uint8)] * 60).reason

    assert reason is not None
    assert reason.code == "black-picture"


def test_a_night_scene_with_a_lamp_is_not_black() -> None:
    scenes = []
    for _ in range(30):
        night = noisy(10, 3)
        night[20:40, 30:60] = 220
        scenes.append(night)

    assert watched(scenes).reason is None


def test_it_looks_twice_a_second_however_many_pictures_come() -> None:
    sight = Sight("dock")
    sight.look(noisy(), 0)
    for number in range(1, 5):
        sight.look(np.zeros((72, 128, 3), np.uint8), number * SECOND_NS // 10)

    sight.look(noisy(), SECOND_NS)

    assert sight.reason is None


def test_a_source_that_was_opened_anew_is_looked_at_anew() -> None:
    sight = watched([noisy(10, 3) for _ in range(12)])
    assert sight.reason is not None

    sight.restart()

    assert sight.reason is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (4, 6, 3), (31, 33, 3), (1080, 1920, 3)])
def test_every_size_of_picture_can_be_looked_at(shape: tuple[int, ...]) -> None:
    sight = Sight("dock")
    for now_ns in range(0, BLACK_NS + SECOND_NS, SECOND_NS):
        sight.look(np.zeros(shape, np.uint8), now_ns)

    assert sight.reason is not None
    assert FROZEN_NS > BLACK_NS


def dark(index: int) -> Frame:
    return Frame(np.zeros((72, 128, 3), np.uint8), Stamp(index, index * SECOND_NS, 0, float(index)))


def test_a_line_tells_of_a_black_camera_that_delivers_and_forgets_it_when_it_is_lost() -> None:
    source = FakeSource([*(dark(index) for index in range(15)), SourceLostError("cannot read it")])
    feed = Feed("dock", lambda: source, FakeClock(), sight=Sight("dock"))
    for _ in range(16):
        feed.step()

    assert feed.frames == 15
    assert [(reason.code, reason.component) for reason in Line(feed, []).reasons()] == [("black-picture", "dock")]

    feed.step()

    assert [reason.code for reason in Line(feed, []).reasons()] == ["source-lost"]


def test_a_camera_that_comes_back_is_looked_at_anew() -> None:
    clock = FakeClock()
    scripts: list[list[Any]] = [[*(dark(index) for index in range(15)), SourceLostError("cannot read it")], [dark(20)]]
    feed = Feed("dock", lambda: FakeSource(scripts.pop(0)), clock, sight=Sight("dock"))
    for _ in range(17):
        feed.step()
    clock.advance(60)
    feed.step()
    feed.step()

    assert feed.state.condition == "live"
    assert feed.trouble is None
