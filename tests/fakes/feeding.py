"""Feeds whose sources open, fail and end as a test says."""

from __future__ import annotations

from collections.abc import Callable

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Frame
from edged.domain.ports import Source
from edged.pipeline.backoff import Backoff
from edged.pipeline.feed import Feed
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from fakes.clock import FakeClock
from fakes.source import FakeSource

LOST = SourceLostError("cannot read camera: unplugged, expected a picture")
ABSENT = DeviceError("cannot open camera: no such device, expected a camera")
WRONG = ConfigError("cannot open video: no such file, expected a video")


class Opener:
    """Gives one scripted outcome an opening: a source, or an error."""

    def __init__(self, *outcomes: FakeSource | Exception) -> None:
        self.outcomes = list(outcomes)
        self.opened = 0

    def __call__(self) -> Source:
        self.opened += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def waiting_on(clock: FakeClock) -> Callable[[float], bool]:
    def wait(seconds: float) -> bool:
        clock.advance(seconds)
        return False

    return wait


def feed_of(opener: Opener, *readers: Reader, clock: FakeClock | None = None, **options: object) -> Feed:
    clock = clock or FakeClock()
    options |= {"backoff": Backoff(jitter=lambda: 1.0), "wait": waiting_on(clock), "slice_s": 0.02}
    return Feed("dock", opener, clock, readers=readers, **options)  # type: ignore[arg-type]


def run(feed: Feed, steps: int = 1000) -> None:
    for _ in range(steps):
        if not feed.step():
            return


def frames_in(*boxes: Mailbox) -> list[Frame | None]:
    return [box.take(0) for box in boxes]
