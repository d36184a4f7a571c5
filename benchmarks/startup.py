"""From the start of the program to its first result at a subscriber, against a script that imports, loads and infers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from daemons import STATE, environment, start, stop, write_config
from figure import Effort, Figure, median, quantile
from listening import Listener
from networks import Network, network

from edged.demo.broker import Broker

PAIRS = 15
TARGET_S = 0.6
BARE = Path(__file__).with_name("bare_start.py")
RESULT_S = 60.0


def measure(effort: Effort) -> list[Figure]:
    """Give a row for a box that ran before, and one for its first start."""
    bare: list[float] = []
    warm: list[float] = []
    cold: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        net = network("large", folder / "bundles")
        broker = Broker(folder)
        try:
            config = write_config(
                folder / "box", net.bundle.folder, broker.port, f'kind = "images"\npath = "{net.picture}"\n'
            )
            with closing(Listener(broker.port)) as listener:
                for _ in range(1 + effort.times(PAIRS)):
                    bare.append(_bare_s(net, folder / "box"))
                    shutil.rmtree(folder / "box" / STATE, ignore_errors=True)
                    cold.append(_edged_s(config, listener))
                    bare.append(_bare_s(net, folder / "box"))
                    warm.append(_edged_s(config, listener))
        finally:
            broker.close()
    # The first round brought everything into the page cache; a box's disk is not what is compared here.
    return [
        _figure("state from an earlier start", bare[2:], warm[1:]),
        _figure("first start, the model is taken in and tried", bare[2:], cold[1:]),
    ]


def _figure(state: str, bare: list[float], ours: list[float]) -> Figure:
    usual = median(bare)
    beyond = median(ours) - usual
    return Figure(
        f"time to the first result beyond a bare script, {state}",
        f"≤ {TARGET_S} s",
        f"{beyond:.2f} s, {median(ours) / usual:.1f} times the script",
        beyond <= TARGET_S,
        f"script {usual:.2f} s, edged {median(ours):.2f} s (middle half of {len(ours)}: "
        f"{quantile(ours, 0.25):.2f} to {quantile(ours, 0.75):.2f} s)",
    )


def _bare_s(net: Network, folder: Path) -> float:
    began_ns = time.monotonic_ns()
    command = [sys.executable, str(BARE), str(net.bundle.path_of(net.variant)), str(net.picture)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(folder)
    ) as script:
        if script.stdout is None or not script.stdout.readline():
            message = "cannot compare: the bare script gave no result, expected a class"
            raise RuntimeError(message)
        return (time.monotonic_ns() - began_ns) / 1e9


def _edged_s(config: Path, listener: Listener) -> float:
    began_ns = time.monotonic_ns()
    daemon = start(config)
    try:
        at_ns, _ = listener.heard(RESULT_S)
        return (at_ns - began_ns) / 1e9
    finally:
        stop(daemon)
