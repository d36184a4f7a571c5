"""Memory for bodies."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from edged.api import buffers
from edged.api.bodies import Body
from edged.api.buffers import ALIGNMENT, LEAST_BYTES, Buffers
from edged.api.refusal import RefusedError
from fakes.raw_http import RawClient
from fakes.serving import FakeBrought, box, served
from fakes.waiting import until

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


def test_many_bodies_at_once_are_refused_and_one_that_is_large_by_itself_is_not() -> None:
    kept = Buffers()
    kept.take(2 * buffers.MOST_BYTES)
    with pytest.raises(RefusedError, match=f"cannot take a body of 1 bytes now: others take {2 * buffers.MOST_BYTES}"):
        kept.take(1)
    kept.leave(2 * buffers.MOST_BYTES)
    kept.take(buffers.MOST_BYTES - 1)
    kept.take(1)


def test_a_body_that_grows_is_counted_and_one_that_was_closed_is_not() -> None:
    kept = Buffers()
    body = Body(kept, 2)
    body.add(b"abc")
    body.add(b"d" * (buffers.MOST_BYTES - 4))
    assert kept._taken == buffers.MOST_BYTES - 1
    Body(kept, 1).close()
    with pytest.raises(RefusedError, match="cannot take a body of 2 bytes now"):
        Body(kept, 2)
    body.close()
    body.close()
    assert kept._taken == 0


def test_heads_that_announce_more_than_there_is_room_for_are_refused_until_those_before_them_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffers, "MOST_BYTES", 3_000_000)
    with served(box(FakeBrought("m")).loaded("m")) as port:
        with RawClient(port) as first:
            assert _told(first) == b"HTTP/1.1 100"
            with RawClient(port) as second:
                assert _told(second) == b"HTTP/1.1 429"
        until(lambda: _is_let_in(port), "the first one has gone")


def _is_let_in(port: int) -> bool:
    with RawClient(port) as client:
        return _told(client) == b"HTTP/1.1 100"


def _told(client: RawClient) -> bytes:
    """Announce a body, and give the beginning of what is said to that: 100 is that there is room for it."""
    client.send(b"POST /v2/models/m/infer HTTP/1.1\r\nHost: localhost\r\n")
    client.send(b"Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n")
    return client.socket.recv(12, socket.MSG_WAITALL)
