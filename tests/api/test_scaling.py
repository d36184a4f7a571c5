"""How many instances work."""

from __future__ import annotations

from edged.api.scaling import CALM_NS, Move, Scaling

MS = 1_000_000


def press(scaling: Scaling, from_ms: int, to_ms: int, every_ms: int, waiting: int = 4) -> tuple[list[Move], int]:
    """Answer one each ``every_ms``; gives what was said but stay, and the time."""
    said: list[Move] = []
    for at_ms in range(from_ms, to_ms, every_ms):
        move = scaling.answered(at_ms * MS, waiting=waiting)
        if move != "stay":
            said.append(move)
            break
    return said, at_ms


def test_one_more_is_tried_once_somebody_always_waited_for_a_while() -> None:
    scaling = Scaling(2, 0)

    said, at_ms = press(scaling, 0, 5000, 10)

    assert said == ["more"]
    assert at_ms >= 300
    assert scaling.count == 2


def test_a_burst_is_no_reason() -> None:
    scaling = Scaling(2, 0)

    for at_ms in range(0, 5000, 10):
        assert scaling.answered(at_ms * MS, waiting=at_ms % 200) == "stay"


def test_one_more_that_does_not_pay_goes_and_is_not_tried_again_soon() -> None:
    scaling = Scaling(2, 0)
    _, at_ms = press(scaling, 0, 5000, 10)

    said, at_ms = press(scaling, at_ms, 9000, 10)

    assert (said, scaling.count) == (["fewer"], 1)
    assert press(scaling, at_ms, at_ms + 60_000, 10)[0] == []
    assert press(scaling, at_ms + 60_000, at_ms + 600_000, 10)[0] == ["more"]


def test_one_more_that_pays_stays_and_the_next_is_tried() -> None:
    scaling = Scaling(3, 0)
    _, at_ms = press(scaling, 0, 5000, 10)

    said, at_ms = press(scaling, at_ms, 9000, 6)

    assert (said, scaling.count) == (["more"], 3)
    assert press(scaling, at_ms, at_ms + 9000, 4)[0] == []


def test_it_ends_at_the_limit() -> None:
    assert press(Scaling(1, 0), 0, 60_000, 10)[0] == []


def test_after_calm_they_go_one_by_one() -> None:
    scaling = Scaling(3, 0)
    _, at_ms = press(scaling, 0, 5000, 10)
    _, at_ms = press(scaling, at_ms, 9000, 6)
    at_ns = at_ms * MS

    assert scaling.looked(at_ns + CALM_NS) == "stay"
    assert scaling.looked(at_ns + CALM_NS + 1) == "fewer"
    assert scaling.looked(at_ns + CALM_NS + 2) == "stay"
    assert scaling.looked(at_ns + 2 * CALM_NS + 2) == "fewer"
    assert scaling.looked(at_ns + 9 * CALM_NS) == "stay"
    assert scaling.count == 1


def test_what_the_box_has_no_room_for_is_not_tried_again() -> None:
    scaling = Scaling(3, 0)
    _, at_ms = press(scaling, 0, 5000, 10)

    scaling.lost(for_good=True)

    assert scaling.count == 1
    assert press(scaling, at_ms, at_ms + 900_000, 10)[0] == []


def test_what_could_not_be_had_this_time_is_tried_again() -> None:
    scaling = Scaling(2, 0)
    _, at_ms = press(scaling, 0, 5000, 10)

    scaling.lost(for_good=False)

    assert press(scaling, at_ms, at_ms + 5000, 10)[0] == ["more"]
