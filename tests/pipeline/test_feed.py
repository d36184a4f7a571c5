"""One source, its thread's steps, and all who read it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest

from edged.domain.errors import ConfigError, DeviceError, SourceLostError
from edged.domain.frame import Frame, Samples
from edged.domain.ports import Source
from edged.pipeline.backoff import Backoff
from edged.pipeline.feed import OPENING_S, Feed
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.window import Windower
from fakes.clock import SECOND_NS, FakeClock
from fakes.source import FakeSource, picture, samples
from fakes.waiting import until

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


def test_one_open_and_one_read_serve_every_reader() -> None:
    frame = picture()
    opener = Opener(FakeSource([frame]))
    one, two = Mailbox(), Mailbox()
    feed = feed_of(opener, Reader(one), Reader(two))

    run(feed)

    assert opener.opened == 1
    assert frames_in(one, two) == [frame, frame]
    assert feed.frames == 1


def test_a_shared_picture_cannot_be_written_to() -> None:
    frame = picture()
    run(feed_of(Opener(FakeSource([frame]))))

    with pytest.raises(ValueError, match="read-only"):
        frame.data[:] = 1


def test_the_end_of_a_finite_source_closes_readers_cleanly() -> None:
    source = FakeSource([picture()])
    box = Mailbox()
    feed = feed_of(Opener(source), Reader(box))

    run(feed)

    assert feed.ended
    assert feed.state.error is None
    assert source.closes == 1
    assert not box.ended
    assert box.take(0) is not None
    assert box.ended
    assert box.error is None


def test_a_finite_source_into_lossless_mailboxes_loses_nothing() -> None:
    box = Mailbox(lossless=True)
    feed = feed_of(Opener(FakeSource([picture(i) for i in range(5)])), Reader(box))
    got = []

    while feed.step():
        if box.drops == {} and feed.state.condition == "live" and (frame := box.take(0)) is not None:
            got.append(frame.stamp.index)
    got += [frame.stamp.index for frame in frames_in(box) if frame is not None]

    assert got == [0, 1, 2, 3, 4]


def test_a_slow_lossless_reader_is_offered_its_frame_again() -> None:
    box = Mailbox(lossless=True)
    first, second = picture(0), picture(1)
    source = FakeSource([first, second])
    feed = feed_of(Opener(source), Reader(box))
    box_full = 4  # opened, read, read, and one offer in vain

    run(feed, box_full)
    assert source.reads == 2
    assert box.take(0) is first
    feed.step()

    assert box.take(0) is second


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


def test_frames_above_the_rate_are_dropped_by_cause() -> None:
    frames = [picture(i, i / 30) for i in range(30)]
    box = Mailbox()
    feed = feed_of(Opener(FakeSource(list(frames))), Reader(box), fps=10.0)

    run(feed)

    assert feed.drops == {"rate": 20}
    assert box.puts == 10


def test_a_recorded_pace_hands_frames_out_when_due_and_stamps_them_then() -> None:
    clock = FakeClock()
    box = Mailbox(lossless=True)
    feed = feed_of(Opener(FakeSource([picture(0, 5.0), picture(1, 7.0)])), Reader(box), clock=clock, pace="recorded")
    began = clock.mono
    stamps = []

    while feed.step():
        if (frame := box.take(0)) is not None:
            stamps.append((frame.stamp.mono_ns - began, frame.stamp.wall_ns, frame.stamp.source_s))

    assert [stamp[0] for stamp in stamps] == [0, 2 * SECOND_NS]
    assert stamps[1][1] == clock.wall
    assert [stamp[2] for stamp in stamps] == [5.0, 7.0]


def test_samples_are_cut_into_windows_for_the_readers_that_want_them() -> None:
    box = Mailbox(lossless=True)
    block = samples([[float(i)] for i in range(6)], [i / 10 for i in range(6)])
    feed = feed_of(Opener(FakeSource([block])), Reader(box, Windower(3, 3, 1)))
    got = []

    while feed.step():
        if (frame := box.take(0)) is not None:
            got.append(frame.data[:, 0].tolist())

    assert got == [[0, 1, 2], [3, 4, 5]]


def test_a_window_never_spans_a_loss() -> None:
    def block() -> Samples:
        return samples([[1.0], [1.0]], [0.0, 0.1])

    box = Mailbox()
    feed = feed_of(Opener(FakeSource([block(), LOST]), FakeSource([block()])), Reader(box, Windower(3, 1, 1)))

    run(feed)

    assert box.puts == 0


@pytest.mark.parametrize(
    ("item", "windower"),
    [(samples([[1.0]], [0.0]), None), (picture(), Windower(2, 2, 1)), (samples([[1.0]], [0.0]), Windower(2, 2, 3))],
)
def test_a_reader_that_does_not_fit_ends_alone(item: Frame | Samples, windower: Windower | None) -> None:
    wrong, right = Mailbox("wrong"), Mailbox("right")
    fitting = Reader(right, Windower(1, 1, 1) if isinstance(item, Samples) else None)
    feed = feed_of(Opener(FakeSource([item])), Reader(wrong, windower), fitting)

    run(feed, 2)

    assert isinstance(wrong.error, ConfigError)
    assert wrong.ended
    assert right.take(0) is not None
    assert not right.ended


def test_a_reader_without_a_model_holds_nobody_up_and_its_losses_are_counted() -> None:
    shut, other = Mailbox(lossless=True), Mailbox(lossless=True)
    reader = Reader(shut)
    feed = feed_of(Opener(FakeSource([picture(i) for i in range(4)])), reader, Reader(other))
    got = []
    run(feed, 4)  # opened, two read, and the second one offered to a reader that has not taken the first

    reader.shut()
    while feed.step():
        if (frame := other.take(0)) is not None:
            got.append(frame.stamp.index)

    assert got == [0, 1, 2, 3]
    assert shut.drops == {"no-model": 3}


def test_a_reader_is_opened_again_with_what_its_next_model_takes() -> None:
    box = Mailbox()
    reader = Reader(box)
    reader.shut()
    assert reader.frames_of(samples([[1.0]], [0.0])) == ()

    reader.open(Windower(1, 1, 1))

    assert len(reader.frames_of(samples([[1.0]], [0.0]))) == 1
    assert box.drops == {"no-model": 1}


def test_stop_before_the_source_is_open_ends_it_at_once() -> None:
    opener = Opener()
    feed = feed_of(opener)

    feed.stop()

    assert not feed.step()
    assert opener.opened == 0


def test_a_source_that_counts_nothing_is_served_too() -> None:
    class Plain:
        def read(self) -> Frame | None:
            return None

        def close(self) -> None:
            pass

    feed = Feed("dock", Plain, FakeClock())

    run(feed)

    assert feed.ended
    assert feed.drops == {}


def test_stop_closes_source_and_readers_and_counts_what_it_cut_off() -> None:
    source = FakeSource([picture(0), picture(1)])
    box = Mailbox(lossless=True)
    feed = feed_of(Opener(source), Reader(box))
    run(feed, 4)

    feed.stop()

    assert source.closes == 1
    assert not feed.step()
    assert feed.ended
    assert feed.drops == {"stopped": 1}
    assert box.take(0) is not None
    assert box.ended


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


def test_its_repr_answers_a_field_engineer() -> None:
    clock = FakeClock()
    feed = feed_of(Opener(ABSENT), Reader(Mailbox()), clock=clock)
    assert repr(feed) == "<Feed 'dock': opening for 0.0 s, 0 frames, drops {}, 1 readers>"
    feed.step()

    clock.advance(3)

    assert repr(feed) == f"<Feed 'dock': lost for 3.0 s ({ABSENT}), 0 frames, drops {{}}, 1 readers>"


def test_a_readers_repr_says_what_it_feeds() -> None:
    assert repr(Reader(Mailbox("a"))).startswith("<Reader open, <Mailbox 'a'")
    assert "<Windower 4x1" in repr(Reader(Mailbox("a"), Windower(4, 4, 1)))


def test_a_feed_without_a_thread_has_ended_when_joined() -> None:
    assert feed_of(Opener()).join(0)


def test_in_its_thread_it_runs_to_the_end_of_a_finite_source() -> None:
    box = Mailbox(lossless=True)
    feed = Feed("dock", lambda: FakeSource([picture(i) for i in range(50)]), FakeClock(), readers=[Reader(box)])
    feed.start()
    got = 0
    while not box.ended:
        got += box.take(5) is not None

    assert feed.join(30)
    assert got == 50


def test_its_thread_stops_within_a_second_while_its_source_waits() -> None:
    class Waiting(FakeSource):
        def __init__(self) -> None:
            super().__init__()
            self.closed = threading.Event()
            self.entered = threading.Event()

        def read(self) -> Frame | Samples | None:
            self.entered.set()
            self.closed.wait(10)
            return None

        def close(self) -> None:
            self.closed.set()

    source = Waiting()
    feed = Feed("dock", lambda: source, FakeClock())
    feed.start()
    assert source.entered.wait(30)

    feed.stop()

    assert feed.join(1)


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


def test_pictures_of_any_size_pass() -> None:
    small = Frame(np.zeros((1, 1, 3), np.uint8), picture().stamp)
    box = Mailbox()

    run(feed_of(Opener(FakeSource([small])), Reader(box)))

    assert box.take(0) is small
