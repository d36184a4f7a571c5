"""Config → Daemon: the one place where the parts meet."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edged.assembly import levels
from edged.assembly.admitting import Admitting
from edged.assembly.allowance import Allowance
from edged.assembly.box import Box, model_folders, survey_for
from edged.assembly.feeling import Feeling
from edged.assembly.figures_store import FiguresStore
from edged.assembly.governing import PART as GOVERNING
from edged.assembly.governing import Governing
from edged.assembly.installed import described
from edged.assembly.learning import Learnings
from edged.assembly.lines import Lines, opener
from edged.assembly.measuring import PART, Measuring
from edged.assembly.notify import SystemdNotifier
from edged.assembly.office import FleetOffice, broker_settings
from edged.assembly.orders import Controls, Orders
from edged.assembly.passed_over import expected_folders, model_reasons
from edged.assembly.proof import Proof
from edged.assembly.safe import SafePlanner
from edged.assembly.settling import Settling
from edged.assembly.state import keep_config, kept_config
from edged.assembly.supply import Supply
from edged.assembly.telling import Teller
from edged.config.load import Fault, Loaded, RejectedConfigError, load
from edged.config.schema import Config, Objective, Pipeline, Source
from edged.daemon import Daemon, Plan, Wanted
from edged.domain.errors import ConfigError, EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.fleet.outbox import Outbox
from edged.fleet.topics import Stamper
from edged.hardware import heap
from edged.hardware.clock import SystemClock, boot_id
from edged.hardware.inventory import to_document
from edged.pipeline.line import Line
from edged.pipeline.turns import Turns
from edged.telemetry import logs
from edged.update.manifest import find_bundles
from edged.update.updater import Standing

OUTBOX = "outbox.sqlite3"
SNAPSHOTS = "snapshots"
FIXED_SECTIONS = ("device", "state", "mqtt", "outbox", "telemetry", "governor", "models", "profiles")
"""What a reload does not change: it takes a restart."""

_LOG = logging.getLogger("edged.wiring")


def load_or_fall_back(file: Path) -> tuple[Loaded, tuple[Reason, ...]]:
    """Read the configuration, or the last one that ran when the file cannot be used.

    Raises RejectedConfigError when there is none to fall back on.
    """
    try:
        return load(file), ()
    except RejectedConfigError as error:
        kept = kept_config()
        if kept is None:
            raise
        logs.event(_LOG, "config.fallback", level=logging.ERROR, error=error)
        now_ns = SystemClock().monotonic_ns()
        reason = Reason(
            "config-fallback",
            "config",
            f"runs the last good configuration: {error}",
            now_ns,
            "mend the file and reload",
        )
        return Loaded(kept, (), ()), (reason,)


def build_daemon(
    file: Path,
    loaded: Loaded,
    fallen_back: tuple[Reason, ...] = (),
    safe: Reason | None = None,
    sysroot: Path = Path("/"),
) -> Daemon:
    """Build the daemon of a configuration; nothing runs yet. ``file`` is read again at each reload.

    ``safe`` is why it shall run no pipelines, when it shall not. ``sysroot`` is where the files hang from that tell the governor how
    the box feels.
    """
    heap.limit_arenas()
    clock = SystemClock()
    config = loaded.config
    stamper = Stamper(boot_id(Path("/")), clock)
    outbox = Outbox.open(
        config.state.directory / OUTBOX,
        device=config.device.id,
        clock=clock,
        max_bytes=config.outbox.max_bytes,
        boot_id=stamper.boot_id,
    )
    allowance = Allowance(config.mqtt.budget_mb_per_day, outbox, config.state.directory, clock)
    box = survey_for(config)
    supply = Supply(model_folders(config), config.state.directory, box, clock, expected_folders(config))
    learnings = Learnings(config.state.directory, clock)
    lines = Lines(
        supply,
        allowance.outbox,
        stamper,
        clock,
        broker=partial(broker_settings, config),
        snapshots=config.state.directory / SNAPSHOTS,
        learnings=learnings,
        turns=Turns(max(1, int(box.inventory.cpu.allowed or 1))),
        state=config.state.directory,
        selftest_s=config.models.selftest_s,
    )
    teller = Teller(allowance.outbox, stamper)
    feel = Feeling(sysroot, box.profile.limits)
    governing = Governing(lambda: office.lines(), feel, teller, clock, enabled=config.governor.enabled)  # noqa: PLW0108 - it is made below
    planner = (
        SafePlanner(config, (safe, *fallen_back))
        if safe
        else Planner(
            file,
            loaded,
            fallen_back,
            lines,
            clock,
            lambda: _measuring(config, box, supply, office, clock),
            governing,
            Admitting(box, clock),
        )
    )
    proof = Proof(config.state.directory, lambda: office.lines(), lambda: planner.config, clock, sysroot)  # noqa: PLW0108 - it is made below
    about = About(box, supply, planner, learnings, clock, teller)
    orders = Orders(allowance.outbox, stamper, config.state.directory)
    office: FleetOffice = FleetOffice(
        config,
        outbox,
        stamper,
        clock,
        orders,
        allowance=allowance,
        inventory=about.inventory,
        models=about.models,
        ills=about.reasons,
        felt=None if safe else governing.telemetry,
        settle=partial(_upkeep, Settling(lambda: supply.choices, clock), supply, lambda: office.lines(), proof),  # noqa: PLW0108 - it is only being made here,
        more=proof.telemetry,
    )
    daemon = Daemon(planner, office, SystemdNotifier(), clock)
    orders.steer(Controls(daemon.reload, daemon.restart, office.lines))
    return daemon


def _upkeep(settling: Settling, supply: Supply, lines: Callable[[], Sequence[Line]], proof: Proof) -> None:
    settling.tick()
    proof.tick()
    if supply.is_due():
        for line in lines():
            line.renew()


def _measuring(config: Config, box: Box, supply: Supply, office: FleetOffice, clock: Clock) -> Measuring:
    store = box.store or FiguresStore(config.state.directory)
    return Measuring(box, store, supply, office.lines, clock)


class Planner:
    """Makes the plan: the first from what was loaded, each later one from the file as it is then."""

    def __init__(
        self,
        file: Path,
        loaded: Loaded,
        fallen_back: tuple[Reason, ...],
        lines: Lines,
        clock: Clock,
        measuring: Callable[[], Measuring] | None = None,
        governing: Governing | None = None,
        admitting: Callable[[Config], Mapping[str, Reason]] = lambda _config: {},
    ) -> None:
        self._measuring = measuring
        self._governing = governing
        self._admitting = admitting
        self._file = file
        self._loaded: Loaded | None = loaded
        self._fallen_back = fallen_back
        self._lines = lines
        self._clock = clock
        self._started = loaded.config
        self.config = loaded.config
        self.plans = 0

    def __call__(self) -> Plan:
        """Give what shall run, and why the rest cannot."""
        loaded, self._loaded = self._loaded, None
        reasons: list[Reason] = list(self._fallen_back)
        if loaded is None:
            loaded, reasons = load(self._file), []
            reasons += self._left_as_they_are(loaded.config)
        config = loaded.config
        parts, unready = self._parts(config)
        reasons += [self._fault(fault) for fault in loaded.faults] + unready
        self._fallen_back = ()
        self.config = config
        self.plans += 1
        keep_config(config)
        return Plan(parts, tuple(reasons))

    def _parts(self, config: Config) -> tuple[tuple[Wanted, ...], list[Reason]]:
        parts: list[Wanted] = []
        refused = self._admitting(config)
        unready: list[Reason] = list(refused.values())
        for source in config.source:
            pipelines = by_priority(
                pipeline
                for pipeline in config.pipeline
                if pipeline.source == source.name and pipeline.name not in refused
            )
            if not pipelines:
                continue
            try:
                opener(source, self._clock)
            except ConfigError as error:
                unready.append(self._reason("config", source.name, error))
                continue
            parts.append(Wanted(source.name, (source, pipelines), self._builder(source, pipelines)))
        return (*sorted(parts, key=_urgency), *self._behind(parts)), unready

    def _behind(self, parts: Sequence[Wanted]) -> tuple[Wanted, ...]:
        """Give what measures behind the others, and what governs them, if there are any."""
        is_wanted = bool(parts) and self._started.models.measure == "background"
        governing = self._governing
        return (
            *((Wanted(PART, None, self._measuring),) if is_wanted and self._measuring is not None else ()),
            *((Wanted(GOVERNING, None, lambda: governing),) if parts and governing is not None else ()),
        )

    def _builder(self, source: Source, pipelines: tuple[Pipeline, ...]) -> Callable[[], Any]:
        return lambda: self._lines.build(source, pipelines)

    def _left_as_they_are(self, config: Config) -> list[Reason]:
        changed = [name for name in FIXED_SECTIONS if getattr(config, name) != getattr(self._started, name)]
        if not changed:
            return []
        message = f"changes in {', '.join(f'[{name}]' for name in changed)} are not in force yet"
        return [Reason("restart-needed", "config", message, self._clock.monotonic_ns(), "restart edged")]

    def _fault(self, fault: Fault) -> Reason:
        component = fault.pipeline or "config"
        return Reason(
            "config", component, str(fault), self._clock.monotonic_ns(), "mend the file and reload", fatal=True
        )

    def _reason(self, code: str, component: str, error: EdgedError) -> Reason:
        return Reason(code, component, str(error.args[0]), self._clock.monotonic_ns(), error.remedy, fatal=True)


class About:
    """The documents about the box: what it is, and which models it has."""

    def __init__(
        self,
        box: Box,
        supply: Supply,
        planner: Planner | SafePlanner,
        learnings: Learnings,
        clock: Clock,
        teller: Teller,
    ) -> None:
        self._teller = teller
        self._learnings = learnings
        self._box = box
        self._supply = supply
        self._planner = planner
        self._clock = clock
        self._told: dict[str, tuple[int, dict[str, Any]]] = {}
        self._standing: tuple[tuple[int, int], Standing] | None = None
        self._explained: Standing | None = None
        self._reasons: list[Reason] = []

    def inventory(self) -> dict[str, Any]:
        """Give hardware, profile, pipelines, and the ladder of each model that is asked for."""
        measured = self._box.store.revision if self._box.store is not None else 0
        age = self._planner.plans + measured + self._supply.looks + self._teller.revision
        return self._once("inventory", age, self._inventory)

    def models(self) -> dict[str, Any]:
        """Give what runs, what ran before, what is quarantined, and what has calibrated itself."""
        names = [pipeline.name for pipeline in self._planner.config.pipeline]
        return self._once("models", self._supply.looks, self._models) | {"calibrations": self._learnings.told(names)}

    def reasons(self) -> Sequence[Reason]:
        """Say which bundles do not run although they lie there, as of the last look."""
        standing = self._stands()
        if self._explained is not standing:
            since_ns = {(reason.code, reason.component): reason.since_mono_ns for reason in self._reasons}
            self._explained, self._reasons = standing, model_reasons(standing, since_ns, self._clock.monotonic_ns())
        return self._reasons

    def _stands(self) -> Standing:
        """Look at the folders again only after a look for a model, or a reload."""
        age = self._supply.looks, self._planner.plans
        if self._standing is None or self._standing[0] != age:
            self._standing = (age, self._supply.installed())
        return self._standing[1]

    def _once(self, name: str, age: int, body: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Build a document again only when what it tells may have changed: digests and folders cost time."""
        told = self._told.get(name)
        if told is None or told[0] != age:
            told = self._told[name] = (age, body())
        return told[1]

    def _inventory(self) -> dict[str, Any]:
        config = self._planner.config
        return {
            "schema": "edged.inventory/1",
            "hardware": to_document(self._box.inventory, self._box.profile.name, self._box.runtimes),
            "profile": self._box.profile.name,
            "versions": versions(self._box),
            "pipelines": [
                {
                    "name": pipeline.name,
                    "source": pipeline.source,
                    "model": pipeline.model,
                    "governor": self._teller.standing(pipeline.name),
                }
                for pipeline in config.pipeline
            ],
            "models": self._ladders(config),
        }

    def _models(self) -> dict[str, Any]:
        return {"schema": "edged.models/1", "models": [described(one) for one in self._stands().models]}

    def _ladders(self, config: Config) -> list[dict[str, Any]]:
        catalogue = find_bundles(model_folders(config)).bundles
        asked: dict[tuple[str, str | None, Objective], list[str]] = {}
        for pipeline in config.pipeline:
            if pipeline.model in catalogue:
                asked.setdefault((pipeline.model, pipeline.pin, pipeline.objective), []).append(pipeline.name)
        return [
            {**levels.ladder(self._supply.ladder(catalogue[model][0], pin, objective), objective), "pipelines": names}
            for (model, pin, objective), names in sorted(asked.items(), key=lambda item: item[1])
        ]


def versions(box: Box) -> dict[str, str]:
    """Give the version of edged, of its Python and of the runtimes' packages."""
    found = {"edged": version("edged"), "python": platform.python_version()}
    return found | {runtime.distribution: runtime.version for runtime in box.runtimes}


def by_priority(pipelines: Any) -> tuple[Pipeline, ...]:
    """Give the most important first; of equals, the first in the file."""
    return tuple(sorted(pipelines, key=lambda pipeline: -pipeline.priority))


def _urgency(part: Wanted) -> int:
    pipelines: Sequence[Pipeline] = part.settings[1]
    return -max(pipeline.priority for pipeline in pipelines)
