"""An ordered model goes live and is rolled back while it runs: the largest gap between results, and how long going back takes."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from figure import Effort, Figure, median
from networks import network

from edged.assembly.box import survey
from edged.assembly.going_live import GoingLive
from edged.assembly.lines import Lines
from edged.assembly.supply import Supply
from edged.assembly.trying import TrialResult
from edged.config.load import load
from edged.domain.artefact import VerifiedArtefact
from edged.domain.message import Draft
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.pipeline.line import Line
from edged.update.archive import pack_into, unpack
from edged.update.manifest import read_bundle
from edged.update.ports import Progress, Site
from edged.update.probation import WATCH, Verdict
from edged.update.records import Ordered, Release
from edged.update.rollout import Event
from edged.update.slots import Change

FPS = 15
ROUNDS = 5
TARGET_PERIODS, TARGET_S = 2.0, 2.0
PATIENCE_S = 30.0
SETTLE_S = 1.0

CONFIG = """
[device]
id = "bench"
[state]
directory = "{state}"
[[source]]
name = "camera"
kind = "images"
path = "{picture}"
loop = true
fps = {fps}
[[pipeline]]
name = "bench"
source = "camera"
model = "{model}"
"""


@dataclass
class Heard:
    """An outbox that notes when which version gave a result."""

    results: list[tuple[float, str]] = field(default_factory=list)

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:
        """Take a document."""
        del wait_s
        if draft.stream.startswith("result/"):
            self.results.append((time.monotonic(), str(draft.body["model"]["version"])))
        return True

    def last(self) -> str:
        """Give the version of the last result."""
        return self.results[-1][1] if self.results else ""


class Bench:
    """A pipeline on a model from a folder, and orders for copies of it under other versions."""

    def __init__(self, folder: Path) -> None:
        net = network("large", folder / "bundles")
        self._folder, self._source, self._clock = folder, net.bundle.folder, SystemClock()
        self.model = net.bundle.manifest.name
        self.heard = Heard()
        state = folder / "state"
        state.mkdir()
        text = CONFIG.format(state=state, picture=net.picture, fps=FPS, model=self.model)
        (folder / "edged.toml").write_text(text, encoding="utf-8")
        config = load(folder / "edged.toml").config
        box = survey(Path("/"), "auto", ())
        self.supply = Supply((self._source.parent,), state, box, self._clock, boot="bench")
        lines = Lines(self.supply, self.heard, Stamper("bench", self._clock), self._clock)
        self.line: Line = lines.build(config.source[0], config.pipeline)
        self.verdict: Verdict = WATCH
        self._live = GoingLive(lambda: [self.line], lambda _: self.model, self._clock)
        self.supply.updater.slots.told = self._told
        self.line.start()
        until(lambda: bool(self.heard.results))

    def close(self) -> None:
        """End the pipeline."""
        self.line.stop()
        self.line.join(5.0)

    def order(self, version: str) -> Ordered:
        """Pack a copy of the model under another version, and order it."""
        place = self._folder / "sources" / version
        shutil.copytree(self._source, place)
        manifest = (place / "model.toml").read_text(encoding="utf-8")
        changed = re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', manifest, count=1)
        (place / "model.toml").write_text(changed, encoding="utf-8")
        file = self._folder / f"{version}.edgemodel"
        with file.open("wb") as stream:
            pack_into(read_bundle(place), stream)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return Ordered(
            document=hashlib.sha256(version.encode()).hexdigest(),
            audience="device:bench",
            seq=1,
            version=version,
            target=file.name,
            sha256=digest,
            length=file.stat().st_size,
        )

    def carry(self, order: Ordered) -> None:
        """Bring it onto probation."""
        self._way = self.supply.way(self.model, order, self._site())
        self.again()

    def again(self) -> None:
        """Look how what is on probation does."""
        self.supply.updater.carry(self._way)

    def _told(self, change: Change) -> None:
        if change.event is Event.RESTORED:
            self._live.look()

    def _site(self) -> Site:
        def fetch(model: str, order: Ordered, _progress: Progress, _cancelled: Callable[[], bool]) -> VerifiedArtefact:
            copy = self._folder / "incoming.edgemodel"
            shutil.copyfile(self._folder / order.target, copy)
            return VerifiedArtefact(model, order.version, order.length, order.sha256, copy)

        def activate(model: str, release: Release) -> str | None:
            bundle = None if self._live.is_opening(model, release) else self.supply.stored(model, release)
            if bundle is not None:
                self._live.begin(release, bundle)
            return self._live.end(model)

        return Site(
            fetch=fetch,
            unpack=unpack,
            trial=lambda _bundle: TrialResult(),
            free_bytes=lambda: 1 << 40,
            waits_for=lambda: None,
            activate=activate,
            watch=lambda _probation: self.verdict,
            cancelled=lambda: False,
        )


def measure(effort: Effort) -> list[Figure]:
    """Activate and roll back, several times."""
    gaps: list[float] = []
    backs_s: list[float] = []
    loads_s: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        try:
            before = bench.heard.last()
            for number in range(effort.times(ROUNDS)):
                loads_s.append(_load_s(bench))
                gaps.append(_gap_periods(bench, f"9.0.{number}"))
                backs_s.append(_back_s(bench, before))
        finally:
            bench.close()
    beyond_s = [max(0.0, back_s - median(loads_s)) for back_s in backs_s]
    return [
        Figure(
            f"largest gap between two results when a model goes live, at {FPS} frames a second",
            f"≤ {TARGET_PERIODS:g} frame periods",
            f"{max(gaps):.2f} periods",
            max(gaps) <= TARGET_PERIODS,
            f"median of {len(gaps)} activations {median(gaps):.2f}",
        ),
        Figure(
            "rollback, from the verdict to the old model's first result, beyond loading it",
            f"≤ {TARGET_S:g} s",
            f"{max(beyond_s):.2f} s",
            max(beyond_s) <= TARGET_S,
            f"whole {min(backs_s):.2f} to {max(backs_s):.2f} s; loading alone {median(loads_s):.2f} s",
        ),
    ]


def _gap_periods(bench: Bench, version: str) -> float:
    """Give the largest time between two results around an activation, in frame periods."""
    order = bench.order(version)
    bench.verdict = WATCH
    time.sleep(SETTLE_S)
    began = len(bench.heard.results) - 1
    bench.carry(order)
    until(lambda: bench.heard.last() == version)
    time.sleep(SETTLE_S)
    times = [at for at, _ in bench.heard.results[began:]]
    return max(after - at for at, after in pairwise(times)) * FPS


def _back_s(bench: Bench, version: str) -> float:
    bench.verdict = Verdict("roll-back", "benchmark")
    began_s = time.monotonic()
    bench.again()
    until(lambda: bench.heard.last() == version)
    return time.monotonic() - began_s


def _load_s(bench: Bench) -> float:
    began_s = time.monotonic()
    opened = bench.supply.open(bench.model, None)
    taken_s = time.monotonic() - began_s
    opened.model.engine.close()
    return taken_s


def until(is_so: Callable[[], bool]) -> None:
    """Wait for a fact."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline_s:
            message = f"cannot measure: nothing happened within {PATIENCE_S:.0f} s, expected results"
            raise RuntimeError(message)
        time.sleep(0.002)
