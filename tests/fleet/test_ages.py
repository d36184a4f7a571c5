from __future__ import annotations

import json
from typing import Any

import pytest

from edged.fleet.ages import oldest_age_s
from edged.fleet.ready import Ready, Row
from edged.fleet.topics import rfc3339
from fakes.clock import SECOND_NS, FakeClock

CLOCK = FakeClock()


def row(body: dict[str, Any] | bytes, priority: int = 1, number: int = 1) -> Row:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Row(priority, number, "result/gate", number, 1, False, payload)


def of_this_boot(age_s: float) -> dict[str, Any]:
    return {"boot_id": "now", "mono_ms": CLOCK.monotonic_ns() // 1_000_000 - int(age_s * 1000), "clock": "unsynced"}


def of_another(age_s: float, **more: Any) -> dict[str, Any]:
    return {
        "boot_id": "then",
        "mono_ms": 5,
        "clock": "synced",
        "captured_at": rfc3339(CLOCK.wall_ns() - int(age_s * SECOND_NS)),
    } | more


def test_the_oldest_counts_by_the_clock_that_never_steps() -> None:
    assert oldest_age_s([row(of_this_boot(3)), row(of_this_boot(8)), row(of_this_boot(5))], "now", CLOCK) == 8


def test_of_another_boot_the_labels_tell() -> None:
    assert oldest_age_s([row(of_another(3600))], "now", CLOCK) == pytest.approx(3600)


@pytest.mark.parametrize(
    "body",
    [
        of_another(3600, clock="unsynced"),
        of_another(3600, captured_at="yesterday"),
        {"boot_id": "then", "clock": "synced"},
        {"boot_id": "now"},
        b"no JSON",
        b"[]",
    ],
)
def test_what_does_not_say_how_old_it_is_counts_for_nothing(body: dict[str, Any] | bytes) -> None:
    assert oldest_age_s([row(body)], "now", CLOCK) is None


def test_a_clock_that_is_not_right_tells_nothing_of_other_boots() -> None:
    assert oldest_age_s([row(of_another(9))], "now", FakeClock(is_synced=False)) is None


def test_what_the_link_has_taken_is_older_than_what_waits() -> None:
    ready = Ready()
    for number in range(1, 5):
        ready.offer(row({}, 1, number))
    ready.offer(row({}, 0, 9))
    ready.take(3)

    assert [(one.priority, one.id) for one in ready.oldest()] == [(1, 3), (0, 9), (1, 1)]
