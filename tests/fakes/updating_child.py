"""The update flow in a process of its own, which kills itself in the state that it is told: kill -9 between two of its lines."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from edged.update.disk import LocalDisk
from edged.update.probation import COMMIT, Verdict
from edged.update.records import Ordered
from edged.update.slots import Change
from fakes.site import MODEL, Air

PROGRAM = "from fakes.updating_child import main; main()"


def main() -> None:
    """Carry an order out: arguments are the box's folder, the order, the state to die in, and the verdict's word."""
    path, text, fatal, word = sys.argv[1:]
    air = Air(Path(path))
    air.knobs.verdict = COMMIT if word == "commit" else Verdict(word, "slow")
    updater = air.updater(LocalDisk())

    def die(change: Change) -> None:
        if change.after.state.value == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    updater.slots.told = die
    order = Ordered.model_validate_json(text)
    updater.carry(air.way(order, LocalDisk()))
    sys.stdout.write(f"{updater.ensure(MODEL).manifest.version} {updater.slots.pointer(MODEL).state.value}")
