"""Config → Daemon: the one place where the parts meet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edged.assembly.about import About
from edged.assembly.admitting import Admitting
from edged.assembly.allowance import Allowance
from edged.assembly.box import Box, model_folders, survey_for
from edged.assembly.feeling import Feeling
from edged.assembly.figures_store import FiguresStore
from edged.assembly.governing import Governing
from edged.assembly.learning import Learnings
from edged.assembly.lines import Lines
from edged.assembly.measuring import Measuring
from edged.assembly.notify import SystemdNotifier
from edged.assembly.office import FleetOffice, broker_settings
from edged.assembly.orders import Controls, Orders
from edged.assembly.passed_over import expected_folders
from edged.assembly.planner import Planner
from edged.assembly.proof import Proof
from edged.assembly.roster import Roster
from edged.assembly.safe import SafePlanner
from edged.assembly.settling import Settling
from edged.assembly.state import kept_config
from edged.assembly.supply import Supply
from edged.assembly.telling import Teller
from edged.config.load import Loaded, RejectedConfigError, load
from edged.config.schema import Config
from edged.daemon import Daemon
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.fleet.outbox import Outbox
from edged.fleet.topics import Stamper
from edged.hardware import heap
from edged.hardware.clock import SystemClock, boot_id
from edged.pipeline.line import Line
from edged.pipeline.turns import Turns
from edged.telemetry import logs

OUTBOX = "outbox.sqlite3"
SNAPSHOTS = "snapshots"

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
    ground = _ground(loaded.config)
    feel = Feeling(sysroot, ground.box.profile.limits)
    governing = Governing(
        ground.roster.lines, feel, ground.teller, ground.clock, enabled=loaded.config.governor.enabled
    )
    planner = (
        SafePlanner(loaded.config, (safe, *fallen_back))
        if safe
        else _planner(ground, file, loaded, fallen_back, governing)
    )
    orders = Orders(ground.allowance.outbox, ground.stamper, loaded.config.state.directory)
    office = _office(ground, planner, orders, None if safe else governing, sysroot)
    daemon = Daemon(planner, office, SystemdNotifier(), ground.clock)
    orders.steer(Controls(daemon.reload, daemon.restart, ground.roster.lines))
    return daemon


@dataclass(frozen=True, slots=True)
class _Ground:
    """What everything else stands on."""

    config: Config
    clock: Clock
    stamper: Stamper
    outbox: Outbox
    allowance: Allowance
    box: Box
    supply: Supply
    learnings: Learnings
    teller: Teller
    roster: Roster


def _ground(config: Config) -> _Ground:
    clock, state = SystemClock(), config.state.directory
    stamper = Stamper(boot_id(Path("/")), clock)
    outbox = Outbox.open(
        state / OUTBOX,
        device=config.device.id,
        clock=clock,
        max_bytes=config.outbox.max_bytes,
        boot_id=stamper.boot_id,
    )
    allowance = Allowance(config.mqtt.budget_mb_per_day, outbox, state, clock)
    box = survey_for(config)
    return _Ground(
        config,
        clock,
        stamper,
        outbox,
        allowance,
        box,
        Supply(model_folders(config), state, box, clock, expected_folders(config)),
        Learnings(state, clock),
        Teller(allowance.outbox, stamper),
        Roster(),
    )


def _planner(
    ground: _Ground, file: Path, loaded: Loaded, fallen_back: tuple[Reason, ...], governing: Governing
) -> Planner:
    box, clock, state = ground.box, ground.clock, ground.config.state.directory
    lines = Lines(
        ground.supply,
        ground.allowance.outbox,
        ground.stamper,
        clock,
        broker=partial(broker_settings, ground.config),
        snapshots=state / SNAPSHOTS,
        learnings=ground.learnings,
        turns=Turns(max(1, int(box.inventory.cpu.allowed or 1))),
        state=state,
        selftest_s=ground.config.models.selftest_s,
    )
    store = box.store or FiguresStore(state)
    measuring = partial(Measuring, box, store, ground.supply, ground.roster.lines, clock)
    return Planner(file, loaded, fallen_back, lines, clock, measuring, governing, Admitting(box, clock))


def _office(
    ground: _Ground, planner: Planner | SafePlanner, orders: Orders, governing: Governing | None, sysroot: Path
) -> FleetOffice:
    clock, supply, lines = ground.clock, ground.supply, ground.roster.lines
    about = About(ground.box, supply, planner, ground.learnings, clock, ground.teller)
    proof = Proof(ground.config.state.directory, lines, lambda: planner.config, clock, sysroot)
    settling = Settling(lambda: supply.choices, clock)
    return FleetOffice(
        ground.config,
        ground.outbox,
        ground.stamper,
        clock,
        orders,
        allowance=ground.allowance,
        inventory=about.inventory,
        models=about.models,
        roster=ground.roster,
        ills=about.reasons,
        felt=governing.telemetry if governing is not None else None,
        settle=partial(_upkeep, settling, supply, lines, proof),
        more=proof.telemetry,
    )


def _upkeep(settling: Settling, supply: Supply, lines: Callable[[], Sequence[Line]], proof: Proof) -> None:
    settling.tick()
    proof.tick()
    if supply.is_due():
        for line in lines():
            line.renew()
