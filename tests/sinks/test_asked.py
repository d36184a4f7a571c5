from __future__ import annotations

from dataclasses import dataclass, field, replace

from edged.domain.frame import Frame
from edged.domain.ports import Sink
from edged.domain.result import Event, Result
from edged.sinks.asked import SnapshotOnCommand
from fakes.results import detections, result
from fakes.source import picture


@dataclass
class Hand:
    keep: bool = False
    in_hand: Frame | None = None


@dataclass
class Taker:
    told: list[str] = field(default_factory=list)

    def result(self, taken: Result) -> None:
        self.told.append(f"result {taken.stamp.index}")

    def event(self, event: Event) -> None:
        self.told.append(f"{event.phase} of {event.rule!r} at {event.result.stamp.index}")


def of(frame: Frame) -> Result:
    return replace(result(detections("cat")), stamp=frame.stamp)


def test_the_next_frame_is_taken_once_and_held_no_longer() -> None:
    hand, taker = Hand(), Taker()
    sink = SnapshotOnCommand(hand, lambda: taker)
    old, new, later = picture(1), picture(2), picture(3)
    sink.result(of(old))
    sink.ask()
    assert hand.keep
    sink.result(of(old))  # taken from the mailbox before the question
    assert taker.told == []
    hand.in_hand = new
    sink.result(of(new))
    sink.result(of(later))
    sink.event(Event("gate", "r", "start", new.stamp, new.stamp, of(new)))

    assert taker.told == ["result 2", "start of '' at 2"]
    assert (hand.keep, hand.in_hand) == (False, None)


def test_where_frames_are_held_anyway_they_still_are() -> None:
    built: list[Taker] = []

    def build() -> Sink:
        built.append(Taker())
        return built[-1]

    hand = Hand(keep=True, in_hand=picture(1))
    sink = SnapshotOnCommand(hand, build)
    for _ in range(2):
        sink.ask()
        sink.result(of(picture(1)))

    assert hand.keep
    assert hand.in_hand is not None
    assert len(built) == 1
