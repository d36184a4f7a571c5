"""What is too old is not inferred on, and counted."""

from __future__ import annotations

from edged.pipeline.inlet import Inlet
from edged.pipeline.mailbox import Mailbox
from fakes.clock import FakeClock
from fakes.source import picture


def test_a_frame_older_than_the_limit_is_dropped_as_stale() -> None:
    clock, box = FakeClock(), Mailbox()
    inlet = Inlet(box, clock, max_age_s=1.0)
    box.put(picture(mono_ns=clock.mono))
    clock.advance(1.1)

    assert inlet.take(0.01) is None
    assert box.drops == {"stale": 1}
    assert not inlet.ended


def test_a_frame_of_exactly_the_limit_is_taken() -> None:
    clock, box = FakeClock(), Mailbox()
    box.put(picture(mono_ns=clock.mono))
    clock.advance(1.0)

    assert Inlet(box, clock, max_age_s=1.0).take(0.01) is not None


def test_without_a_limit_no_frame_is_too_old() -> None:
    clock, box = FakeClock(), Mailbox()
    box.put(picture(mono_ns=0))

    assert Inlet(box, clock).take(0.01) is not None


def test_the_end_comes_through() -> None:
    box = Mailbox()
    inlet = Inlet(box, FakeClock())
    box.close()

    assert inlet.take(0.01) is None
    assert inlet.ended


def test_the_frame_in_hand_is_kept_only_when_it_is_asked_for() -> None:
    for keep in (True, False):
        box = Mailbox()
        inlet = Inlet(box, FakeClock(), keep=keep)
        box.put(picture(7))
        frame = inlet.take(0.01)

        assert inlet.in_hand is (frame if keep else None)


def test_its_repr_tells_the_limit() -> None:
    assert repr(Inlet(Mailbox("gate"), FakeClock(), max_age_s=1.0)).startswith("<Inlet up to 1 s old, <Mailbox 'gate'")
    assert repr(Inlet(Mailbox("gate"), FakeClock())).startswith("<Inlet any age")


def test_at_most_so_many_frames_a_second_pass_and_the_others_are_counted() -> None:
    clock, box = FakeClock(), Mailbox()
    inlet = Inlet(box, clock)
    inlet.limit(5.0)
    passed = 0
    for _ in range(20):
        box.put(picture(mono_ns=clock.mono))
        passed += inlet.take(0.01) is not None
        clock.advance(0.05)

    assert passed == 5
    assert box.drops == {"slowed": 15}


def test_without_the_limit_every_frame_passes_again() -> None:
    clock, box = FakeClock(), Mailbox()
    inlet = Inlet(box, clock)
    inlet.limit(0.1)
    inlet.limit(None)

    for _ in range(3):
        box.put(picture(mono_ns=clock.mono))
        assert inlet.take(0.01) is not None


def test_one_by_one_no_frame_is_taken_while_another_is_worked_on() -> None:
    box = Mailbox()
    inlet = Inlet(box, FakeClock())
    box.put(picture())
    inlet.one_by_one = True

    assert inlet.more() is None
    inlet.one_by_one = False
    assert inlet.more() is not None
