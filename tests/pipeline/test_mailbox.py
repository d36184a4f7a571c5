"""The mailbox: newest wins, or nothing lost."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import SourceLostError
from edged.pipeline.mailbox import Mailbox
from fakes.source import picture


def test_what_is_put_is_taken_once() -> None:
    box = Mailbox()
    frame = picture()

    assert box.put(frame)

    assert box.take(0) is frame
    assert box.take(0) is None


def test_a_newer_frame_replaces_one_that_waits_and_the_drop_is_counted() -> None:
    box = Mailbox()
    old, new = picture(0), picture(1)
    box.put(old)

    box.put(new)

    assert box.take(0) is new
    assert box.drops == {"replaced": 1}


def test_take_gives_none_after_its_timeout_and_has_not_ended() -> None:
    box = Mailbox()

    assert box.take(0.001) is None
    assert not box.ended


def test_a_frame_that_waits_can_still_be_taken_after_close() -> None:
    box = Mailbox()
    frame = picture()
    box.put(frame)

    box.close()

    assert not box.ended
    assert box.take(0) is frame
    assert box.ended
    assert box.take() is None


def test_a_frame_put_after_close_is_counted_as_dropped() -> None:
    box = Mailbox()
    box.close()

    assert box.put(picture())

    assert box.drops == {"closed": 1}
    assert box.ended


def test_the_first_close_says_why_it_ended() -> None:
    box = Mailbox()
    lost = SourceLostError("cannot read camera: unplugged, expected a picture")

    box.close(lost)
    box.close(None)

    assert box.error is lost


def test_a_clean_end_has_no_error() -> None:
    box = Mailbox()
    box.close()

    assert box.error is None


def test_a_lossless_put_gives_the_frame_back_while_the_place_is_taken() -> None:
    box = Mailbox(lossless=True)
    first, second = picture(0), picture(1)
    box.put(first, 0)

    assert not box.put(second, 0.001)

    assert box.take(0) is first
    assert box.put(second, 0)
    assert box.drops == {}


def test_a_lossless_put_into_a_closed_mailbox_does_not_wait() -> None:
    box = Mailbox(lossless=True)
    box.put(picture(0))
    box.close()

    assert box.put(picture(1))
    assert box.drops == {"closed": 1}


def test_close_wakes_a_writer_that_waits() -> None:
    box = Mailbox(lossless=True)
    box.put(picture(0))
    writer = threading.Thread(target=box.put, args=(picture(1),))
    writer.start()

    box.close()
    writer.join(30)

    assert not writer.is_alive()


def test_close_wakes_a_reader_that_waits() -> None:
    box = Mailbox()
    reader = threading.Thread(target=box.take)
    reader.start()

    box.close()
    reader.join(30)

    assert not reader.is_alive()


def test_a_put_wakes_a_reader_that_waits() -> None:
    box = Mailbox()
    got = []
    reader = threading.Thread(target=lambda: got.append(box.take(5)))
    reader.start()
    frame = picture()

    box.put(frame)
    reader.join(30)

    assert got == [frame]


def test_between_threads_a_lossless_mailbox_keeps_every_frame_in_order() -> None:
    box = Mailbox(lossless=True)
    frames = [picture(i) for i in range(500)]

    def write() -> None:
        for frame in frames:
            box.put(frame)
        box.close()

    writer = threading.Thread(target=write)
    writer.start()
    got = []
    while not box.ended:
        frame = box.take(5)
        if frame is not None:
            got.append(frame.stamp.index)
    writer.join(30)

    assert got == list(range(500))


def test_its_repr_says_use_state_and_losses() -> None:
    box = Mailbox("people")
    box.put(picture(0))
    box.put(picture(1))

    assert repr(box) == "<Mailbox 'people', newest wins: open, a frame waits, 2 put, 0 taken, drops {'replaced': 1}>"

    box.take(0)
    box.close()

    assert repr(box) == "<Mailbox 'people', newest wins: closed, empty, 2 put, 1 taken, drops {'replaced': 1}>"
    assert "lossless" in repr(Mailbox(lossless=True))


@given(st.lists(st.sampled_from(["put", "take", "close"])))
def test_every_frame_is_taken_dropped_or_waits(steps: list[str]) -> None:
    box = Mailbox()
    puts = takes = 0
    newest = -1
    for step in steps:
        if step == "put":
            box.put(picture(puts))
            puts += 1
        elif step == "close":
            box.close()
        elif (frame := box.take(0)) is not None:
            assert frame.stamp.index > newest
            newest = frame.stamp.index
            takes += 1
    waiting = box.take(0) is not None

    assert puts == takes + sum(box.drops.values()) + waiting
    assert box.puts == puts
