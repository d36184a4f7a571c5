"""Real sources through a feed's thread: one open and one decode for all, nothing lost or nothing stale."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from edged.domain.frame import Frame
from edged.domain.ports import Source
from edged.pipeline.feed import Feed
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.window import Windower
from edged.sources import camera, csv, video
from fakes.realclock import RealClock
from fakes.recording import write_rows, write_video


def drained(*boxes: Mailbox) -> list[list[Frame]]:
    got: list[list[Frame]] = [[] for _ in boxes]
    while not all(box.ended for box in boxes):
        for frames, box in zip(got, boxes, strict=True):
            if (frame := box.take(0.01)) is not None:
                frames.append(frame)
    return got


def test_two_readers_of_one_video_get_every_frame_of_one_decode(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", frames=40)
    opened = []

    def open_source() -> Source:
        opened.append(path)
        return video.open_source(path=path, clock=RealClock())

    one, two = Mailbox("one", lossless=True), Mailbox("two", lossless=True)
    feed = Feed("v", open_source, RealClock(), readers=[Reader(one), Reader(two)], reopen=False)
    feed.start()

    first, second = drained(one, two)

    assert feed.join(30)
    assert len(opened) == 1
    assert [frame.stamp.index for frame in first] == list(range(40))
    assert all(a.data is b.data for a, b in zip(first, second, strict=True))


def test_a_cut_video_ends_its_pipeline_with_the_reason_after_all_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", codec="mjpeg", container="avi")
    path.write_bytes(path.read_bytes()[:-8000])
    box = Mailbox(lossless=True)
    feed = Feed(
        "v", lambda: video.open_source(path=path, clock=RealClock()), RealClock(), readers=[Reader(box)], reopen=False
    )
    feed.start()

    (frames,) = drained(box)

    assert feed.join(30)
    assert 0 < len(frames) < 20
    assert box.error is not None
    assert box.error.code == "video-damaged"
    assert feed.state.reason.startswith("cannot read all of video")
    assert feed.drops == {"damaged": 1}


def test_a_sensor_file_at_full_speed_loses_no_window(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", [f"{i}" for i in range(2000)])
    box = Mailbox(lossless=True)
    feed = Feed(
        "s",
        lambda: csv.open_source(path=path, clock=RealClock(), rate_hz=100),
        RealClock(),
        readers=[Reader(box, Windower(20, 10, 1))],
        reopen=False,
    )
    feed.start()

    (frames,) = drained(box)

    assert [int(frame.data[0, 0]) for frame in frames] == list(range(0, 1981, 10))


@pytest.mark.slow
def test_a_consumer_four_times_too_slow_still_gets_fresh_frames() -> None:
    def open_source() -> Source:
        return camera.open_source(url="testsrc=size=640x480:rate=20,realtime", libav_format="lavfi", clock=RealClock())

    box = Mailbox()
    feed = Feed("dock", open_source, RealClock(), readers=[Reader(box)])
    feed.start()
    ages_ms = []
    for _ in range(15):
        frame = box.take(20)
        assert frame is not None
        ages_ms.append((time.monotonic_ns() - frame.stamp.mono_ns) / 1e6)
        time.sleep(0.2)
    feed.stop()

    assert feed.join(20)
    assert sorted(ages_ms)[7] <= 60
    assert box.drops["replaced"] >= 20
