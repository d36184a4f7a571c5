"""What a bundle would run as on each box: the box's own choice, made from what the boxes retain. Pure but for the bundle's files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from edgectl.fleet.view import Device
from edged.assembly.box import ENGINES, size_bytes
from edged.assembly.figures_store import brought
from edged.config.schema import Objective
from edged.control.choose import choose
from edged.control.figures import HERE, figures_of
from edged.control.objective import latency_ms
from edged.control.possible import Facts
from edged.control.profile import Profile
from edged.domain.bundle import Bundle
from edged.domain.device import Accelerator, Cpu, Inventory, Memory
from edged.domain.errors import EdgedError
from edged.domain.figures import Figures, Measured, Subject
from edged.domain.variant import Identity, Ladder, Rung
from edged.engines.flatbuffer import custom_operators
from edged.update.manifest import variant_faults

ELSEWHERE = "fleet"
"""The origin of what another box of the same profile measured."""


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


@dataclass(frozen=True, slots=True)
class _Ladder:
    """A model's ladder as a box tells it."""

    version: str
    objective: Objective
    pipelines: tuple[str, ...]
    chosen: Mapping[str, Any]


def forecast(bundle: Bundle, devices: Sequence[Device], profiles: Iterable[Profile]) -> list[Forecast]:
    """Give what each box would run, a row for each objective that its pipelines have for this model."""
    known = {profile.name: profile for profile in profiles}
    measured = {device.name: _measured(device) for device in devices}
    found = []
    for device in devices:
        others = [one for name, rows in measured.items() if name != device.name for one in rows]
        told = [*brought(bundle), *others]
        for ladder in _ladders(device, bundle.manifest.name):
            has_run = ladder.version == bundle.manifest.version
            # What it found itself of this version would not be a prediction.
            rows = told if has_run else [*told, *_own(measured[device.name])]
            found.append(_forecast(bundle, device, known.get(device.profile), ladder, rows))
    return found


def _forecast(
    bundle: Bundle, device: Device, profile: Profile | None, asked: _Ladder, measured: Sequence[Measured]
) -> Forecast:
    hardware = _table(device.documents.get("inventory", {}).get("hardware"))
    if profile is None or not hardware:
        reason = "it has told no hardware" if profile else f"its profile {device.profile!r} is not known here"
        return Forecast(device.name, device.profile, asked.pipelines, None, reason)
    budget_mb = _budget_mb(device, asked)
    faults = variant_faults(bundle)
    facts = Facts(
        _inventory(hardware),
        runtimes=set(_versions(hardware)),
        engines=ENGINES,
        faults=faults,
        operators={one.id: _operators(bundle, one.id) for one in bundle.manifest.variant if one.id not in faults},
        sizes={one.id: size_bytes(bundle, one) for one in bundle.manifest.variant},
        figures=figures_of(measured, bundle, profile.name, _versions(hardware)),
        budget_mb=budget_mb,
        running=_identity(asked.chosen),
    )
    ladder = choose(bundle, profile, facts, None, asked.objective)
    return _told(device, asked, ladder, budget_mb, asked.version == bundle.manifest.version)


def _told(device: Device, asked: _Ladder, ladder: Ladder, budget_mb: float | None, has_run: bool) -> Forecast:  # noqa: FBT001 - private
    ran = _figures(asked.chosen) if has_run else None
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


# -- what boxes tell; anything may stand there


def _ladders(device: Device, model: str) -> list[_Ladder]:
    told = [_table(one) for one in _list(device.documents.get("inventory", {}).get("models"))]
    return [_ladder(one) for one in told if one.get("model") == model] or [_Ladder("", Objective(), (), {})]


def _ladder(told: Mapping[str, Any]) -> _Ladder:
    try:
        objective = Objective.model_validate(told.get("objective", {}))
    except ValidationError:
        objective = Objective()
    variants = [_table(one) for one in _list(told.get("variants"))]
    chosen = next((one for one in variants if one.get("verdict") == "chosen"), {})
    pipelines = tuple(str(name) for name in _list(told.get("pipelines")))
    return _Ladder(str(told.get("version", "")), objective, pipelines, chosen)


def _measured(device: Device) -> list[Measured]:
    """Give the figures that a box tells with its ladders, as those of another box of its profile."""
    inventory = device.documents.get("inventory", {})
    versions = _versions(_table(inventory.get("hardware")))
    found = []
    for told in (
        _table(one) for ladder in _list(inventory.get("models")) for one in _list(_table(ladder).get("variants"))
    ):
        figures, runtime = _figures(told), str(told.get("runtime"))
        if figures is not None:
            subject = Subject(
                str(told.get("sha256")),
                runtime,
                versions.get(runtime, "unknown"),
                str(told.get("accelerator")),
                device.profile,
            )
            found.append(Measured(subject, (figures,), ELSEWHERE, str(inventory.get("at", ""))))
    return found


def _own(rows: Iterable[Measured]) -> list[Measured]:
    return [Measured(one.subject, one.figures, HERE, one.at) for one in rows]


def _figures(told: Mapping[str, Any]) -> Figures | None:
    try:
        return Figures(**_table(told.get("figures")))
    except (TypeError, ValueError):
        return None


def _identity(told: Mapping[str, Any]) -> Identity | None:
    threads = told.get("threads")
    return (str(told.get("id")), str(told.get("accelerator")), threads) if isinstance(threads, int) else None


def _budget_mb(device: Device, asked: _Ladder) -> float | None:
    """Give the memory that the model may add: what is free, and what the one that runs gives back."""
    free = device.documents.get("inventory", {}).get("memory_free_mb")
    runs = _figures(asked.chosen)
    return free + (runs.peak_memory_mb if runs else 0.0) if isinstance(free, int | float) else None


def _versions(hardware: Mapping[str, Any]) -> dict[str, str]:
    told = (_table(one) for one in reversed(_list(hardware.get("runtimes"))))
    return {str(one.get("runtime")): str(one.get("version")) for one in told}


def _inventory(told: Mapping[str, Any]) -> Inventory:
    cpu, memory = _table(told.get("cpu")), _table(told.get("memory_mb"))
    names = [_table(one) for one in _list(told.get("accelerators"))]
    return Inventory(
        told.get("board"),
        told.get("soc"),
        told.get("arch"),
        tuple(_list(told.get("compatible"))),
        Cpu(cpu.get("online"), _number(cpu.get("allowed")), tuple(_list(cpu.get("int8")))),
        Memory(memory.get("total"), memory.get("limit")),
        tuple(
            Accelerator(
                one.get("kind", ""),
                one.get("bus", ""),
                one.get("usable") is True,
                str(one.get("state", "")),
                str(one.get("reason", "")),
                str(one.get("name", "")),
                (),
            )
            for one in names
        ),
        (),
    )


def _operators(bundle: Bundle, name: str) -> tuple[str, ...]:
    variant = next(one for one in bundle.manifest.variant if one.id == name)
    try:
        return custom_operators(bundle.path_of(variant)) if variant.runtime == "tflite" else ()
    except EdgedError:
        return ()  # a file that cannot be read so far is refused by the runtime, in the runtime's words


def _table(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _number(given: Any) -> float | None:
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None
