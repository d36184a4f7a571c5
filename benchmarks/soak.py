"""What a day does to the daemon, in short form: a million frames through everything that runs, memory and file descriptors watched.

Run by itself it prints the same as JSON; its arguments are the number of frames and the seed.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from daemons import start, stop
from figure import Effort, Figure

from edged.demo.broker import Broker

FRAMES = 1_000_000
LENGTH = 8
"""Samples a window: few, since it is frames that are counted."""
WINDOWS = 4096
"""Of the recording, which begins anew at its end."""
WARM_UP = 0.2
"""The share of the run after which nothing new shall be held: the box's first reports, full histories, grown heaps."""
LOOK_S = 0.5
TARGET_MB = 1.0
GIVE_UP_S = 900.0
TESTS = Path(__file__).resolve().parents[1] / "tests"

CONFIG = """
[device]
id = "bench"
[state]
directory = "{folder}/state"
[models]
directories = ["{folder}/models"]
[mqtt]
port = {port}
[telemetry]
interval_s = 1
[[source]]
name = "spindle"
kind = "csv"
path = "{folder}/spindle.csv"
columns = ["x"]
rate_hz = 8000
loop = true
[[pipeline]]
name = "bench"
source = "spindle"
model = "level"
report = {{ results = "changes", at_least_every_s = 60 }}
[[pipeline.rule]]
name = "high"
when = {{ anomaly = true }}
gap_s = 0.1
for_s = 0.05
"""


@dataclass(frozen=True, slots=True)
class Look:
    """The daemon at one moment: anonymous memory in MB (what it holds of its own), open files, and frames so far."""

    frames: int
    memory_mb: float
    files: int


@dataclass(frozen=True, slots=True)
class Soaked:
    """How it went after the warm-up. ``growth_mb`` is what the fitted line gains from there to the end.

    ``files`` are the fewest that were open in the first half of that and in the second: one that is read and closed again is no leak.
    """

    frames: int
    seconds: float
    memory_mb: float
    growth_mb: float
    files: tuple[int, int]

    @property
    def slope_mb(self) -> float:
        """Growth for a million frames."""
        return self.growth_mb / (self.frames * (1 - WARM_UP)) * 1e6


def measure(effort: Effort) -> list[Figure]:
    """Give the one row."""
    done = soak(round(FRAMES * effort.share), seed=1)
    constant = done.files[0] == done.files[1]
    return [
        Figure(
            f"a long run in short form ({done.frames:.0e} frames): memory slope, file descriptors",
            f"< {TARGET_MB:.0f} MB for 10^6 frames, constant",
            f"{done.slope_mb:.2f} MB, {'constant' if constant else f'{done.files[0]} → {done.files[1]}'}",
            done.slope_mb < TARGET_MB and constant,
            f"anonymous memory, fitted after the first {WARM_UP:.0%}; {done.memory_mb:.0f} MB and {done.files[1]} files at the end, "
            f"{done.frames / done.seconds:,.0f} frames/s; csv source, events and changes to the broker",
        )
    ]


def soak(frames: int, seed: int) -> Soaked:
    """Run a daemon until it has made so many results, and look at it all the while."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _prepare(folder, seed)
        with closing(Broker(folder)) as broker, closing(Counter(broker.port)) as counter:
            config = folder / "edged.toml"
            config.write_text(CONFIG.format(folder=folder, port=broker.port), encoding="utf-8")
            began_s = time.monotonic()
            daemon = start(config)
            try:
                looks = _looks(daemon.pid, counter, frames)
            finally:
                stop(daemon)
            return judged(looks, time.monotonic() - began_s)


def judged(looks: Sequence[Look], seconds: float) -> Soaked:
    """Fit a line through what was seen after the warm-up."""
    last = looks[-1]
    kept = [look for look in looks if look.frames >= WARM_UP * last.frames]
    slope = np.polyfit([look.frames for look in kept], [look.memory_mb for look in kept], 1)[0]
    files = [look.files for look in kept]
    half = len(files) // 2
    growth = float(slope) * (last.frames - kept[0].frames)
    return Soaked(last.frames, seconds, last.memory_mb, growth, (min(files[:half]), min(files[half:])))


class Counter:
    """Another client of the broker, which keeps the number of results in the newest telemetry."""

    def __init__(self, port: int) -> None:
        import paho.mqtt.client as mqtt  # noqa: PLC0415 - known as another name below
        from paho.mqtt.enums import CallbackAPIVersion  # noqa: PLC0415 - as above

        self.frames = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "bench-counter")
        self._client.on_connect = lambda client, *_: client.subscribe("edged/v1/d/bench/out/telemetry", 1)
        self._client.on_message = lambda _c, _u, message: self._heard(json.loads(message.payload))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, telemetry: dict[str, object]) -> None:
        pipelines = telemetry.get("pipelines")
        if isinstance(pipelines, dict) and "bench" in pipelines:
            self.frames = int(pipelines["bench"]["results"])


def _prepare(folder: Path, seed: int) -> None:
    """Write the tests' model of one operator, and a recording that is at rest and in alarm by turns of random length."""
    sys.path.insert(0, str(TESTS))
    from fakes.sensor import sensor_bundle, write_windows  # noqa: PLC0415 - not on the path before

    sensor_bundle(folder / "models" / "level", length=LENGTH, threshold=4.0)
    chance = random.Random(seed)  # noqa: S311 - a recording, no secret
    levels: list[float] = []
    while len(levels) < WINDOWS:
        level = chance.choice((1.0, 3.0))
        levels += [level + chance.random() / 10] * chance.randint(50, 400)
    write_windows(folder / "spindle.csv", levels[:WINDOWS], LENGTH)


def _looks(pid: int, counter: Counter, frames: int) -> list[Look]:
    looks: list[Look] = []
    until_s = time.monotonic() + GIVE_UP_S
    while counter.frames < frames:
        if time.monotonic() > until_s:
            message = f"cannot soak the daemon: {counter.frames} frames in {GIVE_UP_S} s, expected {frames}"
            raise RuntimeError(message)
        time.sleep(LOOK_S)
        looks.append(Look(counter.frames, _anonymous_mb(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))))
    return looks


def _anonymous_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    message = f"cannot read the memory of process {pid}, expected RssAnon in its status"
    raise RuntimeError(message)


if __name__ == "__main__":
    given = soak(int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps(asdict(given) | {"slope_mb": given.slope_mb}))
