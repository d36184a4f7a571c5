"""A box without pipelines, its agent with a courier that needs no signatures, and what the fleet hears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from edged.assembly.accepted import Accepted
from edged.assembly.box import Box, survey
from edged.assembly.going_live import GoingLive
from edged.assembly.supply import Supply
from edged.assembly.update_reports import UpdateReports
from edged.assembly.updating import Updating
from edged.fleet.topics import Stamper
from edged.update.archive import unpack
from edged.update.desired import ModelOrder
from edged.update.disk import LocalDisk
from edged.update.ports import Probation, Site
from edged.update.probation import COMMIT, Verdict
from edged.update.records import Pointer
from fakes.clock import FakeClock
from fakes.ordering import DEVICE, LINE, FolderCourier, envelope, published
from fakes.outbox import FakeOutbox
from fakes.sensor import sensor_bundle
from fakes.site import Tried

MODEL = "level"


@dataclass
class Fleet:
    """A box without pipelines, its agent, and what the fleet hears."""

    path: Path
    clock: FakeClock = field(default_factory=FakeClock)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)
    verdict: Verdict = COMMIT
    waits: str | None = None
    trial: Callable[[], Tried] = lambda: Tried(passed=True)
    seq: int = 0

    def __post_init__(self) -> None:
        self.state.mkdir()
        self.courier = FolderCourier(self.path / "repository", self.state / "incoming")
        sensor_bundle(self.path / "models" / MODEL)
        self.began()
        self.outbox.drafts.clear()

    @property
    def state(self) -> Path:
        return self.path / "state"

    def began(self) -> None:
        """Start, or start anew."""
        self.supply = Supply((self.path / "models",), self.state, _this_machine(), self.clock, boot="boot-1")
        reports = UpdateReports(self.outbox, Stamper("boot-1", self.clock))
        live = GoingLive(list, lambda _: None, self.clock)
        accepted = Accepted(self.state, LocalDisk(), (DEVICE, LINE))
        self.agent = Updating(self.courier, accepted, self.supply, live, reports, self.clock, jitter=lambda: 1.0)
        self.agent.site = Site(
            fetch=self.fetch,
            unpack=unpack,
            trial=lambda _bundle: self.trial(),
            free_bytes=lambda: 1 << 40,
            waits_for=lambda: self.waits,
            activate=lambda _model, _release: None,
            watch=self._watch,
            cancelled=self.agent.is_called_back,
            progress=reports.progress,
        )
        self.supply.bundle(MODEL)

    def fetch(self, model: str, order: Any, progress: Any, cancelled: Any) -> Any:
        wanted = ModelOrder(model, order.version, order.target, order.length, order.sha256)
        return self.courier.fetch(wanted, progress, cancelled)

    def publish(self, version: str, **more: Any) -> dict[str, Any]:
        return published(
            sensor_bundle(self.path / "sources" / version, version=version), self.path / "repository", **more
        )

    def order(self, version: str | None, audience: Any = DEVICE, **more: Any) -> None:
        """Put the next order onto a topic."""
        self.seq += 1
        wanted = self.publish(version, **more) if version is not None else None
        self.agent.take(audience, envelope(self.seq, {MODEL: wanted}, audience=audience))

    def live(self) -> str:
        return self.supply.bundle(MODEL).manifest.version

    def slot(self) -> Pointer:
        return self.supply.updater.slots.pointer(MODEL)

    def said(self) -> list[tuple[Any, Any]]:
        return [(body.get("model"), body["state"]) for body in self.outbox.bodies("update")]

    def last(self) -> dict[str, Any]:
        return self.outbox.bodies("update")[-1]

    def _watch(self, _probation: Probation) -> Verdict:
        return self.verdict


@cache
def _this_machine() -> Box:
    """Give it with the shipped profiles."""
    return survey(Path("/"), "auto", ())
