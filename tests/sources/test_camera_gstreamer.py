"""Pipeline text in a process of its own, with GStreamer's own test pictures."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.hardware.clock import SystemClock
from edged.sources import gstreamer
from edged.sources.gstreamer import PROGRAM, GStreamerSource, open_source, shape_of
from fakes.waiting import starved_s, until

needed = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"needs {PROGRAM}, of gstreamer1.0-tools")
LIVE = "videotestsrc is-live=true pattern=red ! video/x-raw,width={},height={},framerate=30/1"


def opened(width: int = 320, height: int = 240) -> GStreamerSource:
    return open_source(url=LIVE.format(width, height), clock=SystemClock())


@needed
@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(320, 240), (321, 241), (322, 242), (1280, 720)])
def test_every_size_gives_its_pictures_in_bgr(width: int, height: int) -> None:
    source = opened(width, height)
    frames = [source.read() for _ in range(5)]
    source.close()

    for index, frame in enumerate(frames):
        assert frame is not None
        assert frame.data.shape == (height, width, 3)
        assert frame.stamp.index == index
        assert frame.data[..., 2].min() > 245
        assert frame.data[..., :2].max() < 10


@needed
@pytest.mark.slow
def test_a_pipeline_that_ends_is_lost() -> None:
    source = open_source(url="videotestsrc num-buffers=3 ! video/x-raw,width=64,height=48", clock=SystemClock())
    with pytest.raises(SourceLostError, match="the pipeline ended") as caught:
        list(iter(source.read, None))
    source.close()

    assert caught.value.code == "camera-ended"


@needed
@pytest.mark.slow
def test_a_pipeline_that_hangs_is_lost_within_three_seconds_and_its_process_ended() -> None:
    source = opened()
    source.read()
    os.killpg(source._child.pid, signal.SIGSTOP)
    began_s = time.monotonic() - starved_s()
    with pytest.raises(SourceLostError) as caught:
        list(iter(source.read, None))
    took_s = time.monotonic() - starved_s() - began_s

    print(f"\nGStreamer: found {took_s:.2f} s after it hung")  # noqa: T201 - a figure
    assert caught.value.code == "camera-stalled"
    assert took_s < 3.0
    source.close()
    assert source._child.returncode is not None


@needed
@pytest.mark.slow
def test_what_lay_in_the_pipe_while_nobody_read_is_left_out() -> None:
    source = opened()
    for _ in range(5):
        source.read()
    time.sleep(1.5)
    source.read()
    source.close()

    assert source.drops == {"stale": 1}


@needed
@pytest.mark.slow
def test_closing_wakes_a_read_in_another_thread() -> None:
    source = opened()
    reader = threading.Thread(target=lambda: [None for _ in iter(source.read, None)])
    reader.start()
    until(lambda: source._index > 3, "pictures")

    source.close()
    reader.join(30)

    assert not reader.is_alive()
    assert source.read() is None
    assert repr(source).startswith("<GStreamerSource GStreamer videotestsrc: closed")


@needed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nosuch ! identity", 'no element "nosuch"'),
        ("videotestsrc ! video/x-bogus", "could not link"),
        ("filesrc location=/no/such/file ! decodebin", "cannot open camera GStreamer filesrc"),
    ],
)
def test_a_pipeline_that_does_not_begin_says_what_gstreamer_says(text: str, words: str) -> None:
    with pytest.raises(DeviceError, match=words) as caught:
        open_source(url=text, clock=SystemClock())

    assert caught.value.code == "camera-unsuited"
    assert PROGRAM in caught.value.remedy


OPENER = """
import os, signal, sys
from edged.hardware.clock import SystemClock
from edged.sources.gstreamer import open_source
source = open_source(url=sys.argv[1], clock=SystemClock())
source.read()
os.killpg(source._child.pid, signal.SIGSTOP)
print(source._child.pid, flush=True)
signal.pause()
"""


@needed
@pytest.mark.slow
def test_a_pipeline_that_hangs_does_not_outlive_a_daemon_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OPENER, LIVE.format(64, 48)], cwd="/", stdout=subprocess.PIPE
    ) as opener:
        assert opener.stdout is not None
        pipeline = int(opener.stdout.readline())
        opener.kill()
    until(lambda: not Path(f"/proc/{pipeline}").exists() or _is_dead(pipeline), "its end")


def _is_dead(process: int) -> bool:
    with suppress(OSError):
        return " Z " in Path(f"/proc/{process}/stat").read_text()
    return True


def test_without_gstreamer_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "PROGRAM", "no-such-gst-launch")
    with pytest.raises(DeviceError, match="there is no no-such-gst-launch") as caught:
        open_source(url=LIVE.format(64, 48), clock=SystemClock())
    assert (caught.value.code, caught.value.remedy) == ("camera-absent", "install gstreamer1.0-tools")


def test_a_text_with_an_open_quote_is_refused() -> None:
    with pytest.raises(ConfigError, match="No closing quotation"):
        open_source(url='videotestsrc name="x ! identity', clock=SystemClock())


@pytest.mark.parametrize("line", [b"", b"YUV4MPEG2", b"YUV4MPEG2 W3 C420", b"YUV4MPEG2 W4 H4 C444", b"GIF89a W4 H4"])
def test_a_head_that_is_none_is_refused(line: bytes) -> None:
    with pytest.raises(DeviceError, match="expected the head of a YUV4MPEG2 stream"):
        shape_of(line, "GStreamer x")


def test_the_size_of_a_picture_counts_gstreamers_padding() -> None:
    assert shape_of(b"YUV4MPEG2 C420 W321 H241 Ip F30:1 A1:1", "x").bytes == 118096
    assert gstreamer.Shape(320, 240).bytes == 115200
