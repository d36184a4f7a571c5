"""Recordings and videos through the whole daemon: shared, damaged, too large, at their own rate."""

from __future__ import annotations

import contextlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, write_config
from fakes.recordedlevels import endless, frames, scores
from fakes.recording import write_pictures, write_video
from fakes.sensor import csv_source, picture_bundle, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("models")]

JPEG_END = b"\xff\xd9"
"""EOI (ISO/IEC 10918-1, B.1.1.3): a picture's last bytes, and found nowhere else in it."""


def opened(pid: int) -> list[str]:
    """Give what the process's descriptors lead to."""
    found: list[str] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            found.append(str(entry.readlink()))
    return found


def test_pipelines_on_one_source_share_one_open_file_and_each_has_every_result(
    broker: BrokerProcess, fleet: Subscriber, run: Run, models: Path, recording: Path, tmp_path: Path
) -> None:
    picture_bundle(models / "still")
    video = write_video(tmp_path / "v.avi", frames=60, codec="mjpeg", container="avi")
    body = f'[[source]]\nname = "dock"\nkind = "file"\npath = "{video}"\npace = "recorded"\nloop = true\n'
    body += endless(recording) + "".join(pipeline(name) for name in "ab")
    body += "".join(pipeline(name, source="dock", model="still") for name in "cd")
    daemon = run(write_config(tmp_path, broker.port, body))
    until(lambda: all(len(fleet.of(f"result/{name}")) > 5 for name in "abcd"), "results of all")

    # One that begins anew is closed and opened again.
    until(lambda: [opened(daemon.pid).count(str(file)) for file in (recording, video)] == [1, 1], "one open file each")
    for pair in ("ab", "cd"):
        # Which of both began first, and by how much, is a matter of chance.
        until(lambda pair=pair: set.intersection(*(frames(fleet, name) for name in pair)), "the same frames")  # type: ignore[misc] # bound at once
    assert daemon.stop()[0] == 0


def test_a_video_that_ends_in_the_middle_of_a_frame_gives_what_can_be_decoded_and_says_where_it_ends(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    picture_bundle(tmp_path / "models" / "still")
    video = write_video(tmp_path / "v.avi", frames=40, codec="mjpeg", container="avi")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    whole = video.read_bytes().count(JPEG_END)
    body = f'[[source]]\nname = "dock"\nkind = "file"\npath = "{video}"\n' + pipeline("a", source="dock", model="still")
    daemon = run(write_config(tmp_path, broker.port, body))

    until(lambda: "video-damaged" in fleet.codes() and len(fleet.of("result/a")) >= whole, "the reason, and results")

    assert "a picture's data are incomplete at" in fleet.reason("dock")
    assert fleet.last("health")["state"] == "failed"
    assert daemon.stop()[0] == 0
    assert 5 < whole < 40
    assert [result["frame"] for result in fleet.of("result/a")] == list(range(whole))


def test_a_small_file_that_stands_for_a_picture_beyond_all_memory_is_passed_over(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    picture_bundle(tmp_path / "models" / "still")
    folder = write_pictures(tmp_path / "upload", 2)
    cv2.imwrite(str(folder / "000-huge.png"), np.zeros((8200, 8200), np.uint8))
    body = f'[[source]]\nname = "dock"\nkind = "images"\npath = "{folder}"\n'
    daemon = run(write_config(tmp_path, broker.port, body + pipeline("a", source="dock", model="still")))

    assert daemon.wait() == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    assert [result["frame"] for result in fleet.of("result/a")] == [0, 1]
    assert "it has more pixels than OPENCV_IO_MAX_IMAGE_PIXELS allows" in daemon.said()


def test_a_recording_at_its_own_rate_gives_every_window_however_short_they_are(
    broker: BrokerProcess, fleet: Subscriber, run: Run, models: Path, tmp_path: Path
) -> None:
    sensor_bundle(models / "short", name="short", length=8)
    recording = write_windows(tmp_path / "short.csv", range(200), length=8)
    source = csv_source(recording, rate_hz=800, more='pace = "recorded"')

    assert run(write_config(tmp_path, broker.port, source + pipeline("a", model="short"))).wait() == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")

    assert scores(fleet, "a") == pytest.approx([float(level**2) for level in range(200)])
    assert fleet.last("telemetry")["pipelines"]["a"]["drops"] == {}


def test_a_sample_that_no_tensor_holds_costs_one_window_and_no_restart(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    lines = recording.read_text().splitlines()
    lines[1 + 64 * 3] = "1e39"
    recording.write_text("\n".join(lines))
    daemon = run(write_config(tmp_path, broker.port, csv_source(recording) + pipeline("a")))
    assert daemon.wait() == 0
    until(lambda: len(fleet.of("result/a")) == 100, "every result")
    told = [(result["status"], result.get("reason", "")) for result in fleet.of("result/a")]
    assert told == [("ok", "")] * 3 + [("unknown", "samples-invalid")] + [("ok", "")] * 96
    assert "worker.failed" not in daemon.said()


@pytest.mark.parametrize("kind", ["images", "file"])
def test_what_plays_in_a_loop_comes_back_after_it_was_away(
    broker: BrokerProcess, fleet: Subscriber, run: Run, models: Path, tmp_path: Path, kind: str
) -> None:
    picture_bundle(models / "still")
    if kind == "images":
        place, more = write_pictures(tmp_path / "pictures"), "fps = 20\n"
    else:
        place, more = write_video(tmp_path / "v.avi", frames=20, codec="mjpeg", container="avi"), 'pace = "recorded"\n'
    body = f'[[source]]\nname = "dock"\nkind = "{kind}"\npath = "{place}"\nloop = true\n{more}'
    daemon = run(write_config(tmp_path, broker.port, body + pipeline("a", source="dock", model="still")))
    until(lambda: len(fleet.of("result/a")) > 5, "results")

    away = place.rename(tmp_path / "away")
    until(lambda: fleet.last("health").get("state") == "failed", "it is missed")
    away.rename(place)
    seen = len(fleet.of("result/a"))

    until(lambda: fleet.last("health").get("state") == "ok", "all is well again")
    until(lambda: len(fleet.of("result/a")) > seen + 5, "results again")
    assert daemon.stop()[0] == 0
