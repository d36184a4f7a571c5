"""Still pictures need no inference, moving ones do, and noise is no movement."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Array
from edged.pipeline.gate import OFF, STRICTNESS, MotionGate

HEIGHT, WIDTH = 180, 320
SECOND_NS = 1_000_000_000


def scene(seed: int = 0) -> Array:
    """Give a structured picture: blocks of random brightness."""
    blocks = np.random.default_rng(seed).integers(30, 220, (HEIGHT // 20, WIDTH // 20, 3))
    return np.kron(blocks, np.ones((20, 20, 1))).astype(np.uint8)


def noisy(picture: Array, sigma: float, seed: int) -> Array:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def moving(picture: Array, size: int) -> Array:
    """Put something bright of ``size`` pixels into it."""
    changed = picture.copy()
    changed[60 : 60 + size, 100 : 100 + size] = 255 - changed[60 : 60 + size, 100 : 100 + size]
    return changed


def frames(*pictures: Array, every_s: float = 0.1) -> Iterator[Frame]:
    for index, picture in enumerate(pictures):
        at_ns = int(index * every_s * SECOND_NS)
        yield Frame(picture, Stamp(index, at_ns, at_ns, at_ns / SECOND_NS))


def looked_at(gate: MotionGate, shown: Iterator[Frame]) -> list[int]:
    return [frame.stamp.index for frame in shown if not gate.is_still(frame)]


@pytest.mark.parametrize("strictness", range(1, len(STRICTNESS) + 1))
@pytest.mark.parametrize("sigma", [0.0, 2.0, 6.0])
def test_a_still_scene_is_looked_at_once_however_noisy_the_camera(strictness: int, sigma: float) -> None:
    shown = frames(*(noisy(scene(), sigma, seed) for seed in range(30)))

    assert looked_at(MotionGate(100.0, strictness), shown) == [0]


def test_something_that_moves_is_looked_at() -> None:
    shown = frames(scene(), scene(), moving(scene(), 24), moving(scene(), 24), scene())

    assert looked_at(MotionGate(100.0, 1), shown) == [0, 2, 4]


def test_the_stricter_the_more_has_to_move() -> None:
    sizes = [8, 24, 60]

    looks = [
        [size for size in sizes if looked_at(MotionGate(100.0, strictness), frames(scene(), moving(scene(), size)))[1:]]
        for strictness in range(1, len(STRICTNESS) + 1)
    ]

    assert looks == [[8, 24, 60], [24, 60], [60]]


def test_another_scene_is_no_noise() -> None:
    assert looked_at(MotionGate(100.0, 3), frames(scene(), scene(1))) == [0, 1]


def test_a_slow_change_adds_up() -> None:
    shown = frames(*(scene() // 2 + level for level in range(0, 60, 2)))

    assert len(looked_at(MotionGate(100.0, 1), shown)) > 1


def test_at_the_latest_after_its_time_the_next_frame_is_looked_at() -> None:
    assert looked_at(MotionGate(1.0, 1), frames(*[scene()] * 5, every_s=0.5)) == [0, 2, 4]


def test_a_time_that_steps_back_is_a_look() -> None:
    gate = MotionGate(1.0, 1)
    later, earlier = Frame(scene(), Stamp(0, SECOND_NS, 0, 0.0)), Frame(scene(), Stamp(1, 0, 0, 0.0))

    assert [gate.is_still(later), gate.is_still(earlier)] == [False, False]


def test_a_picture_of_another_size_is_a_look() -> None:
    assert looked_at(MotionGate(100.0, 1), frames(scene(), scene()[:90])) == [0, 1]


def test_switched_off_every_frame_is_looked_at_and_on_again_the_first() -> None:
    gate = MotionGate(100.0, OFF)
    assert looked_at(gate, frames(scene(), scene())) == [0, 1]

    gate.strictness = 1

    assert looked_at(gate, frames(scene(), scene())) == [0]
    assert repr(gate) == "<MotionGate strictness 1>"
    assert repr(MotionGate(1.0)) == "<MotionGate off>"


def test_what_was_not_judged_is_looked_at_again() -> None:
    gate = MotionGate(100.0, 1)
    first, second = frames(scene(), scene())
    gate.is_still(first)

    gate.forget()

    assert not gate.is_still(second)


def test_still_frames_are_counted_by_their_cause() -> None:
    causes: list[str] = []
    looked_at(MotionGate(100.0, 1, causes.append), frames(*[scene()] * 3))

    assert causes == ["still", "still"]
