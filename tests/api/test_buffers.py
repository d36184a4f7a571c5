"""Memory for bodies."""

from __future__ import annotations

import numpy as np
import pytest

from edged.api import buffers
from edged.api.buffers import ALIGNMENT, LEAST_BYTES, Buffers

SIZE = 2 * LEAST_BYTES


@pytest.mark.parametrize("ahead", [0, 1, 63, 117])
def test_the_tensor_behind_a_header_lies_aligned(ahead: int) -> None:
    buffer, begin = Buffers().lend(SIZE, ahead)

    address = np.frombuffer(memoryview(buffer)[begin + ahead :], np.uint8).ctypes.data
    assert address % ALIGNMENT == 0
    assert len(buffer) - begin >= SIZE


def test_what_was_given_back_is_lent_again() -> None:
    kept = Buffers()
    buffer, _ = kept.lend(SIZE)
    kept.give_back(buffer)

    assert kept.lend(SIZE)[0] is buffer
    assert kept.lend(SIZE)[0] is not buffer


def test_what_somebody_still_looks_at_is_not_lent_again() -> None:
    kept = Buffers()
    buffer, _ = kept.lend(SIZE)
    looks = np.frombuffer(memoryview(buffer), np.uint8)

    kept.give_back(buffer)

    assert kept.lend(SIZE)[0] is not buffer
    assert not looks.any()


def test_no_more_is_kept_than_is_worth_it() -> None:
    kept = Buffers()
    lent = [kept.lend(buffers.KEPT_BYTES // 2 - 1024)[0] for _ in range(3)] + [kept.lend(8)[0]]
    for buffer in lent:
        kept.give_back(buffer)

    assert len(kept._free) == 2


def test_everything_is_let_go_after_a_while_without_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Buffers()
    kept.give_back(kept.lend(SIZE)[0])
    kept.let_go()
    assert len(kept._free) == 1

    monkeypatch.setattr(buffers, "CALM_S", -1.0)
    kept.let_go()

    assert repr(kept) == "<Buffers 0 kept, 0 bytes>"
