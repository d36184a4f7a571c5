"""Config → Daemon: the one place where the parts meet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.assembly.about import About
from edged.assembly.acting import Acting
from edged.assembly.adapters import adapter
from edged.assembly.admitting import Admitting
from edged.assembly.allowance import Allowance
from edged.assembly.box import Box, model_folders, survey_for
from edged.assembly.building import Building
from edged.assembly.compiling import Compiling
from edged.assembly.feeling import Feeling
from edged.assembly.figures_store import FiguresStore
from edged.assembly.governing import Governing
from edged.assembly.learning import Learnings
from edged.assembly.lines import Lines
from edged.assembly.listeners import Listeners
from edged.assembly.measuring import Measuring
from edged.assembly.notify import SystemdNotifier
from edged.assembly.office import FleetOffice, broker_settings
from edged.assembly.orders import Controls, Orders
from edged.assembly.passed_over import expected_folders
from edged.assembly.planner import Planner
from edged.assembly.plugging import Plugging
from edged.assembly.proof import Proof
from edged.assembly.roster import Roster
from edged.assembly.safe import SafePlanner
from edged.assembly.serving import Ground as Serves
from edged.assembly.serving import Serving
from edged.assembly.settling import Settling
from edged.assembly.state import kept_config
from edged.assembly.supply import Supply
from edged.assembly.telling import Teller
from edged.assembly.uses import uses_of
from edged.config.load import Loaded, RejectedConfigError, load
from edged.config.ordered import SLOT
from edged.config.schema import Config
from edged.daemon import Daemon
from edged.domain.bundle import Bundle
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.fleet.outbox import Outbox
from edged.fleet.topics import Stamper
from edged.hardware import heap
from edged.hardware.clock import SystemClock, boot_id
from edged.pipeline.line import Line
from edged.pipeline.turns import Turns
from edged.telemetry import logs
from edged.update.manifest import find_bundles

if TYPE_CHECKING:
    from edged.assembly.flying import Flight
    from edged.assembly.over_the_air import OverTheAir
    from edged.assembly.recording import Recording
    from edged.assembly.tracing import Tracing

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
        kept = _without_orders(file) or kept_config()
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


def _without_orders(file: Path) -> Config | None:
    """Give the box's own configuration when only what was ordered keeps it from being used."""
    try:
        return load(file, ordered=None).config
    except RejectedConfigError:
        return None


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
    loaded = _recovered(file, loaded)
    ground = _ground(loaded.config)
    feel = Feeling(sysroot, ground.box.profile.limits)
    governing = Governing(
        ground.roster.lines, feel, ground.teller, ground.clock, enabled=loaded.config.governor.enabled
    )
    air = _over_the_air(ground) if loaded.config.updates.repository is not None and not safe else None
    planner = (
        SafePlanner(loaded.config, (safe, *fallen_back))
        if safe
        else _planner(ground, file, loaded, fallen_back, governing, air, feel)
    )
    ground.supply.uses = lambda model: uses_of(planner.config, model, lambda _pin, _objective: False)
    orders = Orders(ground.allowance.outbox, ground.stamper, loaded.config.state.directory)
    office = _office(ground, planner, orders, None if safe else governing, sysroot, air)
    daemon = Daemon(planner, office, SystemdNotifier(), ground.clock)
    orders.steer(
        Controls(daemon.reload, daemon.restart, ground.roster.lines, partial(_support, ground, file, governing))
    )
    if air is not None:
        orders.lasting = air.take
        air.connect(file, daemon, lambda: planner.config, lambda: office.is_online, governing.telemetry)
    return daemon


def _recovered(file: Path, loaded: Loaded) -> Loaded:
    """Take back an ordered configuration under which edged kept ending; a box that never got any loads nothing for it."""
    if not (loaded.config.state.directory / "slots" / SLOT).is_dir():
        return loaded
    taken: Loaded = adapter("edged.assembly.configuring").recovered(file, loaded, SystemClock(), boot_id(Path("/")))
    return taken


def _over_the_air(ground: _Ground) -> OverTheAir:
    """Put the agent together; what it stands on is imported on boxes that have a repository only."""
    made: OverTheAir = adapter("edged.assembly.over_the_air", "updates").over_the_air(
        ground.config, ground.supply, ground.box, ground.roster, ground.allowance.outbox, ground.stamper
    )
    return made


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
    listeners: Listeners


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
    listeners = Listeners(config, allowance, stamper)
    box = survey_for(config)
    return _Ground(
        config,
        clock,
        stamper,
        outbox,
        allowance,
        box,
        Supply(
            model_folders(config),
            state,
            replace(box, remotes=config.remote),
            clock,
            expected_folders(config),
            stamper.boot_id,
        ),
        Learnings(state, clock),
        Teller(allowance.outbox, stamper),
        Roster(),
        listeners,
    )


def _planner(
    ground: _Ground,
    file: Path,
    loaded: Loaded,
    fallen_back: tuple[Reason, ...],
    governing: Governing,
    air: OverTheAir | None,
    feel: Feeling,
) -> Planner:
    box, clock, state = ground.box, ground.clock, ground.config.state.directory
    turns = Turns(box.places)
    recording, tracing = _recording(ground), _tracing(ground)
    tracer = tracing.tracer if tracing is not None else None
    acting = Acting(state, ground.allowance.outbox, ground.config.device.id, clock)
    lines = Lines(
        ground.supply,
        ground.allowance.outbox,
        ground.stamper,
        clock,
        broker=partial(broker_settings, ground.config),
        snapshots=state / SNAPSHOTS,
        learnings=ground.learnings,
        turns=turns,
        state=state,
        selftest_s=ground.config.models.selftest_s,
        is_looked_at=ground.config.http is not None,
        is_updated=air is not None,
        recording=recording,
        tracer=tracer,
        handler=acting.handler,
    )
    store = box.store or FiguresStore(state)
    measuring = partial(Measuring, box, store, ground.supply, ground.roster.lines, clock)
    compiling = box.engines.compiling
    building = partial(_building, ground, compiling) if compiling is not None and compiling.accelerators else None
    admitting = Admitting(box, clock)
    scraping = partial(_scraper, ground, lambda: planner.plans, governing)
    overviewing = partial(_overview, ground, lambda: planner.config, governing, air)
    flight = _flight(ground, lambda: planner.plans, governing, feel)
    histories = flight.histories if flight is not None else None
    serves = Serves(
        box, ground.supply, ground.roster, turns, admitting, clock, scraping, overviewing, histories, tracer
    )
    serving = Serving(serves, ground.config)
    behind = (measuring, governing, admitting)
    more = (*(air.parts() if air is not None else ()), *(flight.parts() if flight is not None else ()))
    more = (*more, *(tracing.parts() if tracing is not None else ()))
    planner: Planner = Planner(
        file,
        loaded,
        fallen_back,
        lines,
        clock,
        *behind,
        building=building,
        serving=lambda now: (
            *serving.parts(now),
            *more,
            *(recording.parts(now) if recording is not None else ()),
            *ground.listeners.parts(now),
            *acting.parts(now),
        ),
    )
    return planner


def _scraper(ground: _Ground, plans: Callable[[], int], governing: Governing) -> Callable[[], str]:
    state = ground.config.state.directory
    made: Callable[[], str] = adapter("edged.assembly.scraping").Scraper(
        ground.box, ground.roster, ground.outbox, state, ground.clock, plans, governing.telemetry
    )
    return made


def _support(ground: _Ground, file: Path, governing: Governing) -> Mapping[str, Any]:
    """Write a support archive; what that takes is imported when it is asked for."""
    supporting = adapter("edged.assembly.supporting")
    told = partial(supporting.told, ground.roster, governing.telemetry, ground.clock)
    support = supporting.Support(ground.config.state.directory, file, ground.config.device.id, told)
    written: Mapping[str, Any] = support(ground.clock.wall_ns())
    return written


def _flight(ground: _Ground, plans: Callable[[], int], governing: Governing, feel: Feeling) -> Flight | None:
    """Give the flight recorder; nothing of it is imported where no history is kept."""
    if not ground.config.telemetry.history:
        return None
    flying, clock, state = adapter("edged.assembly.flying"), ground.clock, ground.config.state.directory
    scraper = adapter("edged.assembly.scraping").Scraper(
        ground.box,
        ground.roster,
        ground.outbox,
        state,
        clock,
        plans,
        governing.telemetry,
        feel=lambda: feel.readings(clock.monotonic_ns()),
        usage_s=flying.USAGE_S,
    )
    made: Flight = flying.Flight(scraper, state, ground.stamper.boot_id, clock, ground.roster.lines)
    return made


def _recording(ground: _Ground) -> Recording | None:
    """Give what records; nothing of it is imported where nothing is recorded."""
    if ground.config.record is None:
        return None
    made: Recording = adapter("edged.assembly.recording").Recording(ground.config, ground.stamper, ground.clock)
    return made


def _tracing(ground: _Ground) -> Tracing | None:
    """Give what traces; nothing of it is imported where nothing is traced."""
    if ground.config.tracing is None:
        return None
    made: Tracing = adapter("edged.assembly.tracing").Tracing(ground.config, ground.clock)
    return made


def _overview(ground: _Ground, config: Callable[[], Config], governing: Governing, air: OverTheAir | None) -> Any:
    overview, updates = adapter("edged.assembly.overview"), air.underway if air is not None else tuple
    return overview.Overview(ground.roster, ground.outbox, config, governing.telemetry, ground.clock, updates)


def _building(ground: _Ground, compiling: Compiling, config: Callable[[], Config]) -> Building:
    supply = ground.supply
    bundles = partial(_asked_for, supply, config)
    told = ground.roster.lines, ground.allowance.outbox, ground.stamper
    return Building(ground.box, compiling, bundles, lambda: supply.looks + supply.choices, *told)


def _asked_for(supply: Supply, config: Callable[[], Config]) -> Sequence[Bundle]:
    """Give the models of the pipelines: as they were opened, or as they lie in the folders where none of their rungs opens yet."""
    opened = {bundle.manifest.name: bundle for bundle in supply.bundles()}
    asked = {pipeline.model for pipeline in config().pipeline} - opened.keys()
    catalogue = find_bundles(model_folders(config())).bundles if asked else {}
    return (*opened.values(), *(catalogue[model][0] for model in sorted(asked) if catalogue.get(model)))


def _office(
    ground: _Ground,
    planner: Planner | SafePlanner,
    orders: Orders,
    governing: Governing | None,
    sysroot: Path,
    air: OverTheAir | None,
) -> FleetOffice:
    clock, supply, lines = ground.clock, ground.supply, ground.roster.lines
    about = About(ground.box, supply, planner, ground.learnings, clock, ground.teller)
    if air is not None:
        about.conduct = air.conduct
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
        settle=partial(_upkeep, settling, supply, lines, proof, Plugging(ground.box, clock), air),
        more=proof.telemetry,
        beside=ground.listeners.beside(lambda: planner.config.pipeline),
    )


def _upkeep(
    settling: Settling,
    supply: Supply,
    lines: Callable[[], Sequence[Line]],
    proof: Proof,
    plugging: Plugging,
    air: OverTheAir | None,
) -> None:
    settling.tick()
    proof.tick()
    if air is not None:
        air.tick()
    is_other = plugging.tick(supply.choose_anew)
    if supply.is_due() or is_other:
        for line in lines():
            line.renew()
