from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from edgectl.camera.look import Seen, watch
from edgectl.camera.record import Recording
from edged.domain.errors import SourceLostError
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Array
from fakes.clock import SECOND_NS, FakeClock
from fakes.mjpeg import scene


@dataclass
class Camera:
    """Gives pictures, each so many seconds after the one before, and then what a camera that is lost gives."""

    clock: FakeClock
    pictures: Iterator[Array]
    step_s: float = 0.04
    age_s: float = 0.02
    drops: dict[str, int] = field(default_factory=dict)

    def read(self) -> Frame:
        self.clock.advance(self.step_s)
        picture = next(self.pictures, None)
        if picture is None:
            raise SourceLostError("cannot read camera dock: no picture for 2.8 s, expected a picture")
        return Frame(picture, Stamp(0, self.clock.mono - int(self.age_s * SECOND_NS), self.clock.wall, 0.0))

    def close(self) -> None:
        """There is nothing to give back."""


def scenes() -> Iterator[Array]:
    at = 0
    while True:
        yield scene(at, 64, 48)
        at += 1


def still(value: int | Array) -> Iterator[Array]:
    while True:
        yield np.full((48, 64, 3), value, np.uint8) if isinstance(value, int) else value


def seen(pictures: Iterator[Array], seconds: float = 3, asked_fps: float | None = None, **more: float) -> Seen:
    clock = FakeClock()
    return watch(Camera(clock, pictures, **more), clock, seconds, asked_fps)


def test_a_camera_that_is_well_has_a_rate_an_age_and_no_fault() -> None:
    told = seen(scenes())
    assert (told.words, told.lost) == ((), "")
    assert told.timing.rate_hz == pytest.approx(25)
    assert (told.age_p50_ms, told.age_p95_ms) == (pytest.approx(20, abs=0.1), pytest.approx(20, abs=0.1))
    assert told.told()["width"] == 64


@pytest.mark.parametrize(
    ("value", "word"), [(0, "black"), (16, "black"), (250, "too bright"), (120, "flat"), (scene(1, 64, 48), "frozen")]
)
def test_what_is_wrong_with_a_picture_has_a_word_and_a_remedy(value: int | Array, word: str) -> None:
    told = seen(still(value))
    assert word in told.words
    assert all(fault["remedy"] for fault in told.told()["faults"])


def test_a_picture_that_stands_still_for_a_moment_is_not_frozen() -> None:
    assert seen(still(scene(1, 64, 48)), seconds=1).words == ()


def test_less_than_was_asked_for_is_told() -> None:
    assert seen(scenes(), asked_fps=30).words == ()
    assert seen(scenes(), asked_fps=60).words == ("slower than asked",)


def test_a_camera_that_is_lost_meanwhile_is_told_with_what_came() -> None:
    told = seen(iter([scene(0), scene(1, 64, 48), scene(2)]))
    assert (told.words, told.timing.count) == (("lost",), 3)
    assert "no picture for 2.8 s" in told.lost


def test_damage_is_told_and_stale_pictures_alone_are_none() -> None:
    clock = FakeClock()
    whole = watch(Camera(clock, scenes(), drops={"stale": 9, "damaged": 0}), clock, 1, None)
    hurt = watch(Camera(clock, scenes(), drops={"damaged": 2}), clock, 1, None)
    assert (whole.words, whole.drops) == ((), {"stale": 9})
    assert hurt.words == ("damaged",)


def test_whoever_has_enough_ends_the_look() -> None:
    clock = FakeClock()
    taken: list[Frame] = []

    def take(frame: Frame) -> bool:
        taken.append(frame)
        return len(taken) < 5

    assert watch(Camera(clock, scenes()), clock, 60, None, take).timing.count == 5


def test_a_recording_of_an_odd_size_loses_its_last_row_and_column(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "odd.mp4", None)
    for at in range(3):
        assert recording.write(Frame(scene(at, 65, 49), Stamp(at, 0, 0, 7.0 + at / 10)))
    assert not recording.write(Frame(scene(3, 64, 48)[:32], Stamp(3, 0, 0, 7.3))), "another size ends it"
    recording.close()
    with av.open(str(tmp_path / "odd.mp4")) as kept:
        pictures = [picture.to_ndarray(format="bgr24") for picture in kept.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(48, 64, 3)] * 3
    assert np.abs(pictures[0].astype(int) - scene(0, 65, 49)[:48, :64]).mean() < 12
