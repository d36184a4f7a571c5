"""Config → Daemon: the one place where the parts meet."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edged.assembly import levels
from edged.assembly.allowance import Allowance
from edged.assembly.box import Box, ladder, model_folders, survey_for
from edged.assembly.installed import described
from edged.assembly.lines import Lines, opener
from edged.assembly.notify import SystemdNotifier
from edged.assembly.office import FleetOffice
from edged.assembly.orders import Controls, Orders
from edged.assembly.safe import SafePlanner
from edged.assembly.state import keep_config, kept_config
from edged.assembly.supply import Supply
from edged.config.load import Fault, Loaded, RejectedConfigError, load
from edged.config.schema import Config, Pipeline, Source
from edged.daemon import Daemon, Plan, Wanted
from edged.domain.errors import ConfigError, EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.fleet.outbox import Outbox
from edged.fleet.topics import Stamper
from edged.hardware import heap
from edged.hardware.clock import SystemClock, boot_id
from edged.hardware.inventory import to_document
from edged.telemetry import logs
from edged.update.manifest import find_bundles

OUTBOX = "outbox.sqlite3"
SNAPSHOTS = "snapshots"
FIXED_SECTIONS = ("device", "state", "mqtt", "outbox", "telemetry", "models", "profiles")
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
    file: Path, loaded: Loaded, fallen_back: tuple[Reason, ...] = (), safe: Reason | None = None
) -> Daemon:
    """Build the daemon of a configuration; nothing runs yet. ``file`` is read again at each reload.

    ``safe`` is why it shall run no pipelines, when it shall not.
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
    supply = Supply(model_folders(config), config.state.directory, box, clock)
    lines = Lines(supply, allowance.outbox, stamper, clock, snapshots=config.state.directory / SNAPSHOTS)
    planner = SafePlanner(config, (safe, *fallen_back)) if safe else Planner(file, loaded, fallen_back, lines, clock)
    about = About(box, supply, planner)
    orders = Orders(allowance.outbox, stamper, config.state.directory)
    office = FleetOffice(
        config, outbox, stamper, clock, orders, allowance=allowance, inventory=about.inventory, models=about.models
    )
    daemon = Daemon(planner, office, SystemdNotifier(), clock)
    orders.steer(Controls(daemon.reload, daemon.restart, office.lines))
    return daemon


class Planner:
    """Makes the plan: the first from what was loaded, each later one from the file as it is then."""

    def __init__(self, file: Path, loaded: Loaded, fallen_back: tuple[Reason, ...], lines: Lines, clock: Clock) -> None:
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
        unready: list[Reason] = []
        for source in config.source:
            pipelines = by_priority(pipeline for pipeline in config.pipeline if pipeline.source == source.name)
            if not pipelines:
                continue
            try:
                opener(source, self._clock)
            except ConfigError as error:
                unready.append(self._reason("config", source.name, error))
                continue
            parts.append(Wanted(source.name, (source, pipelines), self._builder(source, pipelines)))
        return tuple(sorted(parts, key=_urgency)), unready

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

    def __init__(self, box: Box, supply: Supply, planner: Planner | SafePlanner) -> None:
        self._box = box
        self._supply = supply
        self._planner = planner
        self._told: dict[str, tuple[int, dict[str, Any]]] = {}

    def inventory(self) -> dict[str, Any]:
        """Give hardware, profile, pipelines, and the ladder of each model that is asked for."""
        return self._once("inventory", self._planner.plans, self._inventory)

    def models(self) -> dict[str, Any]:
        """Give what runs, what ran before, and what is quarantined."""
        return self._once("models", self._supply.looks, self._models)

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
                {"name": pipeline.name, "source": pipeline.source, "model": pipeline.model}
                for pipeline in config.pipeline
            ],
            "models": self._ladders(config),
        }

    def _models(self) -> dict[str, Any]:
        return {"schema": "edged.models/1", "models": [described(one) for one in self._supply.installed()]}

    def _ladders(self, config: Config) -> list[dict[str, Any]]:
        catalogue = find_bundles(model_folders(config)).bundles
        wanted = sorted({pipeline.model for pipeline in config.pipeline} & catalogue.keys())
        return [levels.ladder(ladder(catalogue[name][0], self._box)) for name in wanted]


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
