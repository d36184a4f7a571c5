"""A simulated box: the real agent, updater, store and journal; only fetching, trial and service are scripted."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgectl.fleet.simulate.script import Role, Terms
from edged.assembly.accepted import Accepted
from edged.assembly.box import Box
from edged.assembly.going_live import GoingLive
from edged.assembly.installed import described
from edged.assembly.probing import told
from edged.assembly.supply import Supply
from edged.assembly.update_reports import UpdateReports
from edged.assembly.updating import Updating
from edged.domain.artefact import VerifiedArtefact
from edged.domain.bundle import Bundle
from edged.domain.message import Draft
from edged.domain.ports import Clock
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock
from edged.update.archive import unpack
from edged.update.desired import Audience, Desired, ModelOrder, check, parse
from edged.update.disk import LocalDisk
from edged.update.ports import Probation, Progress, Site
from edged.update.probation import Conduct, Verdict, judge
from edged.update.probation import Terms as Asked
from edged.update.records import Ordered

BEFORE = Conduct(results=1000, p95_ms=10.0, memory_mb=100.0)
SLOW = Conduct(results=1000, p95_ms=30.0, p95_least_ms=28.0, memory_mb=100.0)
"""Three times the p95 of the release before: what the probation's own gate finds."""

Say = Callable[[Draft], None]
"""Publishes a document of the box's."""


class Synced(SystemClock):
    """This machine's clock, believed: what a simulated box cannot do is wait for its time server."""

    def synced(self) -> bool:
        """It is."""
        return True


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of a trial."""

    passed: bool
    reason: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ground:
    """What all boxes of a simulation share: the model, its first release's folder, the repository, and the machine."""

    model: str
    models: Path
    repository: Path
    box: Box
    terms: Terms
    clock: Clock = field(default_factory=Synced)


class _Supply(Supply):
    """Takes the first release for good: its file is no model that an engine could open."""

    def _try(self, _bundle: Bundle) -> str | None:
        return None


class SimulatedBox:
    """``take`` hands it an order, ``tick`` has its agent do what is due; both on one thread."""

    def __init__(self, name: str, role: Role, state: Path, ground: Ground, say: Say) -> None:
        self.name, self.role = name, role
        self._state, self._ground, self._say = state, ground, say
        self._audience = Audience("device", name)
        self._late: list[tuple[float, bytes]] = []
        self._told_looks = -1
        self._compared: dict[str, Any] | None = None
        state.mkdir(parents=True)
        self._supply = _Supply((ground.models,), state, ground.box, ground.clock, boot="boot-1")
        self._supply.bundle(ground.model)
        self._agent = self._made()

    def take(self, envelope: bytes) -> None:
        """Take what lies on the box's topic, at once or when its role has it."""
        if self.role is Role.ANSWERS_LATE:
            self._late.append((time.monotonic() + self._ground.terms.late_s, envelope))
        else:
            self._agent.take(self._audience, envelope)

    def tick(self) -> float:
        """Do what is due; gives the seconds until something is due again."""
        now_s = time.monotonic()
        for at_s, envelope in self._late:
            if at_s <= now_s:
                self._agent.take(self._audience, envelope)
        self._late = [one for one in self._late if one[0] > now_s]
        wait_s = self._agent.tick()
        if self._supply.looks != self._told_looks:
            self._told_looks = self._supply.looks
            self.tell_models()
        return min([wait_s, *(at_s - now_s for at_s, _ in self._late)])

    def introduce(self) -> None:
        """Tell what a box tells after each connection."""
        self._say(Draft("status", {"schema": "edged.status/1", "state": "online"}, retain=True))
        self._say(Draft("health", {"schema": "edged.health/1", "state": "ok", "reasons": []}, retain=True))
        self._say(
            Draft("inventory", {"schema": "edged.inventory/1", "profile": "simulated", "groups": ["all"]}, retain=True)
        )
        self.tell_models()

    def tell_models(self) -> None:
        """Tell of its model as every box does."""
        models = [{**described(one), "conduct": self._compared} for one in self._supply.installed().models]
        self._say(Draft("models", {"schema": "edged.models/1", "models": models}, retain=True))

    def put(self, draft: Draft, *, wait_s: float = 0.0) -> bool:  # noqa: ARG002 - the port's
        """Stand in for the outbox: nothing waits on the disk."""
        self._say(draft)
        return True

    def judge(self, envelope: bytes, addressed: Audience, _cancelled: Callable[[], bool] = lambda: False) -> Desired:
        """Read an order. Its signatures are not held against keys: what costs that is measured elsewhere (benchmarks/updates.py)."""
        desired = parse(base64.b64decode(json.loads(envelope)["payload"]))
        check(desired, addressed, (self._audience,), self._ground.clock.wall_ns() // 1_000_000)
        return desired

    def fetch(self, order: ModelOrder, progress: Progress, _cancelled: Callable[[], bool]) -> VerifiedArtefact:
        """Copy the file: many boxes of one machine would only measure its disk."""
        target = self._state / "incoming" / order.sha256
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(self._ground.repository / order.target, target)
        progress(order.length, order.length)
        return VerifiedArtefact(order.model, order.version, order.length, order.sha256, target)

    def _made(self) -> Updating:
        ground = self._ground
        reports = UpdateReports(self, Stamper("boot-1", ground.clock))
        live = GoingLive(list, lambda _pipeline: None, ground.clock)
        accepted = Accepted(self._state, LocalDisk(), (self._audience,))
        agent = Updating(self, accepted, self._supply, live, reports, ground.clock)
        agent.site = Site(
            fetch=self._fetched,
            unpack=unpack,
            trial=self._tried,
            free_bytes=lambda: 1 << 40,
            waits_for=lambda: None,
            activate=lambda _model, _release: None,
            watch=self._watched,
            cancelled=agent.is_called_back,
            progress=reports.progress,
        )
        return agent

    def _fetched(
        self, model: str, order: Ordered, progress: Progress, cancelled: Callable[[], bool]
    ) -> VerifiedArtefact:
        wanted = ModelOrder(model, order.version, order.target, order.length, order.sha256)
        return self.fetch(wanted, progress, cancelled)

    def _tried(self, _bundle: Bundle) -> Passed:
        fails = self.role is Role.FAILS_TRIAL
        return Passed(not fails, "golden sample 1: other label, as scripted" if fails else "")

    def _watched(self, probation: Probation) -> Verdict:
        now = SLOW if self.role is Role.ROLLS_BACK else BEFORE
        self._compared = {"version": probation.release.version, "before": told(BEFORE), "now": told(now)}
        order = probation.order
        return judge(BEFORE, now, Asked(order.probation_s, order.min_inferences), probation.running_s)
