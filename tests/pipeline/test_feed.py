"""One source, its thread's steps, and all who read it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edged.domain.errors import ConfigError
from edged.domain.frame import Frame, Samples
from edged.pipeline.feed import Feed
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.window import Windower
from fakes.clock import SECOND_NS, FakeClock
from fakes.feeding import ABSENT, LOST, Opener, feed_of, frames_in, run
from fakes.source import FakeSource, picture, samples


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


def test_pictures_of_any_size_pass() -> None:
    small = Frame(np.zeros((1, 1, 3), np.uint8), picture().stamp)
    box = Mailbox()

    run(feed_of(Opener(FakeSource([small])), Reader(box)))

    assert box.take(0) is small
