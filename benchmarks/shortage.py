"""A real daemon short of processors and of memory: what it still gives, and how soon an engine that the kernel took is back."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from daemons import RUN
from figure import Effort, Figure, median
from stills import FPS, stills
from waiting import GIVE_UP_S, until

from edged.demo.broker import Broker

TESTS = Path(__file__).resolve().parents[1] / "tests"
PROGRAM = (sys.executable, "-c", RUN)
LOOK_S = 5.0
PER_PROCESSOR = 4
LIMIT_MB = 360
PROFILE = 'name = "in-children"\nprefer = [{ accelerator = "cpu", threads = 1 }]\nisolate = true\n'
CONFIG = """
[device]
id = "bench"
profile = "in-children"
[state]
directory = "{folder}/state"
[models]
directories = ["{folder}/models"]
measure = "off"
[profiles]
directories = ["{folder}/profiles"]
[mqtt]
port = {port}
[governor]
enabled = false
"""


def measure(effort: Effort) -> list[Figure]:
    """Give a row for the processors and one for the memory; the latter needs a control group of its own."""
    sys.path.insert(0, str(TESTS))
    from fakes.memorygroup import MemoryGroup  # noqa: PLC0415 - not on the path before

    rows = [_starved(effort.times(3))]
    try:
        group = MemoryGroup(LIMIT_MB)
    except OSError:
        return rows
    with closing(group):
        return [*rows, _out_of_memory(group, effort.times(3))]


def _starved(times: int) -> Figure:
    from fakes.busy import busy  # noqa: PLC0415 - as above

    processors = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name, _running(Path(name), PROGRAM) as fleet:
        shares = []
        for _ in range(times):
            before = _results_in(fleet, LOOK_S)
            with busy(PER_PROCESSOR * processors):
                shares.append(_results_in(fleet, LOOK_S) / before)
        lost = sum(one["status"] != "ok" for one in _of(fleet))
    return Figure(
        f"{PER_PROCESSOR} other busy processes for each processor: results a second ÷ before, two pipelines of {FPS} a second",
        "≥ 0.8",
        f"{median(shares):.2f}",
        median(shares) >= 0.8 and lost == 0,  # noqa: PLR2004 - the row's own target
        f"{times} times, {min(shares):.2f} to {max(shares):.2f}; {lost} frames unknown: waiting for a processor is no hang",
    )


def _out_of_memory(group: Any, times: int) -> Figure:
    with tempfile.TemporaryDirectory() as name, _running(Path(name), group.inside(PROGRAM)) as fleet:
        for _ in range(times):
            before = len(_unknown(fleet))
            for neighbour in group.fill(2.0):
                neighbour.wait(GIVE_UP_S)
            until(lambda before=before: len(_unknown(fleet)) > before, "a frame that is unknown")
            until(lambda: all(_after(fleet, lost) for lost in _unknown(fleet)), "a good result")
            # The kernel may take both at once; the other's next frame says so.
            time.sleep(1.0)
        until(lambda: all(_after(fleet, lost) for lost in _unknown(fleet)), "a good result")
        took_s = [_took_s(fleet, lost) for lost in _unknown(fleet)]
    return Figure(
        "a control group's memory ends, and the kernel takes an engine's process → its first good result",
        "≤ 1 s",
        f"{median(took_s):.2f} s",
        max(took_s) <= 1.0,
        f"{times} times, {min(took_s):.2f} to {max(took_s):.2f} s; {group.kills} processes were taken, each counts, never the daemon",
    )


@contextmanager
def _running(folder: Path, program: Sequence[str]) -> Iterator[Any]:
    """Run a daemon with two pipelines, whose engines are in children."""
    from fakes.daemon import DaemonProcess  # noqa: PLC0415 - as above
    from fakes.sensor import picture_bundle  # noqa: PLC0415
    from fakes.subscriber import Subscriber  # noqa: PLC0415

    picture_bundle(folder / "models" / "still")
    (folder / "profiles").mkdir()
    (folder / "profiles" / "in-children.toml").write_text(PROFILE, encoding="utf-8")
    cameras = stills(folder, np.zeros((48, 64, 3), np.uint8), "still", {"gate": "", "yard": ""})
    with closing(Broker(folder)) as broker, closing(Subscriber(broker.port)) as fleet:
        config = folder / "edged.toml"
        config.write_text(CONFIG.format(folder=folder, port=broker.port) + cameras, encoding="utf-8")
        with closing(DaemonProcess(config, program=program).start()):
            until(lambda: all(len(fleet.of(f"result/{name}")) > FPS for name in ("gate", "yard")), "both pipelines")
            yield fleet


def _results_in(fleet: Any, seconds: float) -> int:
    before = len(_of(fleet))
    time.sleep(seconds)
    return len(_of(fleet)) - before


def _of(fleet: Any) -> list[dict[str, Any]]:
    return [one for name in ("gate", "yard") for one in fleet.of(f"result/{name}")]


def _unknown(fleet: Any) -> list[dict[str, Any]]:
    return sorted((one for one in _of(fleet) if one["status"] == "unknown"), key=lambda one: one["mono_ms"])


def _took_s(fleet: Any, lost: dict[str, Any]) -> float:
    """Give the time from the capture of a frame that met the fault to the end of the first good one after it."""
    first = _after(fleet, lost)[0]
    return float(first["mono_ms"] + sum(first["latency_ms"].values()) - lost["mono_ms"]) / 1000


def _after(fleet: Any, lost: dict[str, Any]) -> list[dict[str, Any]]:
    of = fleet.of(f"result/{lost['pipeline']}")
    return [one for one in of if one["status"] == "ok" and one["mono_ms"] > lost["mono_ms"]]
