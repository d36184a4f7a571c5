"""An outbox as a program whose disk may lose its power.

``python durable.py OUTBOX LEDGER``: puts results as a camera does, and appends ``durable committed`` to LEDGER, which lies elsewhere,
whenever the durable mark has moved: what stands there was safe by then.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from edged.domain.message import Draft
from edged.fleet.outbox import Outbox
from edged.hardware.clock import SystemClock

STREAM = "result/cut"
EVERY_S = 0.002
DEVICE = "press-07"
MAX_BYTES = 8 << 20


def opened(path: Path) -> Outbox:
    return Outbox.open(path, device=DEVICE, clock=SystemClock(), max_bytes=MAX_BYTES, boot_id="boot-1")


def main() -> None:
    path, ledger = Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    outbox, before = opened(path), 0
    while True:
        outbox.put(Draft(STREAM, {"schema": "edged.result/1", "pad": "x" * 150}))
        durable = outbox.durable(STREAM)
        if durable != before:
            os.write(ledger, b"%d %d\n" % (durable, outbox.committed(STREAM)))
            before = durable
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
