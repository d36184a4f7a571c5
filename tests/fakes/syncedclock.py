"""The program ``edged`` on a machine whose kernel believes its clock: most build machines' does not, and nothing goes live there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from edged.cli import main
from edged.hardware.clock import SystemClock

PROGRAM = (sys.executable, "-c", "from fakes.syncedclock import run; raise SystemExit(run())")
ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
}


def run() -> int:
    """Run a verb of edged, as its program does."""
    SystemClock.synced = lambda _self: True  # type: ignore[method-assign] # the kernel's word is what is replaced here
    return main()
