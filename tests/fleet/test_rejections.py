"""Documents that cannot be written as the contract has them are told for a while."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.domain.message import Draft, Late
from edged.fleet.losses import MAX_TOLD, Rejections
from edged.fleet.outbox import Outbox
from fakes.clock import SECOND_NS, FakeClock

MINUTE_NS = 60 * SECOND_NS


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    made = Outbox.open(tmp_path / "outbox.sqlite3", device="press-07", clock=clock, max_bytes=1 << 20, boot_id="boot-1")
    yield made
    made.close()


def test_a_number_that_is_none_is_told_with_its_stream_until_ten_minutes_passed(
    outbox: Outbox, clock: FakeClock
) -> None:
    for _ in range(2):
        outbox.put(Draft("result/gate", {"schema": "edged.result/1", "values": [float("nan")]}))
    outbox.put(Draft("result/fine", {"schema": "edged.result/1"}))
    assert outbox.flush(60)

    (trouble,) = outbox.health()
    assert (trouble.code, trouble.component) == ("documents-rejected", "result/gate")
    assert trouble.message.startswith("cannot send 2 documents of result/gate since the start: ValueError: ")
    assert trouble.remedy
    clock.advance(599)
    assert len(outbox.health()) == 1
    clock.advance(2)
    assert outbox.health() == ()


def test_a_body_that_cannot_be_built_costs_its_document_alone(outbox: Outbox) -> None:
    def build() -> dict[str, Any]:
        message = "a plugin's own answer has no label"
        raise AttributeError(message)

    for content in (Late(build), {"schema": "edged.result/1"}):
        outbox.put(Draft("result/gate", content))
    assert outbox.flush(60)

    (trouble,) = outbox.health()
    assert trouble.message.startswith(
        "cannot send 1 document of result/gate since the start: AttributeError: a plugin's"
    )
    assert (outbox.committed("result/gate"), outbox.stats().faults) == (1, 0)


def test_each_stream_is_told_up_to_a_bound() -> None:
    rejections = Rejections()
    for number in range(MAX_TOLD + 5):
        rejections.add(f"result/{number:02}", "140000 bytes, expected at most 131072", MINUTE_NS)
    told = rejections.troubles(2 * MINUTE_NS)
    assert [trouble.component for trouble in told] == [f"result/{number:02}" for number in range(MAX_TOLD)]
