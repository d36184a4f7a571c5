"""A box whose models come from folders."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edged.domain.bundle import Bundle
from edged.update.disk import Disk
from edged.update.manifest import verify
from edged.update.records import Records
from edged.update.store import Store
from edged.update.updater import Updater
from fakes.clock import FakeClock
from fakes.disk import FragileDisk


@dataclass
class Trial:
    """Refuses the versions that it holds, or raises, and remembers what it saw."""

    refuses: set[str] = field(default_factory=set)
    raises: Exception | None = None
    seen: list[str] = field(default_factory=list)

    def __call__(self, bundle: Bundle) -> str | None:
        self.seen.append(bundle.manifest.version)
        assert verify(bundle) == []
        if self.raises:
            raise self.raises
        return "golden sample 3 differs by 0.4" if bundle.manifest.version in self.refuses else None


@dataclass
class Box:
    """A box's folders, and an updater that starts anew on each call as after a restart."""

    path: Path
    trial: Trial = field(default_factory=Trial)

    @property
    def own(self) -> Path:
        return self.path / "own"

    @property
    def shipped(self) -> Path:
        return self.path / "shipped"

    @property
    def state(self) -> Path:
        return self.path / "state"

    def records(self, disk: Disk | None = None) -> Records:
        return Records(self.state, disk or FragileDisk(), FakeClock())

    def updater(self, disk: Disk | None = None) -> Updater:
        disk = disk or FragileDisk()
        return Updater([self.own, self.shipped], Store(self.state, disk), self.records(disk), self.trial)

    def ensure(self, disk: Disk | None = None) -> str:
        bundle = self.updater(disk).ensure("parts")
        assert verify(bundle) == []
        assert bundle.folder.is_relative_to(self.state)
        return bundle.manifest.version
