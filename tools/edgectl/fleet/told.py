"""What a box retains of itself, read as the choice wants it. It comes from anybody's boxes: whatever stands there, nothing breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from edgectl.fleet.view import Device
from edged.config.schema import Objective
from edged.domain.device import Accelerator, Cpu, Inventory, Memory
from edged.domain.figures import Figures, Measured, Subject
from edged.domain.variant import Identity

MOST_PROCESSORS = 1024
ELSEWHERE = "fleet"
"""The origin of what another box of the same profile measured."""


@dataclass(frozen=True, slots=True)
class ToldLadder:
    """A model's ladder as a box tells it."""

    version: str
    objective: Objective
    pipelines: tuple[str, ...]
    chosen: Mapping[str, Any]


def hardware_of(device: Device) -> Mapping[str, Any]:
    """Give the document ``edged.hardware/1`` in a box's inventory; empty when it told none."""
    return _table(device.documents.get("inventory", {}).get("hardware"))


def ladders_of(device: Device, model: str) -> list[ToldLadder]:
    """Give a box's ladders of a model, one for each objective; one without anything when none of its pipelines runs it."""
    told = [_table(one) for one in _list(device.documents.get("inventory", {}).get("models"))]
    return [_ladder(one) for one in told if one.get("model") == model] or [ToldLadder("", Objective(), (), {})]


def measured_by(device: Device) -> list[Measured]:
    """Give the figures that a box tells with its ladders, as those of another box of its profile."""
    inventory = device.documents.get("inventory", {})
    versions = versions_in(hardware_of(device))
    found = []
    for told in (
        _table(one) for ladder in _list(inventory.get("models")) for one in _list(_table(ladder).get("variants"))
    ):
        figures, runtime = figures_in(told), str(told.get("runtime"))
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


def figures_in(told: Mapping[str, Any]) -> Figures | None:
    """Give the figures of a variant, None when it has none that anybody can have measured."""
    try:
        return Figures(**_table(told.get("figures")))
    except (TypeError, ValueError):
        return None


def identity_in(told: Mapping[str, Any]) -> Identity | None:
    """Give the rung that a variant was told as, None when it is none."""
    threads = told.get("threads")
    return (str(told.get("id")), str(told.get("accelerator")), threads) if isinstance(threads, int) else None


def budget_mb_for(device: Device, asked: ToldLadder) -> float | None:
    """Give the memory that the model may add: what is free, and what the one that runs gives back."""
    free = device.documents.get("inventory", {}).get("memory_free_mb")
    runs = figures_in(asked.chosen)
    return free + (runs.peak_memory_mb if runs else 0.0) if isinstance(free, int | float) else None


def versions_in(hardware: Mapping[str, Any]) -> dict[str, str]:
    """Give the version of each installed runtime: of several packages the first is used."""
    told = (_table(one) for one in reversed(_list(hardware.get("runtimes"))))
    return {str(one.get("runtime")): str(one.get("version")) for one in told}


def inventory_in(told: Mapping[str, Any]) -> Inventory:
    """Read ``edged.hardware/1``."""
    cpu, memory = _table(told.get("cpu")), _table(told.get("memory_mb"))
    names = [_table(one) for one in _list(told.get("accelerators"))]
    return Inventory(
        told.get("board"),
        told.get("soc"),
        told.get("arch"),
        tuple(_list(told.get("compatible"))),
        Cpu(cpu.get("online"), _processors(cpu.get("allowed")), tuple(_list(cpu.get("int8")))),
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


def _ladder(told: Mapping[str, Any]) -> ToldLadder:
    try:
        objective = Objective.model_validate(told.get("objective", {}))
    except ValidationError:
        objective = Objective()
    variants = [_table(one) for one in _list(told.get("variants"))]
    chosen = next((one for one in variants if one.get("verdict") == "chosen"), {})
    pipelines = tuple(str(name) for name in _list(told.get("pipelines")))
    return ToldLadder(str(told.get("version", "")), objective, pipelines, chosen)


def _table(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _processors(given: Any) -> float | None:
    # The choice goes through all of them: a box that tells a billion must not keep it busy.
    return float(given) if isinstance(given, int | float) and 0 < given <= MOST_PROCESSORS else None
