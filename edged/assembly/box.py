"""What this box is, and what a model could run as on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from edged.assembly.compiling import Compiling
from edged.assembly.engines import Engines, edge_tpus, with_named
from edged.assembly.figures_store import FiguresStore, Known
from edged.assembly.figures_store import brought as brought_figures
from edged.assembly.lost import Lost
from edged.assembly.sharing import Shares
from edged.config.plugins import brought
from edged.config.schema import Config, Objective, Remote
from edged.config.share import shipped
from edged.control.admission import need_mb
from edged.control.choose import choose
from edged.control.figures import HERE, Table, figures_of
from edged.control.objective import budget_mb
from edged.control.possible import OWN_RUNTIMES, Facts
from edged.control.profile import Profile, load_profiles, match_profile
from edged.control.remote import with_remote
from edged.domain.bundle import Bundle, Variant
from edged.domain.device import Inventory
from edged.domain.errors import EdgedError
from edged.domain.figures import Figures, Measured, Subject
from edged.domain.ports import Clock
from edged.domain.variant import Identity, Ladder, Rung
from edged.engines.flatbuffer import custom_operators
from edged.engines.providers import NAMES
from edged.fleet.topics import rfc3339
from edged.hardware import readings
from edged.hardware.clock import SystemClock
from edged.hardware.inventory import take_inventory
from edged.hardware.process import resident_mb
from edged.hardware.runtimes import InstalledRuntime, installed_runtimes
from edged.update.manifest import variant_faults

ENGINES = frozenset({"edgetpu", *NAMES})
"""The accelerators that this version drives."""


@dataclass(frozen=True, slots=True)
class Box:
    """The hardware, the profile that fits it, and the installed runtimes (for another machine's tree: none are known)."""

    inventory: Inventory
    profile: Profile
    runtimes: tuple[InstalledRuntime, ...]
    is_this_machine: bool
    root: Path = Path("/")
    store: FiguresStore | None = None
    """What was measured here and is kept; None for another machine's tree."""
    recorded: tuple[Measured, ...] | None = None
    """What somebody measured elsewhere, and wants to be taken instead of what is kept here and of what travels with bundles."""
    engines: Engines = field(default_factory=Engines)
    lost: Lost | None = None
    """Which rungs are left alone for now; None where nothing runs."""
    present: Present | None = None
    """What is plugged in now; None where nobody looks again."""
    remotes: Mapping[str, Remote] = field(default_factory=dict)
    """The servers that run a model too, by its name; empty for whoever wants to know of this box alone."""

    @property
    def places(self) -> int:
        """How many pipelines may compute at once: as many as there are processors for edged."""
        return _places(self.inventory)

    @property
    def now(self) -> Inventory:
        """The hardware as it was seen last."""
        return self.inventory if self.present is None else self.present.inventory


class Present:
    """The inventory of now. ``revision`` counts what changed of it."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory, self.revision = inventory, 0

    def take(self, inventory: Inventory) -> None:
        """Take what was seen."""
        self.inventory, self.revision = inventory, self.revision + 1


def survey(root: Path, wanted_profile: str, folders: Sequence[Path]) -> Box:
    """Look at the machine whose files hang from ``root``. ``folders`` of profiles stand before the shipped one."""
    inventory = take_inventory(root)
    profiles = load_profiles([*folders, shipped("device-profiles")])
    here = root == Path("/")
    runtimes = installed_runtimes() if here else ()
    engines = Engines(shares=Shares(_places(inventory)))
    return Box(inventory, match_profile(profiles, inventory, wanted_profile), runtimes, here, root, engines=engines)


def _places(inventory: Inventory) -> int:
    return max(1, int(inventory.cpu.allowed or 1))


def survey_for(config: Config, root: Path = Path("/")) -> Box:
    """Look at the machine with the profile that the configuration asks for."""
    box = survey(root, config.device.profile, config.profiles.directories)
    if not box.is_this_machine:
        return box
    inventory = with_named(box.inventory, config.engine)
    store, clock = FiguresStore(config.state.directory), SystemClock()
    engines = Engines(
        config.engine,
        edge_tpus(inventory, config.engine),
        isolate=box.profile.isolate,
        state=config.state.directory,
        learned=partial(_learned, box, store, clock),
        compiling=Compiling(inventory, config.engine, config.state.directory),
        free_mb=partial(_budget_mb, box, 0.0),
        shares=Shares(box.places),
        remotes=config.remote,
    )
    return replace(box, inventory=inventory, store=store, engines=engines, lost=Lost(clock), present=Present(inventory))


def model_folders(config: Config) -> tuple[Path, ...]:
    """List where bundles are looked for: the operator's folders stand before the shipped one."""
    return (*config.models.directories, shipped("models"))


def ladder(
    bundle: Bundle,
    box: Box,
    pin: str | None = None,
    objective: Objective | None = None,
    running: Identity | None = None,
    *,
    holds: bool = True,
    waits: bool = True,
    freed_mb: float = 0.0,
    misfits: Mapping[str, str] = MappingProxyType({}),
) -> Ladder:
    """Choose among the bundle's variants on this box. ``running`` is the rung whose place the chosen one would take.

    ``misfits`` says by variant id what was found out about files beyond what they say themselves.

    ``freed_mb`` is what another model would give back for it. What failed lately is left alone for a while, unless ``holds`` is false; what
    is not compiled for its device yet cannot run, unless ``waits`` is false.
    """
    compiling = box.engines.compiling
    faults = {**misfits, **variant_faults(bundle)}
    known = known_of(bundle, box)
    figures = figures_of(known.measured, bundle, box.profile.name, runtime_versions(box))
    facts = Facts(
        box.now,
        runtimes=_runtimes(bundle, box) if box.is_this_machine else None,
        engines=ENGINES if box.is_this_machine else None,
        faults=faults,
        operators={v.id: _operators(bundle, v) for v in bundle.manifest.variant if v.id not in faults},
        sizes={v.id: size_bytes(bundle, v) for v in bundle.manifest.variant},
        figures=figures,
        unfit=_unfit(known, bundle, box),
        budget_mb=_budget_mb(box, freed_mb + _memory_mb(figures, running)),
        running=running,
        elsewhere=compiling.elsewhere if compiling is not None else (),
        unready=compiling.unready(bundle, waits=waits) if compiling is not None else {},
    )
    whole = choose(bundle, box.profile, facts, pin, objective)
    remote = box.remotes.get(bundle.manifest.name)
    # For pipelines alone, which have an objective: requests of others are answered here, or two boxes could ask each other for ever.
    if remote is not None and objective is not None and pin is None:
        whole = with_remote(whole, bundle, remote)
    return box.lost.without(whole) if box.lost is not None and holds else whole


def known_of(bundle: Bundle, box: Box) -> Known:
    """Give what was measured of the bundle's files, here or on another box of the profile, and what must not run here."""
    if box.recorded is not None:
        return Known(box.recorded)
    here = box.store.known() if box.store is not None else Known()
    return Known((*brought_figures(bundle), *here.measured), here.refused)


def runtime_versions(box: Box) -> dict[str, str]:
    """Give the version of each installed runtime that figures belong to: of several packages the first is used."""
    return {found.runtime: found.version for found in reversed(box.runtimes)}


def _learned(box: Box, store: FiguresStore, clock: Clock, rung: Rung, figures: Figures) -> None:
    """Keep what an engine was measured to do when it was opened."""
    variant = rung.variant
    version = runtime_versions(box).get(variant.runtime, "unknown")
    subject = Subject(variant.sha256, variant.runtime, version, rung.accelerator, box.profile.name)
    row = replace(figures, threads=rung.threads)
    store.keep(Measured(subject, (row,), HERE, rfc3339(clock.wall_ns())))


def size_bytes(bundle: Bundle, variant: Variant) -> int:
    """Give the size of a variant's file; 0 where there is none."""
    try:
        return bundle.path_of(variant).stat().st_size
    except OSError:
        return 0


def own_mb(bundle: Bundle, rung: Rung) -> float:
    """Give the memory that a rung takes, as it was measured, or else by the size of its file."""
    return rung.figures.peak_memory_mb if rung.figures else need_mb(size_bytes(bundle, rung.variant))


def _unfit(known: Known, bundle: Bundle, box: Box) -> dict[tuple[str, str, int | None], str]:
    """Say what crashed or hung when it was measured, and with how many threads."""
    versions = runtime_versions(box)
    refused = [one for one in known.refused if one.subject.profile == box.profile.name]
    return {
        (variant.id, one.subject.accelerator, one.threads): one.reason
        for variant in bundle.manifest.variant
        for one in refused
        if (one.subject.sha256, one.subject.runtime) == (variant.sha256, variant.runtime)
        and versions.get(variant.runtime, one.subject.runtime_version) == one.subject.runtime_version
    }


def free_mb(box: Box, freed_mb: float = 0.0) -> float | None:
    """Give the memory that models may add now, in MiB, after so much was freed; None when nothing bounds it."""
    return _budget_mb(box, freed_mb)


def _budget_mb(box: Box, freed_mb: float) -> float | None:
    felt = readings.read(box.root)
    used_mb = resident_mb() if box.is_this_machine else 0.0
    return budget_mb(felt.memory_available_mb, felt.cgroup_headroom_mb, box.profile.limits.memory_mb, used_mb, freed_mb)


def _memory_mb(figures: Table, running: Identity | None) -> float:
    if running is None:
        return 0.0
    variant, accelerator, threads = running
    rows = figures.get((variant, accelerator), ())
    return next((row.peak_memory_mb for row in rows if row.threads == threads), 0.0)


def _runtimes(bundle: Bundle, box: Box) -> set[str]:
    """Name the runtimes that are there; those of packages only when the bundle asks for one that edged does not have."""
    own = {runtime.runtime for runtime in box.runtimes}
    asked = {variant.runtime for variant in bundle.manifest.variant} - OWN_RUNTIMES
    return {*own, *(asked & brought("edged.engines").keys() if asked else ())}


def _operators(bundle: Bundle, variant: Variant) -> tuple[str, ...]:
    if variant.runtime != "tflite":
        return ()
    try:
        return custom_operators(bundle.path_of(variant))
    except EdgedError:
        # A file that cannot be read so far is refused by the runtime, in the runtime's words.
        return ()
