from __future__ import annotations

from edged.domain.frame import Samples
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.window import Windower
from fakes.source import picture, samples


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
