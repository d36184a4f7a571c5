"""The outbox with its thread, and the port's contract, which the fake keeps too."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edged.domain import ports
from edged.domain.message import Draft, Late
from edged.fleet.outbox import ASIDE_S, Outbox
from edged.fleet.ready import Row
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox
from fakes.waiting import until

BODY = {"schema": "edged.result/1"}


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    opened = Outbox.open(tmp_path / "outbox.sqlite3", device="d", clock=FakeClock(), max_bytes=4 << 20, boot_id="b")
    yield opened
    opened.close()


@pytest.fixture(params=["fake", "real"])
def port(request: pytest.FixtureRequest) -> ports.Outbox:
    return FakeOutbox() if request.param == "fake" else request.getfixturevalue("outbox")


Refusing = Callable[[], contextlib.AbstractContextManager[ports.Outbox]]


@pytest.fixture(params=["fake", "real"])
def full(request: pytest.FixtureRequest) -> ports.Outbox:
    if request.param == "fake":
        return FakeOutbox(room=0)
    closed: Outbox = request.getfixturevalue("outbox")
    closed.close()
    return closed


def claim_all(outbox: Outbox, count: int) -> list[Row]:
    rows: list[Row] = []

    def enough() -> bool:
        rows.extend(outbox.claim(1000))
        return len(rows) >= count

    until(enough, f"{count} rows")
    return rows


def test_a_put_is_taken(port: ports.Outbox) -> None:
    assert port.put(Draft("result/a", BODY)) is True


def test_a_put_that_finds_no_room_says_so_and_does_not_raise(full: ports.Outbox) -> None:
    assert full.put(Draft("result/a", BODY)) is False


def test_puts_from_many_threads_are_numbered_without_a_gap(outbox: Outbox) -> None:
    def send(stream: str) -> None:
        for n in range(100):
            assert outbox.put(Draft(stream, {**BODY, "n": n}), wait_s=10)

    threads = [threading.Thread(target=send, args=(f"result/{n % 2}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outbox.flush(60)
    rows = claim_all(outbox, 400)
    for stream in ("result/0", "result/1"):
        assert [row.seq for row in rows if row.stream == stream] == list(range(1, 201))


def test_a_drain_waits_for_the_acknowledgements(outbox: Outbox) -> None:
    outbox.put(Draft("result/a", BODY))
    assert outbox.flush(60)
    assert not outbox.drain(0.01)
    (row,) = outbox.claim(10)

    outbox.ack([row.key, row.key, (0, 99)])

    assert outbox.drain(30)
    until(lambda: outbox.stats().acknowledged == 1, "deleted once")


def test_the_last_acknowledgement_ends_a_drain_though_the_writer_does_nothing(outbox: Outbox) -> None:
    outbox.put(Draft("result/a", BODY))
    assert outbox.flush(60)
    (row,) = outbox.claim(10)
    outbox.close()
    draining = threading.Thread(target=outbox.drain, args=(60.0,), daemon=True)
    draining.start()

    outbox.ack([row.key])

    draining.join(30)
    assert not draining.is_alive()


def test_drafts_that_come_fast_are_all_committed_in_order(outbox: Outbox) -> None:
    for _ in range(50):
        outbox.put(Draft("result/a", BODY))
        assert outbox.flush(60)

    assert [row.seq for row in claim_all(outbox, 50)] == list(range(1, 51))


def test_the_writer_leaves_who_woke_it_a_moment_to_go_on(outbox: Outbox) -> None:
    built_s: list[float] = []
    aside_s: list[float] = []

    def built() -> dict[str, str]:
        built_s.append(time.monotonic())
        return BODY

    for _ in range(9):
        time.sleep(0.02)
        put_s = time.monotonic()
        outbox.put(Draft("result/a", Late(built)))
        assert outbox.flush(60)
        aside_s.append(built_s[-1] - put_s)

    assert sorted(aside_s)[4] >= ASIDE_S


def test_what_is_given_back_is_claimed_again(outbox: Outbox) -> None:
    outbox.put(Draft("result/a", BODY))
    outbox.flush(60)
    first = outbox.claim(10)

    outbox.give_back()

    assert outbox.claim(10) == first


def test_whoever_sends_is_woken_by_a_commit(outbox: Outbox) -> None:
    woken = threading.Event()
    outbox.on_ready(woken.set)

    outbox.put(Draft("result/a", BODY))

    assert woken.wait(30)


def test_events_become_durable_soon(outbox: Outbox) -> None:
    outbox.put(Draft("event/a", BODY, priority=0))

    until(lambda: outbox.durable("event/a") == 1, "flushed")


def test_a_refused_row_is_declared_when_it_closes(outbox: Outbox, tmp_path: Path) -> None:
    outbox.put(Draft("result/a", BODY))
    outbox.flush(60)
    (row,) = outbox.claim(10)
    outbox.refuse(row.key, "broker-99")
    outbox.close()

    again = Outbox.open(tmp_path / "outbox.sqlite3", device="d", clock=FakeClock(), max_bytes=4 << 20)
    (gap,) = [json.loads(found.payload) for found in claim_all(again, 1)]
    again.close()

    assert (gap["schema"], gap["stream"], gap["count"]) == ("edged.gap/1", "result/a", 1)


def test_a_closed_outbox_holds_what_was_put_before(outbox: Outbox, tmp_path: Path) -> None:
    for _ in range(50):
        outbox.put(Draft("result/a", BODY))
    outbox.close()
    outbox.close()

    again = Outbox.open(tmp_path / "outbox.sqlite3", device="d", clock=FakeClock(), max_bytes=4 << 20)
    assert (again.pending(), again.committed("result/a")) == (50, 50)
    again.close()


def test_the_repr_answers_a_field_engineer(outbox: Outbox) -> None:
    outbox.put(Draft("result/a", BODY))
    outbox.flush(60)

    assert repr(outbox) == "<Outbox outbox.sqlite3: on disk, 1 pending, 0 in flight, 0 evicted, 0 dropped>"
    assert outbox.health() == ()
    assert outbox.alive
