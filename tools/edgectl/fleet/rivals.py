"""Rollouts of one model that would order the same boxes: the later one is refused, or each would take back what the other ordered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edgectl.fleet.plan import Plan
from edgectl.fleet.rollout import Status
from edged.fleet.topics import ROOT, rfc3339

SCHEMA = "edged.rollout-plan/1"
LATEST_S = 1e11
"""Of a date; one in three thousand years is none."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A rollout as it was announced when it was begun: which model, which boxes, when (Unix seconds), and whether it is over."""

    name: str
    model: str
    groups: tuple[str, ...]
    exclude: tuple[str, ...]
    begun_s: float
    is_over: bool


def topic_of(name: str) -> str:
    """Name the topic on which a rollout's announcement lies, retained."""
    return f"{ROOT}/f/{name}/plan"


def announced(plan: Plan, begun_s: float, *, is_over: bool) -> tuple[str, bytes]:
    """Give topic and payload that announce a rollout, or say that it is over."""
    body = {
        "schema": SCHEMA,
        "model": plan.model.name,
        "groups": plan.groups,
        "exclude": plan.exclude,
        "begun_s": begun_s,
        "is_over": is_over,
        "at": rfc3339(int(begun_s * 1e9)),
    }
    return topic_of(plan.name), json.dumps(body).encode()


def read(name: str, document: Any) -> Announced:
    """Read an announcement. Raises TypeError, ValueError or LookupError for anything else than one."""
    if not isinstance(document, dict):
        raise TypeError
    groups, exclude = ([str(one) for one in document.get(key) or ()] for key in ("groups", "exclude"))
    begun_s, is_over = document["begun_s"], document["is_over"] is True
    if not isinstance(begun_s, int | float) or not 0 <= begun_s < LATEST_S:
        raise ValueError
    return Announced(name, str(document["model"]), tuple(groups), tuple(exclude), float(begun_s), is_over)


def rival(
    plan: Plan,
    begun_s: float | None,
    others: Iterable[Announced],
    told: Mapping[str, Status],
    devices: Mapping[str, tuple[str, ...]],
) -> tuple[Announced, list[str]] | None:
    """Give a rollout that was begun before this one and is not over, with the boxes that both are for; None when there is none.

    ``begun_s`` is None for one that was not announced yet: whatever is under way was there before it, though its clock says otherwise.
    ``devices`` gives the groups of every known box. One that was aborted orders nothing more.
    """
    mine = {name for name, groups in devices.items() if _is_for(plan.groups, plan.exclude, name, groups)}
    for other in sorted(others, key=lambda one: (one.begun_s, one.name)):
        if other.name == plan.name or other.model != plan.model.name:
            continue
        if (
            other.is_over
            or told.get(other.name) is Status.ABORTED
            or (begun_s is not None and (other.begun_s, other.name) > (begun_s, plan.name))
        ):
            continue
        shared = sorted(name for name in mine if _is_for(other.groups, other.exclude, name, devices[name]))
        if shared:
            return other, shared
    return None


def _is_for(groups: tuple[str, ...], exclude: tuple[str, ...], name: str, own: tuple[str, ...]) -> bool:
    return name not in exclude and (not groups or bool({*groups} & {*own}))
