from __future__ import annotations

import threading

import numpy as np

from edged.domain.frame import Frame, Samples
from edged.pipeline.inlet import Inlet
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.window import Windower
from fakes.clock import FakeClock
from fakes.results import stamp
from fakes.source import picture, samples
from fakes.waiting import LONGEST_S


def two(at_s: float) -> Samples:
    return samples([[1.0], [2.0]], [at_s, at_s + 0.1])


def test_a_paused_reader_drops_by_cause_also_without_a_model_and_goes_on() -> None:
    reader = Reader(Mailbox("gate"))
    reader.pause()
    assert reader.frames_of(picture()) == ()
    assert reader.offer(picture(), 0.0)
    reader.shut()
    assert reader.offer(picture(), 0.0)
    assert "paused" in repr(reader)
    reader.resume()
    reader.open(None)
    assert len(reader.frames_of(picture())) == 1
    assert reader.mailbox.drops == {"paused": 3}


def test_a_window_that_was_half_full_at_the_pause_is_begun_anew() -> None:
    reader = Reader(Mailbox("bearing"), Windower(4, 4, 1))
    assert reader.frames_of(two(0.0)) == []
    reader.pause()
    reader.frames_of(two(0.2))
    reader.resume()
    assert reader.frames_of(two(2.0)) == []
    assert len(reader.frames_of(two(2.2))) == 1


def old_window(index: int) -> Frame:
    return Frame(np.zeros((2, 1), np.float32), stamp(float(index), index))


def test_windows_that_were_cut_for_the_model_before_are_dropped_by_cause() -> None:
    mailbox = Mailbox("gate")
    reader = Reader(mailbox, Windower(2, 2, 1))
    inlet = Inlet(mailbox, FakeClock(), fits=reader.fits)
    assert reader.offer(old_window(0), 0.0)

    reader.open(Windower(4, 4, 1))

    assert inlet.take(0.0) is None
    assert reader.offer(old_window(1), 0.0), "it was cut before, and comes now"
    assert inlet.take(0.0) is None
    assert mailbox.drops == {"model-changed": 2}


def test_a_window_that_waits_for_its_place_while_the_model_changes_never_comes_to_the_new_one() -> None:
    mailbox = Mailbox("gate", lossless=True)
    reader = Reader(mailbox, Windower(2, 2, 1))
    inlet = Inlet(mailbox, FakeClock(), fits=reader.fits)
    assert reader.offer(old_window(0), 0.0)
    giver = threading.Thread(target=reader.offer, args=(old_window(1), LONGEST_S))
    giver.start()

    reader.open(Windower(4, 4, 1))

    assert [inlet.take(LONGEST_S), inlet.take(LONGEST_S)] == [None, None]
    giver.join()
    assert mailbox.drops == {"model-changed": 2}
