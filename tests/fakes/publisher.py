"""A daemon's worth of publishing as a program that a test can kill.

``python publisher.py FOLDER PORT RATE SECONDS``: puts RATE results a second and appends ``seq`` to FOLDER/committed at
each commit, in the callback that the outbox calls behind it: what stands there was committed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from edged.domain.message import Draft
from edged.fleet.backoff import Backoff
from edged.fleet.link import Link
from edged.fleet.outbox import Outbox
from edged.fleet.settings import LinkSettings

STREAM = "result/kill"


class SystemClock:
    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    def synced(self) -> bool:
        return True


def main() -> None:
    folder, port, rate, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    ledger = os.open(folder / "committed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def committed(stream: str, seq: int) -> None:
        if stream == STREAM:
            os.write(ledger, b"%d\n" % seq)

    outbox = Outbox.open(
        folder / "outbox.sqlite3", device="press-07", clock=SystemClock(), max_bytes=64 << 20, on_commit=committed
    )
    settings = LinkSettings("127.0.0.1", port, "press-07", backoff=Backoff(base_s=0.05, cap_s=0.1))
    link = Link(settings, outbox, SystemClock(), lambda _message: None)
    link.start()
    body = {"schema": "edged.result/1", "boot_id": "boot-1", "pad": "x" * 150}
    start = time.monotonic()
    put = 0
    while (now := time.monotonic() - start) < seconds:
        while put < now * rate:
            outbox.put(Draft(STREAM, body))
            put += 1
        threading.Event().wait(0.002)
    outbox.drain(30)
    link.stop(5)
    outbox.close()


if __name__ == "__main__":
    main()
