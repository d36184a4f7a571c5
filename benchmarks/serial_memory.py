"""Memory of a box that has one sensor on a serial line and no camera, without what the model's runtime takes.

The daemon runs the shipped model of three accelerations, on a pseudo-terminal. Of its memory, the pages that the runtime's own files are
mapped into are taken off; what the runtime holds on the heap (the model's weights among it) still counts as edged's.
"""

from __future__ import annotations

import math
import os
import pty
import random
import tempfile
import threading
import tty
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemons import write_config
from figure import Effort, Figure
from listening import Listener
from settled import looks

from edged.config.share import shipped
from edged.demo.broker import Broker

TARGET_MB = 60.0
SECONDS, SETTLE_RESULTS = 20, 240
"""The model has learned what is normal after 187 results."""
RATE_HZ, TALK_S = 200, 0.02
RUNTIMES = ("/ai_edge_litert/", "/tflite_runtime/")
SOURCE = """kind = "serial"
port = "{port}"
columns = ["x", "y", "z"]
rate_hz = {rate}
"""


@dataclass(frozen=True, slots=True)
class Look:
    """The daemon's memory in proportion to its users (PSS), in MB: of everything, and of the runtime's own files."""

    whole: float
    runtime: float


def measure(effort: Effort) -> list[Figure]:
    """Give the one row: the highest of a few looks, each second one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with closing(Broker(folder)) as broker, closing(Listener(broker.port)) as listener, _sensor() as port:
            source = SOURCE.format(port=port, rate=float(RATE_HZ))
            config = write_config(folder / "box", shipped("models") / "vibration", broker.port, source)
            seen = looks(config, listener, SETTLE_RESULTS, effort.times(SECONDS), _look)
    most = max(look.whole - look.runtime for look in seen)
    whole, runtime = max(look.whole for look in seen), seen[-1].runtime
    return [
        Figure(
            "serial only, memory (PSS) without the model's runtime, HTTP off",
            f"≤ {TARGET_MB:.0f} MB",
            f"{most:.0f} MB",
            most <= TARGET_MB,
            f"highest of {len(seen)} looks in as many seconds; {whole:.0f} MB with the runtime, whose own files take {runtime:.0f} MB "
            "and whose heap counts as edged's; 200 Hz, three axes, model vibration",
        )
    ]


@contextmanager
def _sensor() -> Iterator[str]:
    """Give a pseudo-terminal on which a sensor speaks."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    done = threading.Event()
    talker = threading.Thread(target=_talk, args=(ours, done), name="sensor")
    talker.start()
    try:
        yield os.ttyname(theirs)
    finally:
        done.set()
        talker.join()
        os.close(ours)
        os.close(theirs)


def _talk(line: int, done: threading.Event) -> None:
    sample = 0
    while not done.wait(TALK_S):
        rows = []
        for _ in range(round(RATE_HZ * TALK_S)):
            sample += 1
            x, y, z = 0.1 * math.sin(sample / 3), 0.1 * math.cos(sample / 5), 1.0
            # A sensor's own: where nothing varies the model learns nothing.
            noise = [random.gauss(0.0, 0.01) for _ in "xyz"]
            rows.append(f"{x + noise[0]:.4f},{y + noise[1]:.4f},{z + noise[2]:.4f}\n")
        try:
            os.write(line, "".join(rows).encode("ascii"))
        except BlockingIOError:
            continue  # nobody listens yet


def _look(pid: int) -> Look:
    """Sum the daemon's mappings."""
    whole = runtime = 0.0
    is_runtime = False
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        head = line.split(maxsplit=1)[0]
        if not head.endswith(":"):  # the line of a mapping: addresses, rights, and the file behind it
            is_runtime = any(name in line for name in RUNTIMES)
        elif head == "Pss:":
            size = int(line.split()[1]) * 1024 / 1e6
            whole += size
            runtime += size if is_runtime else 0.0
    return Look(whole, runtime)
