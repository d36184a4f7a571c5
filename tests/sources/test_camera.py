"""Cameras: a live device-like input of libav, streams on loopback, and a driver's faults from a fake."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.sources import address, camera, faults
from edged.sources.camera import CameraSource, open_source
from fakes.camera import FakeContainer, FakePacket
from fakes.clock import SECOND_NS, FakeClock
from fakes.realclock import RealClock
from fakes.recording import drawn, write_titled

PICTURE = drawn(3)
CANARY = "secret"
"""What no error may tell."""


def libav_error(number: int) -> Exception:
    """Give the error that PyAV raises for this number."""
    kind = {errno.EAGAIN: av.BlockingIOError, errno.ENODEV: av.OSError, errno.EIO: av.OSError}[number]
    return kind(number, "from the driver", "rtsp://viewer:secret@camera/stream")


def device(*script: FakePacket | Exception, clock: FakeClock | None = None) -> tuple[CameraSource, FakeContainer]:
    container = FakeContainer(list(script))
    clock = clock or FakeClock()
    opener: Callable[[], Any] = lambda: container  # noqa: E731 - typed as what libav gives
    return CameraSource(opener, clock, name="/dev/video0", is_device=True, wait=clock.advance), container


def live(rate: int = 100, more: str = "") -> CameraSource:
    return open_source(url=f"testsrc=size=64x48:rate={rate}{more},realtime", libav_format="lavfi", clock=RealClock())


def until_it_fails(source: CameraSource, came: list[float] | None = None) -> None:
    while source.read() is not None:
        if came is not None:
            came.append(time.monotonic())


def test_a_live_input_keeps_its_own_pace() -> None:
    source = live(rate=100)
    began = time.monotonic()

    frames = [source.read() for _ in range(11)]
    took_s = time.monotonic() - began
    source.close()

    assert all(frame is not None and frame.data.shape == (48, 64, 3) for frame in frames)
    assert 0.08 < took_s < 20


def test_a_live_inputs_time_is_the_box_clock_with_the_cameras_spacing() -> None:
    source = live(rate=100)
    frames = [source.read() for _ in range(20)]
    source.close()

    steps_s = [b.stamp.source_s - a.stamp.source_s for a, b in pairwise(frames) if a and b]
    assert steps_s == pytest.approx([0.01] * 19, abs=0.004)
    first = frames[0]
    assert first is not None
    assert first.stamp.source_s == pytest.approx(first.stamp.mono_ns / SECOND_NS, abs=0.05)


def test_a_camera_that_is_called_in_another_alphabet_opens(tmp_path: Path) -> None:
    file = write_titled(tmp_path / "v.mkv", "码头摄像机".encode("gbk"))
    source = open_source(url=str(file), libav_format="matroska", clock=RealClock())
    assert "open, 0 pictures" in repr(source)
    source.close()


def test_a_stream_that_ends_is_lost() -> None:
    source = live(rate=100, more=":duration=0.05")

    with pytest.raises(SourceLostError, match="the stream ended"):
        until_it_fails(source)
    source.close()


def test_the_drivers_stamp_is_the_time_of_capture() -> None:
    clock = FakeClock()
    source, _ = device(FakePacket(PICTURE, pts=clock.mono // 1000 - 40_000), clock=clock)

    frame = source.read()

    assert frame is not None
    assert frame.stamp.mono_ns == clock.mono - 40_000_000
    assert frame.stamp.wall_ns == clock.wall - 40_000_000


def test_a_stamp_that_lies_elsewhere_is_only_the_spacing() -> None:
    clock = FakeClock()
    source, _ = device(FakePacket(PICTURE, pts=0), FakePacket(PICTURE, pts=50_000), clock=clock)

    first, second = source.read(), source.read()

    assert first is not None
    assert second is not None
    assert first.stamp.mono_ns == clock.mono
    assert second.stamp.source_s - first.stamp.source_s == pytest.approx(0.05, abs=0.001)


def test_pictures_without_a_stamp_get_the_clocks_time() -> None:
    source, _ = device(FakePacket(PICTURE), FakePacket(PICTURE))

    first, second = source.read(), source.read()

    assert first is not None
    assert second is not None
    assert second.stamp.source_s > first.stamp.source_s


def test_a_cameras_clock_that_was_set_anew_does_not_move_the_sources_time() -> None:
    clock = FakeClock()
    source, _ = device(FakePacket(PICTURE, pts=10**12), FakePacket(PICTURE, pts=7), clock=clock)

    first = source.read()
    clock.advance(0.05)
    second = source.read()

    assert first is not None
    assert second is not None
    assert second.stamp.source_s - first.stamp.source_s == pytest.approx(0.05, abs=0.001)


def test_a_device_that_has_nothing_yet_is_asked_again() -> None:
    source, _ = device(libav_error(errno.EAGAIN), libav_error(errno.EAGAIN), FakePacket(PICTURE))

    assert source.read() is not None


def test_a_device_that_stalls_is_lost_within_three_seconds() -> None:
    clock = FakeClock()
    source, _ = device(*[libav_error(errno.EAGAIN) for _ in range(5000)], clock=clock)
    began = clock.mono

    with pytest.raises(SourceLostError, match=r"camera /dev/video0: no picture for 2\.8 s") as caught:
        source.read()

    assert caught.value.code == "camera-stalled"
    assert clock.mono - began < 3 * SECOND_NS


def test_an_unplugged_device_is_lost_by_name() -> None:
    source, container = device(FakePacket(PICTURE), libav_error(errno.ENODEV))
    source.read()

    with pytest.raises(SourceLostError, match="/dev/video0: unplugged") as caught:
        source.read()

    assert caught.value.code == "camera-unplugged"
    source.close()
    assert container.closes == 1


def test_an_error_never_tells_the_password() -> None:
    source, _ = device(libav_error(errno.EIO))

    with pytest.raises(SourceLostError) as caught:
        source.read()

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_damaged_pictures_are_left_out_and_counted() -> None:
    broken = [FakePacket(broken=True), FakePacket(PICTURE, is_corrupt=True), FakePacket()]
    half = av.InvalidDataError(1094995529, "Invalid data found when processing input")
    source, _ = device(*broken, half, FakePacket(PICTURE))

    frame = source.read()

    assert frame is not None
    assert frame.stamp.index == 0
    assert source.drops == {"damaged": 3}


def test_close_while_a_read_is_inside_libav_leaves_the_closing_to_it() -> None:
    entered, leave = threading.Event(), threading.Event()

    class Slow(FakeContainer):
        def demux(self, _: Any) -> Iterator[FakePacket]:
            entered.set()
            leave.wait(10)
            yield FakePacket(PICTURE)

    container = Slow([])
    opener: Callable[[], Any] = lambda: container  # noqa: E731 - typed as what libav gives
    source = CameraSource(opener, FakeClock(), name="slow")
    reader = threading.Thread(target=source.read)
    reader.start()
    assert entered.wait(30)

    source.close()
    assert container.closes == 0
    leave.set()
    reader.join(30)

    assert container.closes == 1


def test_its_repr_says_which_camera_and_what_came() -> None:
    source, _ = device(FakePacket(PICTURE))
    source.read()
    assert repr(source) == "<CameraSource /dev/video0: open, 1 pictures, drops {}>"

    source.close()

    assert "closed" in repr(source)


@pytest.mark.parametrize(
    ("url", "words", "code"),
    [
        ("/dev/video-absent", "no such device, expected pictures; plug it in", "camera-absent"),
        ("977", "/dev/video977: no such device", "camera-absent"),
        ("/dev/null", "it gives no pictures", "camera-unsuited"),
        ("rtsp://127.0.0.1:9/live", "connection refused", "camera-absent"),
        ("http://127.0.0.1:9/live?token=secret", "http://127.0.0.1:9/live: connection refused", "camera-absent"),
    ],
)
def test_a_camera_that_does_not_open_says_why(url: str, words: str, code: str) -> None:
    with pytest.raises(DeviceError) as caught:
        open_source(url=url, clock=RealClock(), size=(1280, 720), fps=10, username="viewer", password=CANARY)

    assert words in str(caught.value)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied, expected pictures; add the daemon's user to the group video"),
        (errno.EBUSY, "another program has it"),
        (errno.EINVAL, "it has no such format, size or rate"),
        (errno.ENODEV, "it gives no pictures"),
    ],
)
def test_each_fault_of_a_device_has_words_of_its_own(number: int, words: str) -> None:
    at = address.parse("/dev/video0")
    error = faults.refused(at.shown, faults.DEVICE_FAULTS, number, "from the driver")

    assert words in str(error)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("rtsp://viewer:secret@camera/live", "rtsp://camera/live: its address carries user information"),
        ("videotestsrc!appsink", "expected /dev/video0, a number, an rtsp, http or https address"),
        ("file:///etc/passwd", "expected /dev/video0"),
        ("", "expected /dev/video0"),
    ],
)
def test_what_is_no_cameras_address_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source(url=url, clock=RealClock())

    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_user_and_password_are_quoted_into_the_address() -> None:
    assert address.with_user("rtsp://camera:554/a?b=c", "us er", "p@:/") == "rtsp://us%20er:p%40%3A%2F@camera:554/a?b=c"
    assert address.with_user("rtsp://camera/a", None, None) == "rtsp://camera/a"


def test_a_large_picture_is_asked_for_as_jpeg_first() -> None:
    asked = camera._device_options((1280, 720), 15, None)

    assert asked[0] == {"fflags": "+4", "video_size": "1280x720", "framerate": "15", "input_format": "mjpeg"}
    assert "input_format" not in asked[1]
    assert len(camera._device_options((640, 480), None, None)) == 1
    assert camera._device_options(None, None, "yuyv422") == [{"fflags": "+4", "input_format": "yuyv422"}]


def test_the_number_for_nonblock_is_libavs() -> None:
    with av.open("testsrc=size=64x48", format="lavfi", options={"fflags": camera.NONBLOCK}) as container:
        assert container.flags & av.container.Flags.non_block.value


def test_a_box_without_hardware_for_it_decodes_in_software_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        source = open_source(
            url="testsrc=size=64x48:rate=100,realtime", libav_format="lavfi", clock=RealClock(), hardware=True
        )
        frame = source.read()
    source.close()

    assert frame is not None
    assert "camera.software-decoding" in caplog.messages


def test_a_stream_without_pictures_is_no_camera() -> None:
    with pytest.raises(DeviceError, match="no pictures in what it sends"):
        open_source(url="sine=duration=1[out0]", libav_format="lavfi", clock=RealClock())
