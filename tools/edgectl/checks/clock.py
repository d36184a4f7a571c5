"""The clock: certificates, orders and documents are judged by it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone

from edgectl.checks.rows import Ground, Row
from edged.hardware.clock import SystemClock
from edged.update.disk import LocalDisk
from edged.update.trust import EARLIEST_MS
from edged.update.trust_file import TrustFile

SET = "sudo timedatectl set-ntp true  # by hand: sudo timedatectl set-time 'YYYY-MM-DD HH:MM:SS'"
RTC = "sys/class/rtc/rtc0"
FAR_MS = 10 * 365 * 86_400_000


def rows(ground: Ground) -> Iterator[Row]:
    """Judge the date by what is known to be past, and whether something keeps it right."""
    now_ms = time.time_ns() // 1_000_000
    marks = TrustFile(ground.config.state.directory, LocalDisk()).read()
    now, floor = _date(now_ms), _date(marks.floor_ms)
    if now_ms < marks.floor_ms:
        known = "the time that was seen last" if marks.floor_ms > EARLIEST_MS else "this version's own date"
        yield Row("date", "clock", "fail", f"{now}, before {known} ({floor}): no certificate is valid", SET)
    elif now_ms > EARLIEST_MS + FAR_MS:
        yield Row("date", "clock", "fail", f"{now}: years after this version: every certificate has expired", SET)
    else:
        yield Row("date", "clock", "ok", f"{now}, after {floor}")
    if SystemClock().synced():
        yield Row("synchronised", "clock", "ok", "the kernel's clock is disciplined")
    else:
        shown = "nothing keeps it right: documents say unsynced, and no new model goes live"
        yield Row("synchronised", "clock", "warn", shown, SET)
    if not ground.tree.exists(RTC):
        yield Row(
            "at power-on",
            "clock",
            "skipped",
            "no clock with a battery: after a power cut it is wrong until a network is there",
        )


def _date(ms: int) -> str:
    try:
        return f"{datetime.fromtimestamp(ms / 1000, timezone.utc):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{ms} ms"
