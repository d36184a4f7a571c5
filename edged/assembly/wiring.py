"""Config → Daemon: the one place where the parts meet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edged.assembly.about import About
from edged.assembly.adapters import adapter
from edged.assembly.admitting import Admitting
from edged.assembly.beside import Beside, beside_of
from edged.assembly.box import model_folders
from edged.assembly.building import Building
from edged.assembly.compiling import Compiling
from edged.assembly.feeling import Feeling
from edged.assembly.figures_store import FiguresStore
from edged.assembly.governing import Governing
from edged.assembly.ground import Ground, ground_of
from edged.assembly.lines import Lines
from edged.assembly.measuring import Measuring
from edged.assembly.notify import SystemdNotifier
from edged.assembly.office import FleetOffice, broker_settings
from edged.assembly.orders import Controls, Orders
from edged.assembly.planner import Planner
from edged.assembly.plugging import Plugging
from edged.assembly.proof import Proof
from edged.assembly.safe import SafePlanner
from edged.assembly.serving import Ground as Serves
from edged.assembly.serving import Serving
from edged.assembly.settling import Settling
from edged.assembly.state import kept_config
from edged.assembly.supply import Supply
from edged.assembly.uses import uses_of
from edged.config.load import Loaded, RejectedConfigError, load
from edged.config.ordered import SLOT
from edged.config.schema import Config
from edged.daemon import Daemon
from edged.domain.bundle import Bundle
from edged.domain.health import Reason
from edged.hardware import heap
from edged.hardware.clock import SystemClock, boot_id
from edged.pipeline.line import Line
from edged.pipeline.turns import Turns
from edged.telemetry import logs
from edged.update.manifest import find_bundles

if TYPE_CHECKING:
    from edged.assembly.over_the_air import OverTheAir

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
    ground = ground_of(loaded.config)
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


def _over_the_air(ground: Ground) -> OverTheAir:
    """Put the agent together; what it stands on is imported on boxes that have a repository only."""
    made: OverTheAir = adapter("edged.assembly.over_the_air", "updates").over_the_air(
        ground.config, ground.supply, ground.box, ground.roster, ground.allowance.outbox, ground.stamper
    )
    return made


def _planner(
    ground: Ground,
    file: Path,
    loaded: Loaded,
    fallen_back: tuple[Reason, ...],
    governing: Governing,
    air: OverTheAir | None,
    feel: Feeling,
) -> Planner:
    box, clock = ground.box, ground.clock
    turns, admitting = Turns(box.places), Admitting(box, clock)
    beside = beside_of(ground, lambda: planner.plans, governing, feel, air)
    serves = Serves(
        box,
        ground.supply,
        ground.roster,
        turns,
        admitting,
        clock,
        partial(_scraper, ground, lambda: planner.plans, governing),
        partial(_overview, ground, lambda: planner.config, governing, air),
        beside.histories,
        beside.tracer,
    )
    serving = Serving(serves, ground.config)
    store = box.store or FiguresStore(ground.config.state.directory)
    planner: Planner = Planner(
        file,
        loaded,
        fallen_back,
        _lines(ground, turns, beside, lambda: planner.config, is_updated=air is not None),
        clock,
        partial(Measuring, box, store, ground.supply, ground.roster.lines, clock),
        governing,
        admitting,
        building=_compiles(ground),
        serving=lambda now: (*serving.parts(now), *beside.parts(now)),
    )
    return planner


def _lines(ground: Ground, turns: Turns, beside: Beside, now: Callable[[], Config], *, is_updated: bool) -> Lines:
    config, state = ground.config, ground.config.state.directory
    return Lines(
        ground.supply,
        ground.allowance.outbox,
        ground.stamper,
        ground.clock,
        broker=partial(broker_settings, config),
        snapshots=state / SNAPSHOTS,
        learnings=ground.learnings,
        turns=turns,
        state=state,
        selftest_s=config.models.selftest_s,
        is_looked_at=lambda: now().http is not None,
        is_updated=is_updated,
        recording=beside.recording,
        tracer=beside.tracer,
        handler=beside.acting.handler,
    )


def _scraper(ground: Ground, plans: Callable[[], int], governing: Governing) -> Callable[[], str]:
    state = ground.config.state.directory
    made: Callable[[], str] = adapter("edged.assembly.scraping").Scraper(
        ground.box, ground.roster, ground.outbox, state, ground.clock, plans, governing.telemetry
    )
    return made


def _support(ground: Ground, file: Path, governing: Governing) -> Mapping[str, Any]:
    """Write a support archive; what that takes is imported when it is asked for."""
    supporting = adapter("edged.assembly.supporting")
    told = partial(supporting.told, ground.roster, governing.telemetry, ground.clock)
    support = supporting.Support(ground.config.state.directory, file, ground.config.device.id, told)
    written: Mapping[str, Any] = support(ground.clock.wall_ns())
    return written


def _overview(ground: Ground, config: Callable[[], Config], governing: Governing, air: OverTheAir | None) -> Any:
    overview, updates = adapter("edged.assembly.overview"), air.underway if air is not None else tuple
    return overview.Overview(ground.roster, ground.outbox, config, governing.telemetry, ground.clock, updates)


def _compiles(ground: Ground) -> Callable[[Callable[[], Config]], Building] | None:
    """Give what makes the part that compiles; None where the box has nothing to compile for."""
    compiling = ground.box.engines.compiling
    return partial(_building, ground, compiling) if compiling is not None and compiling.accelerators else None


def _building(ground: Ground, compiling: Compiling, config: Callable[[], Config]) -> Building:
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
    ground: Ground,
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
        beside=ground.listeners.beside(lambda: planner.config.pipeline, ground.outbox.pending),
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
