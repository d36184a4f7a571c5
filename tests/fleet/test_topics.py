from __future__ import annotations

from pathlib import Path

from edged.domain.frame import Stamp
from edged.fleet import topics
from fakes.clock import FakeClock


def test_topics_are_the_contracts() -> None:
    assert topics.out("press-07", topics.event_stream("gate")) == "edged/v1/d/press-07/out/event/gate"
    assert topics.result_stream("gate") == "result/gate"
    assert topics.subscriptions("press-07", ("line-a", "hall-2")) == (
        "edged/v1/d/press-07/in/command",
        "edged/v1/d/press-07/in/desired",
        "edged/v1/d/press-07/in/file",
        "edged/v1/g/line-a/in/desired",
        "edged/v1/g/hall-2/in/desired",
    )


def test_a_response_topic_must_be_the_devices_own() -> None:
    assert topics.is_own_stream("a", "edged/v1/d/a/out/reply/x") == "reply/x"
    assert topics.is_own_stream("a", "edged/v1/d/b/out/reply") is None
    assert topics.is_own_stream("a", "edged/v1/d/a/out/#") is None
    assert topics.is_own_stream("a", "edged/v1/d/a/out/") is None


def test_dates_are_utc_with_milliseconds() -> None:
    assert topics.rfc3339(1_795_216_204_120_999_999) == "2026-11-20T23:10:04.120Z"
    assert topics.rfc3339(-1) == "1969-12-31T23:59:59.999Z"


def test_stamps_tell_capture_boot_and_whether_the_clock_was_right() -> None:
    clock = FakeClock(is_synced=False)
    stamp = Stamp(index=3, mono_ns=86_400_120_999_999, wall_ns=1_795_216_204_120_000_000, source_s=0.1)

    assert topics.Stamper("boot", clock).captured(stamp) == {
        "boot_id": "boot",
        "captured_at": "2026-11-20T23:10:04.120Z",
        "mono_ms": 86_400_120,
        "clock": "unsynced",
    }
    assert topics.Stamper("boot", FakeClock()).now() == {
        "boot_id": "boot",
        "at": "2027-01-15T08:00:00.000Z",
        "mono_ms": 1_000_000,
        "clock": "synced",
    }


def test_a_boot_id_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    assert topics.kernel_boot_id(tmp_path / "none") == "unknown"
    assert len(topics.kernel_boot_id()) == 36
