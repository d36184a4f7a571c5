"""HTTP cameras on loopback that stall, end, trickle, lie about lengths and send damaged JPEGs: each has its word."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from edged.domain.errors import DeviceError, SourceLostError
from edged.domain.frame import Frame
from edged.hardware.clock import SystemClock
from edged.sources import camera, mjpeg
from edged.sources.mjpeg import JpegSource
from fakes.answering import answering
from fakes.mjpeg import DAMAGES, PASSWORD, USER, JpegCamera, jpeg, scene
from fakes.waiting import starved_s, until

pytestmark = pytest.mark.slow

FOUND = sorted(set(DAMAGES) - {"/zeroed"})
"""A run of zeros can decode to a last block that is the right one by chance: then nothing in the data tells."""
SAME = 8.0
"""The most that a whole picture differs from its scene, in the mean: JPEG's own loss."""


def opened(jpegs: JpegCamera, path: str, **more: object) -> JpegSource:
    source = mjpeg.open_source(url=jpegs.url + path, clock=SystemClock(), **more)  # type: ignore[arg-type] # as given
    assert source is not None
    return source


def read(source: JpegSource, count: int) -> list[Frame]:
    frames = [frame for _ in range(count) if (frame := source.read()) is not None]
    source.close()
    return frames


def until_lost(source: JpegSource) -> tuple[SourceLostError, float, float]:
    """Read to the error; give it, when the last picture came and when the error did, without the time that this thread was starved."""
    last_s = time.monotonic() - starved_s()
    try:
        while source.read() is not None:
            last_s = time.monotonic() - starved_s()
    except SourceLostError as error:
        lost_s = time.monotonic() - starved_s()
        source.close()
        return error, last_s, lost_s
    raise AssertionError("the camera was never lost")


@pytest.mark.parametrize("path", ["/live", "/unsized", "/short", "/long"])
def test_every_picture_comes_whatever_the_lengths_say(jpegs: JpegCamera, path: str) -> None:
    source = opened(jpegs, path)

    frames = read(source, 20)

    assert all(frame.data.shape == (240, 320, 3) for frame in frames)
    assert source.drops["damaged"] == 0
    assert [frame.stamp.index for frame in frames] == list(range(20))


@pytest.mark.parametrize("path", FOUND)
def test_damaged_pictures_are_never_handed_over(jpegs: JpegCamera, path: str) -> None:
    source = opened(jpegs, path)

    frames = read(source, 20)

    scenes = [scene(index)[::4, ::4].astype(int) for index in range(0, 80, 2)]
    nearest = [min(np.abs(frame.data[::4, ::4] - one).mean() for one in scenes) for frame in frames]
    assert max(nearest) < SAME
    assert source.drops["damaged"] > 0
    # On a busy machine some lie in wait behind a newer one.
    assert source.drops["damaged"] + source.drops["stale"] >= 18


def test_a_camera_that_changes_its_size_goes_on(jpegs: JpegCamera) -> None:
    frames = read(opened(jpegs, "/resized"), 70)

    assert {frame.data.shape for frame in frames} == {(240, 320, 3), (480, 640, 3)}


@pytest.mark.parametrize(
    ("path", "code"), [("/stall", "camera-stalled"), ("/trickle", "camera-stalled"), ("/ended", "camera-ended")]
)
def test_a_stream_that_stops_is_lost_within_three_seconds(jpegs: JpegCamera, path: str, code: str) -> None:
    error, last_s, lost_s = until_lost(opened(jpegs, path))

    print(f"\nHTTP {path}: found {lost_s - last_s:.2f} s after the last picture")  # noqa: T201 - a figure
    assert error.code == code
    assert lost_s - last_s < 3.0


def test_what_piled_up_while_nobody_read_is_not_taken_for_new(jpegs: JpegCamera) -> None:
    source = opened(jpegs, "/live")
    for _ in range(20):
        source.read()
    paused_s, before = time.monotonic(), len(jpegs.sent)
    until(lambda: time.monotonic() > paused_s + 2.0 and len(jpegs.sent) > before + 40, "pictures piled up")
    began_ns = time.monotonic_ns()

    frames = read(source, 20)

    assert all(frame.stamp.mono_ns > began_ns - 1_050_000_000 for frame in frames)
    assert source.drops["stale"] >= 20


@pytest.mark.parametrize("path", ["/basic", "/digest"])
def test_a_locked_camera_opens_with_its_password_only(jpegs: JpegCamera, path: str) -> None:
    with pytest.raises(DeviceError, match="user name or password refused"):
        mjpeg.open_source(url=jpegs.url + path, clock=SystemClock())
    with pytest.raises(DeviceError, match="user name or password refused"):
        mjpeg.open_source(url=jpegs.url + path, clock=SystemClock(), username=USER, password="wrong")  # noqa: S106

    source = opened(jpegs, path, username=USER, password=PASSWORD)

    assert source.read() is not None
    assert PASSWORD not in repr(source)
    source.close()


def test_pictures_are_decoded_as_small_as_they_are_needed(jpegs: JpegCamera) -> None:
    needed = {"width": 76}
    source = opened(jpegs, "/live", reduction=lambda width, _: width / needed["width"])
    small = [source.read() for _ in range(3)][-1]
    needed["width"] = 320
    large = [source.read() for _ in range(3)][-1]
    source.close()

    assert small is not None
    assert large is not None
    assert small.data.shape == (60, 80, 3)
    assert large.data.shape == (240, 320, 3)


def test_a_small_picture_is_the_large_one_seen_from_afar(jpegs: JpegCamera) -> None:
    source = opened(jpegs, "/live", reduction=lambda width, _: width / 80)
    frame = [source.read() for _ in range(4)][-1]
    source.close()

    assert frame is not None
    blocks = [
        scene(index).reshape(60, 4, 80, 4, 3).mean(axis=(1, 3))
        for index in range(frame.stamp.index, frame.stamp.index + 20)
    ]
    assert min(np.abs(frame.data - block).mean() for block in blocks) < SAME


def test_closing_wakes_a_read_in_another_thread(jpegs: JpegCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg, "STALL_S", 60.0)
    source = opened(jpegs, "/stall")
    for _ in range(10):
        source.read()
    ended = threading.Event()

    def read_on() -> None:
        while source.read() is not None:
            pass
        ended.set()

    threading.Thread(target=read_on, daemon=True).start()
    until(source._closing._reading.locked, "it reads")
    source.close()

    assert ended.wait(30)
    assert source.read() is None


@pytest.mark.parametrize("word", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b""])
def test_a_camera_that_dribbles_or_says_nothing_is_given_up_in_time(
    word: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mjpeg, "OPEN_TIMEOUT_S", 0.5)
    done = threading.Event()

    def dribble(listener: socket.socket) -> None:
        with listener.accept()[0] as client, suppress(OSError):
            client.sendall(word)
            while not done.wait(0.05):
                client.sendall(b"a" if word else b"")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        camera_thread = threading.Thread(target=dribble, args=(listener,))
        camera_thread.start()
        with pytest.raises(DeviceError, match="it does not answer") as caught:
            mjpeg.open_source(url=f"http://127.0.0.1:{listener.getsockname()[1]}/x", clock=SystemClock())
        done.set()
        camera_thread.join()
    assert caught.value.code == "camera-stalled"


def test_what_is_no_stream_of_jpegs_is_left_to_others() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404 if self.path == "/gone" else 200)
            self.send_header("Content-Type", "video/mp4")
            self.end_headers()

    with answering(Page) as url:
        assert mjpeg.open_source(url=f"{url}film", clock=SystemClock()) is None
        with pytest.raises(DeviceError, match="it has no such stream"):
            mjpeg.open_source(url=f"{url}gone", clock=SystemClock())


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/live?token=secret", "http://127.0.0.1:9/live: connection refused"),
        ("http://no-such-host.invalid/live", "no such host"),
    ],
)
def test_a_camera_that_is_not_there_says_so(url: str, words: str) -> None:
    with pytest.raises(DeviceError, match=words) as caught:
        mjpeg.open_source(url=url, clock=SystemClock())

    assert "secret" not in str(caught.value)


def test_the_decoder_of_devices_is_the_same(jpegs: JpegCamera) -> None:
    source = camera.open_source(url=f"{jpegs.url}/cut", clock=SystemClock(), reduction=lambda width, _: width / 80)
    frames = [frame for _ in range(5) if (frame := source.read()) is not None]
    source.close()

    assert frames[-1].data.shape == (60, 80, 3)
    assert source.drops["damaged"] + source.drops["stale"] >= 4
    assert len(jpeg(scene(0))) > 1000
