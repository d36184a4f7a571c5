"""A source that is lost, cannot be opened, is wrongly configured, or has a bug of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import pairwise

import pytest

from edged.domain.frame import Frame, Samples
from edged.domain.ports import Source
from edged.pipeline.feed import OPENING_S, Feed
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from fakes.clock import SECOND_NS, FakeClock
from fakes.feeding import ABSENT, LOST, WRONG, Opener, feed_of, run
from fakes.source import FakeSource, picture
from fakes.waiting import until


def test_a_lost_source_is_closed_and_opened_again_after_its_delay() -> None:
    clock = FakeClock()
    lost, found = FakeSource([LOST]), FakeSource([picture()])
    opener = Opener(lost, found)
    box = Mailbox()
    feed = feed_of(opener, Reader(box), clock=clock)
    run(feed, 2)

    assert feed.state.condition == "lost"
    assert feed.state.reason == str(LOST)
    assert feed.state.error is LOST
    assert lost.closes == 1
    began = clock.mono
    run(feed)

    assert clock.mono - began == SECOND_NS // 2
    assert box.take(0) is not None
    assert box.error is None


def test_a_device_that_cannot_be_opened_is_tried_for_ever_with_growing_delays() -> None:
    clock = FakeClock()
    feed = feed_of(Opener(*[ABSENT] * 4, FakeSource()), clock=clock)
    began = clock.mono

    run(feed)

    assert (clock.mono - began) / SECOND_NS == pytest.approx(0.5 + 1 + 2 + 4)


def test_while_it_is_away_the_state_says_since_when() -> None:
    clock = FakeClock()
    feed = feed_of(Opener(ABSENT, LOST, FakeSource()), clock=clock)
    feed.step()
    since = feed.state.since_ns

    while feed.state.error is ABSENT:
        feed.step()

    assert feed.state.since_ns == since < clock.mono
    assert feed.state.error is LOST


def test_the_heartbeat_moves_while_the_source_is_away() -> None:
    clock = FakeClock()
    feed = feed_of(Opener(*[ABSENT] * 9), clock=clock)
    beats = []

    for _ in range(40):
        feed.step()
        beats.append(feed.heartbeat_ns)

    assert max(b - a for a, b in pairwise(beats)) <= SECOND_NS // 4


def test_a_source_that_keeps_failing_soon_after_opening_is_tried_ever_more_seldom() -> None:
    clock = FakeClock()
    feed = feed_of(Opener(*[FakeSource([picture(), LOST]) for _ in range(4)], FakeSource()), clock=clock)
    began = clock.mono

    run(feed)

    assert (clock.mono - began) / SECOND_NS == pytest.approx(0.5 + 1 + 2 + 4)


def test_a_source_that_was_steady_starts_with_the_shortest_delay_again() -> None:
    clock = FakeClock()

    class Steady(FakeSource):
        def read(self) -> Frame | Samples | None:
            clock.advance(6)
            return super().read()

    steady = Steady([picture(0), picture(1), picture(2), LOST])
    feed = feed_of(Opener(ABSENT, ABSENT, ABSENT, steady, FakeSource()), clock=clock)
    while feed.state.condition != "live":
        feed.step()
    while feed.state.condition == "live":
        feed.step()
    began = clock.mono

    while feed.state.condition == "lost":
        feed.step()

    assert clock.mono - began == SECOND_NS // 2


def test_a_source_that_neither_opens_nor_fails_is_told_until_it_does() -> None:
    clock, opens = FakeClock(), threading.Event()

    def hanging() -> Source:
        opens.wait(10)
        return FakeSource([picture()])

    feed = Feed("dock", hanging, clock)
    clock.advance(OPENING_S + 1)
    assert feed.hang is None, "it was not started"

    feed.start()
    until(lambda: feed.state.since_ns == clock.mono, "it opens")
    assert feed.hang is None
    clock.advance(OPENING_S + 1)
    assert feed.hang is not None
    assert (feed.hang.code, feed.hang.component, feed.hang.fatal) == ("source-hangs", "dock", True)

    opens.set()
    assert feed.join(5)
    assert feed.hang is None


def test_nobody_waits_long_for_a_source_that_hangs_while_it_opens() -> None:
    opening, opens = threading.Event(), threading.Event()

    def hanging() -> Source:
        opening.set()
        opens.wait(60)
        return FakeSource()

    feed = Feed("dock", hanging, FakeClock())
    feed.start()
    assert opening.wait(10)
    feed.stop()

    began_s = time.monotonic()
    assert not feed.join(60)

    assert time.monotonic() - began_s < 20
    opens.set()
    until(lambda: feed.join(10), "its end")


def test_a_configuration_fault_ends_it_and_its_readers_with_the_reason() -> None:
    box = Mailbox()
    feed = feed_of(Opener(WRONG), Reader(box))

    run(feed)

    assert feed.ended
    assert feed.state.error is WRONG
    assert box.error is WRONG


def test_a_configuration_fault_found_while_reading_ends_it_too() -> None:
    feed = feed_of(Opener(FakeSource([WRONG])))

    run(feed)

    assert feed.state.error is WRONG


def test_a_damaged_recording_ends_with_its_error_after_all_its_frames() -> None:
    box = Mailbox()
    opener = Opener(FakeSource([picture(), LOST]))
    feed = feed_of(opener, Reader(box), reopen=False)

    run(feed)

    assert opener.opened == 1
    assert box.take(0) is not None
    assert box.ended
    assert box.error is LOST


def test_an_error_of_a_source_that_is_being_stopped_is_no_loss() -> None:
    feed = feed_of(Opener(FakeSource([LOST])))
    feed.step()
    feed._stop.set()

    feed.step()

    assert feed.state.condition == "ended"
    assert feed.state.error is None


def test_drops_of_sources_that_were_lost_are_still_counted() -> None:
    lost, found = FakeSource([LOST]), FakeSource([picture()])
    lost.drops["damaged"] = 2
    found.drops["damaged"] = 3
    feed = feed_of(Opener(lost, found))

    while feed.frames == 0:
        feed.step()
    assert feed.drops == {"damaged": 5}
    run(feed)

    assert feed.drops == {"damaged": 5}


class Odd(FakeSource):
    """Has a bug that its second reading brings out."""

    def read(self) -> Frame | Samples | None:
        if self.reads:
            raise ZeroDivisionError(self.reads)
        return super().read()


def test_a_bug_of_a_source_is_a_loss_of_its_and_it_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    box = Mailbox()
    feed = feed_of(Opener(Odd([picture(0)]), FakeSource([picture(1)])), Reader(box), clock=clock)

    feed.step()
    feed.step()
    assert box.take(0) is not None
    feed.step()

    assert feed.state.condition == "lost"
    assert (feed.state.error.code, "ZeroDivisionError: 1" in feed.state.reason) == ("internal", True)  # type: ignore[union-attr]
    assert "Traceback" in caplog.text
    run(feed)
    assert box.take(0) is not None
    assert feed.state.error is None


def test_a_bug_while_opening_is_tried_again_too() -> None:
    box = Mailbox()
    feed = feed_of(Opener(KeyError("x"), FakeSource([picture()])), Reader(box))

    run(feed)

    assert box.take(0) is not None


def test_a_bug_in_a_recording_ends_it_after_what_was_read() -> None:
    box = Mailbox()
    feed = feed_of(Opener(Odd([picture()])), Reader(box), reopen=False)

    run(feed)

    assert box.take(0) is not None
    assert box.error is feed.state.error
    assert box.error is not None
    assert box.error.code == "internal"


def test_readers_learn_of_the_end_even_when_a_bug_ends_the_thread() -> None:
    class Broken(Reader):
        def frames_of(self, item: Frame | Samples) -> Sequence[Frame]:
            raise ZeroDivisionError(item)

    box = Mailbox()
    feed = Feed("dock", lambda: FakeSource([picture()]), FakeClock(), readers=[Broken(box)])

    with pytest.raises(ZeroDivisionError):
        feed.run()

    assert box.ended
    assert box.error is not None
    assert box.error.code == "internal"
    assert feed.state.error is box.error
