"""A disk that stands still, or makes nothing durable, is told in health."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from edged.domain.message import Draft, Late
from edged.fleet.outbox import Outbox
from edged.fleet.stalls import STALL_NS, Stalls
from fakes.clock import SECOND_NS, FakeClock
from fakes.waiting import LONGEST_S, until

MINUTE_NS = 60 * SECOND_NS


@pytest.fixture
def stalls(tmp_path: Path) -> Stalls:
    return Stalls(tmp_path / "outbox.sqlite3")


def test_a_short_step_is_nothing(stalls: Stalls) -> None:
    stalls.begin(0)
    assert stalls.troubles(STALL_NS - 1) == ()
    stalls.end(STALL_NS - 1)
    assert stalls.troubles(STALL_NS) == ()


def test_a_disk_that_stands_still_is_told_while_it_does_and_for_minutes_after(stalls: Stalls) -> None:
    stalls.begin(0)
    (now,) = stalls.troubles(8 * SECOND_NS)
    stalls.end(26 * SECOND_NS)
    stalls.begin(27 * SECOND_NS)
    (after,) = stalls.troubles(28 * SECOND_NS)

    assert (now.code, after.code) == ("outbox-stalled", "outbox-stalled")
    assert "has been standing still for 8 s" in now.message
    assert "stood still for 26 s" in after.message
    assert after.remedy
    stalls.end(28 * SECOND_NS)
    assert stalls.troubles(11 * MINUTE_NS) == ()


def test_documents_that_no_flush_makes_durable_are_told(stalls: Stalls) -> None:
    stalls.failed(SECOND_NS, OSError(errno.EIO, os.strerror(errno.EIO)))
    (told,) = stalls.troubles(2 * SECOND_NS)

    assert told.code == "outbox-not-durable"
    assert "Input/output error" in told.message
    assert stalls.troubles(12 * MINUTE_NS) == ()


def test_the_outbox_tells_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, busy, go_on = FakeClock(), threading.Event(), threading.Event()
    outbox = Outbox.open(tmp_path / "outbox.sqlite3", device="d", clock=clock, max_bytes=4 << 20, boot_id="b")

    def built() -> dict[str, str]:
        busy.set()
        assert go_on.wait(LONGEST_S)
        return {"schema": "edged.result/1"}

    def fails(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("edged.fleet.durable.os.fdatasync", fails)
    outbox.put(Draft("result/a", Late(built)))
    assert busy.wait(LONGEST_S)
    clock.advance(6)
    codes = lambda: [told.code for told in outbox.health()]  # noqa: E731 - read at once
    assert codes() == ["outbox-stalled"]
    go_on.set()
    assert outbox.flush(LONGEST_S)
    until(lambda: codes() == ["outbox-stalled", "outbox-not-durable"], "the flush was tried")
    assert outbox.durable("result/a") == 0
    outbox.close()
