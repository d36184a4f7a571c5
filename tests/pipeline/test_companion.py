from __future__ import annotations

import numpy as np

from edged.domain.frame import Frame, Stamp
from edged.domain.result import Classes, Output
from edged.pipeline.companion import Companion

ANSWER = Classes(())


class Seen:
    """Remembers the frames that were handed over."""

    def __init__(self) -> None:
        self.indices: list[int] = []

    def saw(self, frame: Frame, output: Output) -> None:
        assert output is ANSWER
        self.indices.append(frame.stamp.index)


def go_on(companion: Companion, frames: range) -> None:
    for index in frames:
        assert companion(ANSWER, Frame(np.zeros((1, 1)), Stamp(index, 0, 0, 0.0))) is ANSWER


def test_one_frame_in_so_many_is_handed_over_until_it_leaves() -> None:
    companion, seen = Companion(), Seen()
    go_on(companion, range(3))
    companion.attend(seen, 3)
    assert companion.attends(seen)

    go_on(companion, range(10))
    companion.leave(seen)
    go_on(companion, range(10, 20))

    assert seen.indices == [2, 5, 8]
    assert not companion.attends(seen)


def test_one_that_left_already_ends_nobody_else_s_turn() -> None:
    companion, before, seen = Companion(), Seen(), Seen()
    companion.attend(before, 1)
    companion.attend(seen, 1)

    companion.leave(before)
    go_on(companion, range(2))
    companion.close()

    assert (before.indices, seen.indices) == ([], [0, 1])


def test_its_words_say_who_runs_beside() -> None:
    companion = Companion()
    assert repr(companion) == "<Companion of nobody>"
    companion.attend(Seen(), 10)
    assert repr(companion).startswith("<Companion one frame in 10 to <")
