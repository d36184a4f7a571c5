"""What the office says, and says again when it could not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edged.domain.health import Reason
from edged.domain.message import Draft
from edged.fleet.link import LinkState
from edged.fleet.metered import OVERHEAD_BYTES
from edged.fleet.session import Inbound
from fakes.clock import SECOND_NS, FakeClock
from fakes.desk import Desk

LEVELS = ("health", "inventory", "models")


class Side:
    """Implements edged.assembly.office.Beside with no more than what sends."""

    topics: tuple[str, ...] = ()

    def connect(self, send: Callable[[str, bytes], None]) -> None:
        self.send = send

    def became(self, state: LinkState) -> None:
        """Nothing follows from it."""

    def take(self, inbound: Inbound) -> bool:  # noqa: ARG002 - the port's
        return False

    def tick(self) -> None:
        """Nothing is due."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def desk(tmp_path: Path, clock: FakeClock) -> Iterator[Desk]:
    made = Desk(tmp_path, clock)
    yield made
    made.outbox.close()


def test_a_level_is_said_once_while_it_stays_the_same(desk: Desk) -> None:
    desk.tick()
    desk.tick()
    assert [len(desk.said.bodies(level)) for level in LEVELS] == [1, 1, 1]


def test_a_level_that_the_outbox_had_no_room_for_is_said_as_soon_as_it_has(desk: Desk) -> None:
    desk.said.room = 0
    desk.tick()
    assert desk.said.drafts == []
    desk.said.room = 1_000
    desk.tick()
    assert [len(desk.said.bodies(level)) for level in LEVELS] == [1, 1, 1]


def test_what_dates_earlier_documents_is_not_lost_to_a_full_outbox(tmp_path: Path) -> None:
    clock = FakeClock(mono=20 * SECOND_NS, wall=30 * SECOND_NS, is_synced=False)
    desk = Desk(tmp_path, clock)
    desk.tick()
    desk.said.room = 0
    clock.wall, clock.is_synced = 1_800_000_000 * SECOND_NS, True
    assert desk.tick() == []
    desk.said.room = 1_000
    (alert,) = desk.tick()
    desk.outbox.close()
    assert alert["code"] == "clock"


def test_what_is_said_beside_the_documents_counts_in_the_days_budget(tmp_path: Path, clock: FakeClock) -> None:
    side = Side()
    desk = Desk(tmp_path, clock, mb_per_day=0.1, beside=side)
    before = desk.allowance.figures()
    side.send("homeassistant/device/press-07/config", b"x" * 5000)
    after = desk.allowance.figures()
    desk.outbox.close()
    assert before is not None
    assert after == {**before, "used_bytes": before["used_bytes"] + 5000 + OVERHEAD_BYTES}


def test_what_else_is_not_well_is_among_the_reasons(desk: Desk) -> None:
    desk.ills = (Reason("model-refused", "model:parts", "1.0.0 goes on", 0),)
    assert desk.ills[0] in desk.office.reasons()


def test_a_document_that_is_none_is_a_reason_with_its_stream_and_since_when(desk: Desk, clock: FakeClock) -> None:
    desk.outbox.put(Draft("result/gate", {"schema": "edged.result/1", "score": float("inf")}))
    assert desk.outbox.flush(10)
    (first,) = desk.office.reasons()
    clock.advance(30)
    (later,) = desk.office.reasons()
    assert (first.code, first.component) == ("documents-rejected", "result/gate")
    assert first.since_mono_ns == later.since_mono_ns
