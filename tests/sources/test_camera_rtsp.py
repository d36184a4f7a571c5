"""A real RTSP server on loopback: killed, stopped, started again, over TCP and UDP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import get_args

import pytest

from edged.domain.errors import SourceLostError
from edged.domain.frame import Frame
from edged.domain.ports import Source
from edged.hardware.clock import SystemClock
from edged.pipeline.backoff import Backoff
from edged.pipeline.feed import Feed
from edged.pipeline.inlet import Inlet
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.sources import camera
from edged.sources.camera import Transport
from fakes.rtsp import RtspServer
from fakes.waiting import starved_s, until

pytestmark = pytest.mark.slow

TRANSPORTS = get_args(Transport)
MAX_AGE_S = 1.0
FOUND_S, BACK_S = 3.0, 5.0
RETRY_LIMIT_S = 2.5


@pytest.fixture
def server() -> Iterator[RtspServer]:
    running = RtspServer()
    yield running
    running.kill()


def opener(server: RtspServer, transport: Transport) -> Callable[[], Source]:
    return lambda: camera.open_source(url=server.url, clock=SystemClock(), transport=transport, max_age_s=MAX_AGE_S)


@dataclass
class Watched:
    """A camera as a pipeline sees it, in threads of its own."""

    server: RtspServer
    transport: Transport
    frames: list[Frame] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.box = Mailbox("gate")
        self.feed = Feed(
            "dock",
            opener(self.server, self.transport),
            SystemClock(),
            readers=[Reader(self.box)],
            backoff=Backoff(limit_s=RETRY_LIMIT_S),
        )
        self.inlet = Inlet(self.box, SystemClock(), max_age_s=MAX_AGE_S)
        self.feed.start()
        until(self.take, "the first picture")

    def take(self) -> bool:
        began_s = starved_s()
        frame = self.inlet.take(0.02)
        if frame is not None:
            self.frames.append(frame)
            age_s = (time.monotonic_ns() - frame.stamp.mono_ns) / 1e9
            self.ages_s.append(age_s - (starved_s() - began_s))
        return frame is not None

    def take_for(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.take()

    def until_lost(self) -> float:
        """Give the seconds that it took to be found, without those in which its thread was starved."""
        assert self.feed._thread is not None
        thread = f"self/task/{self.feed._thread.native_id}"
        began_s = time.monotonic() - starved_s(thread)
        until(lambda: (self.take(), self.feed.state.condition == "lost")[1], "the loss")
        return self.feed.state.since_ns / 1e9 - starved_s(thread) - began_s

    def until_back(self) -> float:
        """Give the seconds until there is a picture that was captured from now on."""
        began_s, known = time.monotonic(), len(self.frames)
        until(lambda: self.take() and len(self.frames) > known, "a picture")
        return time.monotonic() - began_s

    def close(self) -> None:
        self.feed.stop()
        assert self.feed.join(30)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_killed_server_is_noticed_and_seen_again(server: RtspServer, transport: Transport) -> None:
    watched = Watched(server, transport)
    watched.take_for(1.0)
    server.kill()

    found_s = watched.until_lost()
    watched.take_for(3.0)  # long enough for the delays to have grown
    server.start()
    back_s = watched.until_back()
    watched.take_for(1.0)
    watched.close()

    print(f"\nRTSP {transport}, killed: found {found_s:.2f} s, back {back_s:.2f} s")  # noqa: T201 - a figure
    assert found_s < FOUND_S
    assert back_s < BACK_S
    assert max(watched.ages_s) < MAX_AGE_S + 0.05
    assert all(a.stamp.source_s < b.stamp.source_s for a, b in pairwise(watched.frames))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_server_that_hangs_is_noticed_and_seen_again(server: RtspServer, transport: Transport) -> None:
    watched = Watched(server, transport)
    watched.take_for(1.0)
    server.freeze()

    found_s = watched.until_lost()
    watched.take_for(1.5)
    server.thaw()
    back_s = watched.until_back()
    watched.take_for(0.5)
    watched.close()

    print(f"\nRTSP {transport}, stopped: found {found_s:.2f} s, back {back_s:.2f} s")  # noqa: T201 - a figure
    assert found_s < FOUND_S
    assert back_s < BACK_S
    assert max(watched.ages_s) < MAX_AGE_S + 0.05


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_after_a_pause_no_stale_picture_is_taken_for_new(server: RtspServer, transport: Transport) -> None:
    source = opener(server, transport)()
    for _ in range(50):
        source.read()
    time.sleep(3.0)
    began_ns = time.monotonic_ns()

    frames = [frame for _ in range(60) if isinstance(frame := source.read(), Frame)]
    source.close()

    oldest_s = max((began_ns - frame.stamp.mono_ns) / 1e9 for frame in frames)
    drops = camera_drops(source)
    print(f"\nRTSP {transport}, 3 s pause: {drops} left out, the oldest given was {oldest_s:.2f} s old and said so")  # noqa: T201
    assert oldest_s < MAX_AGE_S
    assert drops["stale"] >= 45
    behind = [frame for frame in frames if frame.stamp.mono_ns < began_ns]
    ages_s = [(began_ns - frame.stamp.mono_ns) / 1e9 for frame in behind]
    assert all(0.02 < a - b < 0.06 for a, b in pairwise(ages_s)), "each one's age is told"


def camera_drops(source: Source) -> dict[str, int]:
    assert isinstance(source, camera.CameraSource)
    return dict(source.drops)


def test_a_short_hang_of_the_server_brings_no_stale_pictures(server: RtspServer) -> None:
    watched = Watched(server, "tcp")
    watched.take_for(2.0)
    server.freeze()
    watched.take_for(1.5)
    server.thaw()
    watched.take_for(2.0)
    watched.close()

    assert watched.feed.state.condition == "ended"
    assert max(watched.ages_s) < MAX_AGE_S + 0.05
    assert max(watched.ages_s[-20:]) < 0.2


def test_a_camera_that_comes_back_with_another_size_and_rate_goes_on(server: RtspServer) -> None:
    watched = Watched(server, "tcp")
    watched.take_for(1.5)
    server.kill()
    watched.until_lost()
    server.reshape(320, 240, 10)
    server.start()
    watched.until_back()
    watched.take_for(1.0)
    watched.close()

    assert {frame.data.shape for frame in watched.frames} == {(480, 640, 3), (240, 320, 3)}


def test_an_unknown_stream_of_a_server_is_told(server: RtspServer) -> None:
    with pytest.raises(Exception, match="it has no such stream"):
        camera.open_source(url=server.url.replace("/live", "/other"), clock=SystemClock())


def test_pictures_are_no_larger_than_they_are_needed(server: RtspServer) -> None:
    source = camera.open_source(url=server.url, clock=SystemClock(), reduction=lambda width, _: width / 220)
    frame = source.read()
    source.close()

    assert frame is not None
    assert frame.data.shape == (240, 320, 3)


def test_a_read_in_another_thread_ends_soon_after_close(server: RtspServer) -> None:
    watched = Watched(server, "tcp")
    watched.take_for(1.0)
    server.freeze()
    watched.take_for(0.5)
    began_s = time.monotonic()
    watched.close()

    assert time.monotonic() - began_s < FOUND_S


def test_it_is_lost_and_not_ended(server: RtspServer) -> None:
    source = opener(server, "tcp")()
    source.read()
    server.kill()

    with pytest.raises(SourceLostError):
        list(iter(source.read, None))
    source.close()
