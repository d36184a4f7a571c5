"""What a bundle would run as on each box: the box's own choice, made from what the boxes retain. Pure but for the bundle's files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgectl.fleet.told import (
    ToldLadder,
    budget_mb_for,
    figures_in,
    hardware_of,
    identity_in,
    inventory_in,
    ladders_of,
    measured_by,
    versions_in,
)
from edgectl.fleet.view import Device
from edged.assembly.box import ENGINES, size_bytes
from edged.assembly.figures_store import brought
from edged.control.choose import choose
from edged.control.figures import HERE, figures_of
from edged.control.objective import latency_ms
from edged.control.possible import Facts
from edged.control.profile import Profile
from edged.domain.bundle import Bundle
from edged.domain.errors import EdgedError
from edged.domain.figures import Measured
from edged.domain.variant import Ladder, Rung
from edged.engines.flatbuffer import custom_operators
from edged.update.manifest import variant_faults


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one box would run for these pipelines, or why nothing (``variant`` is None then).

    ``p95_ms`` bounds the engine's 95th percentile (boxes keep p50 and p99), ``memory_mb`` is what the model adds at its peak and
    ``headroom_mb`` what is left then; None is not measured on this kind of box, or not told. ``unmet`` says what the objective misses.
    ``ran_as`` and ``ran_p95_ms`` are what happened, on a box that has this version live and measured.
    """

    device: str
    profile: str
    pipelines: tuple[str, ...]
    variant: str | None
    reason: str
    accelerator: str | None = None
    threads: int | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    memory_mb: float | None = None
    headroom_mb: float | None = None
    unmet: str = ""
    ran_as: str | None = None
    ran_p95_ms: float | None = None

    @property
    def error(self) -> float | None:
        """The prediction against what happened, as a share of that; None while one of them is missing or another variant ran."""
        if self.p95_ms is None or not self.ran_p95_ms or self.ran_as != self.variant:
            return None
        return self.p95_ms / self.ran_p95_ms - 1


def forecast(bundle: Bundle, devices: Sequence[Device], profiles: Iterable[Profile]) -> list[Forecast]:
    """Give what each box would run, a row for each objective that its pipelines have for this model."""
    known = {profile.name: profile for profile in profiles}
    measured = {device.name: measured_by(device) for device in devices}
    found = []
    for device in devices:
        others = [one for name, rows in measured.items() if name != device.name for one in rows]
        told = [*brought(bundle), *others]
        for ladder in ladders_of(device, bundle.manifest.name):
            has_run = ladder.version == bundle.manifest.version
            # What it found itself of this version would not be a prediction.
            rows = told if has_run else [*told, *_own(measured[device.name])]
            found.append(_forecast(bundle, device, known.get(device.profile), ladder, rows))
    return found


def _forecast(
    bundle: Bundle, device: Device, profile: Profile | None, asked: ToldLadder, measured: Sequence[Measured]
) -> Forecast:
    hardware = hardware_of(device)
    if profile is None or not hardware:
        reason = "it has told no hardware" if profile else f"its profile {device.profile!r} is not known here"
        return Forecast(device.name, device.profile, asked.pipelines, None, reason)
    budget_mb = budget_mb_for(device, asked)
    faults = variant_faults(bundle)
    facts = Facts(
        inventory_in(hardware),
        runtimes=set(versions_in(hardware)),
        engines=ENGINES,
        faults=faults,
        operators={one.id: _operators(bundle, one.id) for one in bundle.manifest.variant if one.id not in faults},
        sizes={one.id: size_bytes(bundle, one) for one in bundle.manifest.variant},
        figures=figures_of(measured, bundle, profile.name, versions_in(hardware)),
        budget_mb=budget_mb,
        # What runs and was not measured yet will be: until then it would stand before everything that was.
        running=identity_in(asked.chosen) if figures_in(asked.chosen) else None,
    )
    ladder = choose(bundle, profile, facts, None, asked.objective)
    return _told(device, asked, ladder, budget_mb, asked.version == bundle.manifest.version)


def _told(device: Device, asked: ToldLadder, ladder: Ladder, budget_mb: float | None, has_run: bool) -> Forecast:  # noqa: FBT001 - private
    ran = figures_in(asked.chosen) if has_run else None
    ran_as = str(asked.chosen.get("id")) if has_run and asked.chosen else None
    ran_p95_ms = latency_ms(ran) if ran else None
    if not ladder.runnable:
        why = "; ".join(f"{rung.variant.id}: {rung.reason}" for rung in ladder.told)
        return Forecast(device.name, device.profile, asked.pipelines, None, why, ran_as=ran_as, ran_p95_ms=ran_p95_ms)
    rung: Rung = ladder.runnable[0]
    peak_mb = rung.figures.peak_memory_mb if rung.figures else None
    return Forecast(
        device.name,
        device.profile,
        asked.pipelines,
        rung.variant.id,
        rung.reason,
        rung.accelerator,
        rung.threads,
        rung.figures.p50_ms if rung.figures else None,
        latency_ms(rung.figures) if rung.figures else None,
        peak_mb,
        round(budget_mb - peak_mb, 1) if budget_mb is not None and peak_mb is not None else None,
        ladder.unmet,
        ran_as,
        ran_p95_ms,
    )


def _own(rows: Iterable[Measured]) -> list[Measured]:
    return [Measured(one.subject, one.figures, HERE, one.at) for one in rows]


def _operators(bundle: Bundle, name: str) -> tuple[str, ...]:
    variant = next(one for one in bundle.manifest.variant if one.id == name)
    try:
        return custom_operators(bundle.path_of(variant)) if variant.runtime == "tflite" else ()
    except EdgedError:
        return ()  # a file that cannot be read so far is refused by the runtime, in the runtime's words
