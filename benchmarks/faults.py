"""An accelerator that hangs or crashes under two running pipelines of a real daemon: how long until the first good result."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from daemons import start, stop
from figure import Effort, Figure, median
from stills import stills
from waiting import until

from edged.demo.broker import Broker

TESTS = Path(__file__).resolve().parents[1] / "tests"
FAULTS = 3
CONFIG = """
[device]
id = "bench"
profile = "with-edge-tpu"
[state]
directory = "{folder}/state"
[models]
directories = ["{folder}/models"]
measure = "off"
[mqtt]
port = {port}
"""


def measure(effort: Effort) -> list[Figure]:
    """Give a row for each fault; none where the models or a compiler are missing."""
    assets = os.environ.get("EDGED_ASSETS")
    if not assets:
        return []
    times = effort.times(FAULTS)
    return [
        _measured("hang", 2.0, "46.3 s (Frigate, with its own watchdog)", Path(assets), times),
        _measured("crash", 1.0, "4.6 s, and every camera starts anew (Frigate)", Path(assets), times),
    ]


def _measured(word: str, target_s: float, best_known: str, assets: Path, times: int) -> Figure:
    with tempfile.TemporaryDirectory() as name, _running(Path(name), assets) as (tpus, fleet):
        took_s = []
        for _ in range(times):
            until(lambda: _last(fleet, "gate") == "tpu", "the accelerator runs")
            before = len(_of(fleet, "gate", "unknown"))
            tpus.say(word)
            took_s.append(_recovery_s(fleet, before))
            tpus.say("ok")
        lost = _lost(fleet, "yard")
    return Figure(
        f"an accelerator's call ends in a {word} → first good result, of the next rung",
        f"≤ {target_s:g} s",
        f"{median(took_s):.2f} s",
        max(took_s) <= target_s and lost == 0,
        f"{times} faults, {min(took_s):.2f} to {max(took_s):.2f} s; one frame is unknown each time; the other pipeline lost {lost} frames",
        best_known,
    )


@contextmanager
def _running(folder: Path, assets: Path) -> Iterator[tuple[Any, Any]]:
    """Run a daemon with one pipeline on the accelerator that obeys, and one on the CPU."""
    sys.path.insert(0, str(TESTS))
    from fakes.faketpu import FakeTpus, birds, profile  # noqa: PLC0415 - not on the path before
    from fakes.subscriber import Subscriber  # noqa: PLC0415 - as above

    tpus = FakeTpus(folder / "tpus")
    os.environ.update(tpus.env)
    birds(folder / "models" / "birds", assets)
    picture = np.full((128, 128, 3), 90, np.uint8)
    cameras = stills(folder, picture, "birds", {"gate": "", "yard": 'pin = "plain"'})
    with closing(Broker(folder)) as broker, closing(Subscriber(broker.port)) as fleet:
        config = folder / "edged.toml"
        text = CONFIG.format(folder=folder, port=broker.port) + profile(folder / "profiles") + tpus.config() + cameras
        config.write_text(text, encoding="utf-8")
        daemon = start(config)
        try:
            yield tpus, fleet
        finally:
            stop(daemon)


def _recovery_s(fleet: Any, before: int) -> float:
    """Give the time from the capture of the frame that met the fault to the end of the first good one after it."""
    until(lambda: len(_of(fleet, "gate", "unknown")) > before, "a frame that is unknown")
    lost_ms = _of(fleet, "gate", "unknown")[before]["mono_ms"]
    until(lambda: _last(fleet, "gate") == "plain", "the next rung")
    after = next(one for one in _of(fleet, "gate", "ok") if one["mono_ms"] > lost_ms)
    took_ms = sum(after["latency_ms"].values())
    return float(after["mono_ms"] + took_ms - lost_ms) / 1000


def _of(fleet: Any, pipeline: str, status: str) -> list[dict[str, Any]]:
    return [one for one in fleet.of(f"result/{pipeline}") if one["status"] == status]


def _last(fleet: Any, pipeline: str) -> str:
    last = fleet.last(f"result/{pipeline}")
    return str(last.get("model", {}).get("variant", "")) if last.get("status") == "ok" else ""


def _lost(fleet: Any, pipeline: str) -> int:
    frames = [one["frame"] for one in fleet.of(f"result/{pipeline}")]
    return frames[-1] - frames[0] + 1 - len(frames)
