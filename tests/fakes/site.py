"""A box as an order meets it, with a repository in a folder and a knob for each thing that can go wrong."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.domain.artefact import VerifiedArtefact
from edged.domain.bundle import Bundle
from edged.domain.errors import RetryableError
from edged.update.archive import pack_into, unpack
from edged.update.delivered import DeliveredWay
from edged.update.disk import Disk
from edged.update.manifest import read_bundle, verify
from edged.update.ports import Probation, Progress, Shadow, Site
from edged.update.probation import COMMIT, WATCH, Verdict
from edged.update.records import Ordered, Records, Release
from edged.update.shadow import GO_ON, Ruling
from edged.update.store import Store
from edged.update.updater import Updater
from fakes.bundle import make_bundle
from fakes.clock import FakeClock
from fakes.disk import FragileDisk

MODEL = "parts"
BOOT = "6c1c9e0e-0000-4000-8000-000000000001"
OTHER_BOOT = "6c1c9e0e-0000-4000-8000-000000000002"


@dataclass(frozen=True)
class Tried:
    """What became of a trial."""

    passed: bool
    reason: str = ""
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass
class Knobs:
    """What this box does; each may be turned between two steps."""

    spoils: Callable[[Path], None] = lambda _folder: None
    """What becomes of a bundle when it is unpacked."""
    trial: Callable[[Bundle], Tried] = lambda _bundle: Tried(passed=True)
    waits: str | None = None
    runs: str | None = None
    verdict: Verdict = WATCH
    ruling: Ruling = GO_ON
    is_slow: bool = False
    """Whether downloads and trials go on for long."""
    free: int = 1 << 40
    is_cancelled: bool = False
    fails: Exception | None = None
    verdict_fails: Exception | None = None
    fetched: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    activated: list[str] = field(default_factory=list)
    watched: list[Probation] = field(default_factory=list)
    shadowed: list[Shadow] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Air:
    """A box that takes orders: its folders, a repository, and a flow that starts anew on each ``carry`` as after a restart."""

    path: Path
    knobs: Knobs = field(default_factory=Knobs)
    clock: FakeClock = field(default_factory=FakeClock)
    boot: str = BOOT
    orders: int = 0
    seen: list[str] = field(default_factory=list)
    """Every state that a slot was written in."""

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def models(self) -> Path:
        return self.path / "models"

    def order(self, version: str = "2.0.0", *, weights: bytes = b"", name: str = MODEL, **more: Any) -> Ordered:
        """Publish a bundle, and order it with the next number."""
        self.orders += 1
        source = make_bundle(
            self.path / "sources" / f"{name}-{version}-{weights.hex()}",
            name=name,
            version=version,
            weights=weights or version.encode(),
        )
        file = self.path / "repository" / f"{name}-{version}.edgemodel"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            pack_into(read_bundle(source), stream)
        content = file.read_bytes()
        given: dict[str, Any] = {
            "document": hashlib.sha256(f"{self.orders}".encode()).hexdigest(),
            "audience": "device:press-07",
            "seq": self.orders,
            "by": "someone",
            "version": version,
            "target": file.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "length": len(content),
        }
        return Ordered.model_validate({**given, **more})

    def offer(self, version: str = "1.0.0") -> Path:
        """Put a bundle into the folder."""
        return make_bundle(self.models / MODEL, version=version, weights=version.encode())

    def records(self, disk: Disk | None = None) -> Records:
        return Records(self.state, disk or FragileDisk(), self.clock)

    def updater(self, disk: Disk | None = None) -> Updater:
        disk = disk or FragileDisk()
        made = Updater([self.models], Store(self.state, disk), self.records(disk), lambda _: None, boot=self.boot)
        made.slots.told = lambda change: self.seen.append(change.after.state.value)
        return made

    def way(self, order: Ordered, disk: Disk | None = None, *, model: str = MODEL) -> DeliveredWay:
        disk = disk or FragileDisk()
        return DeliveredWay(
            model, order, self.site(), Store(self.state, disk), self.records(disk), disk, self.clock, self.boot
        )

    def site(self) -> Site:
        knobs = self.knobs
        return Site(
            fetch=self._fetch,
            unpack=self._unpack,
            trial=self._try,
            free_bytes=lambda: knobs.free,
            waits_for=lambda: knobs.waits,
            activate=self._activate,
            watch=self._watch,
            cancelled=lambda: knobs.is_cancelled,
            progress=lambda _model, done, total: knobs.progress.append((done, total)),
            shadow=self._shadow,
        )

    def carry(self, order: Ordered, disk: Disk | None = None) -> str:
        """Bring an order as far as it goes, as one run of edged does; gives the state."""
        updater = self.updater(disk)
        updater.carry(self.way(order, disk))
        return updater.slots.pointer(MODEL).state.value

    def live(self, disk: Disk | None = None) -> str:
        """Give what a pipeline would run, whole."""
        bundle = self.updater(disk).ensure(MODEL)
        assert verify(bundle) == []
        return bundle.manifest.version

    def _fetch(
        self, _model: str, order: Ordered, progress: Progress, cancelled: Callable[[], bool]
    ) -> VerifiedArtefact | None:
        if self.knobs.fails is not None:
            raise self.knobs.fails
        if self.knobs.is_slow:
            return None
        if cancelled():
            raise RetryableError("cannot go on: it was called back", code="cancelled")
        self.knobs.fetched.append(order.version)
        target = self.state / "incoming" / order.sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.path / "repository" / order.target, target)
        progress(order.length, order.length)
        return VerifiedArtefact(MODEL, order.version, order.length, order.sha256, target)

    def _shadow(self, shadow: Shadow) -> Ruling:
        self.knobs.shadowed.append(shadow)
        return self.knobs.ruling

    def _unpack(self, file: Path, folder: Path) -> None:
        unpack(file, folder)
        self.knobs.spoils(folder)

    def _try(self, bundle: Bundle) -> Tried | None:
        if self.knobs.is_slow:
            return None
        self.knobs.tried.append(bundle.manifest.version)
        return self.knobs.trial(bundle)

    def _activate(self, _model: str, release: Release) -> str | None:
        self.knobs.activated.append(release.version)
        return self.knobs.runs

    def _watch(self, probation: Probation) -> Verdict:
        self.knobs.watched.append(probation)
        if self.knobs.verdict_fails is not None:
            raise self.knobs.verdict_fails
        return self.knobs.verdict


@dataclass
class Mounted(Air):
    """A box whose state directory, and nothing else, is on the volume."""

    volume: Path = Path()

    @property
    def state(self) -> Path:
        return self.volume / "state"


def box(path: Path, *, live: str | None = "1.0.0") -> Air:
    """Give a box, with a version from its folder live."""
    air = Air(path)
    air.state.mkdir(parents=True)
    air.models.mkdir()
    if live is not None:
        air.offer(live)
        air.live()
    return air


def committed(air: Air, version: str = "2.0.0") -> Air:
    """Have a version ordered and kept."""
    air.knobs.verdict = COMMIT
    assert air.carry(air.order(version)) == "committed"
    return air
