"""The fleet as its retained documents have it: which boxes there are, what they run, what was ordered."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgectl.fleet.plan import Plan
from edgectl.fleet.rollout import Box, Status
from edged.domain.errors import EdgedError
from edged.domain.strict import read_json, unix_ms
from edged.fleet.topics import ROOT
from edged.update.desired import MAX_BYTES, Audience, Desired, parse

STREAMS = ("status", "health", "inventory", "models")
TOLD = f"{ROOT}/f"
"""What a fleet manager asked of a rollout lies below here, retained: no box reads it."""
FILTERS = (
    *(f"{ROOT}/d/+/out/{stream}" for stream in STREAMS),
    f"{ROOT}/d/+/in/desired",
    f"{ROOT}/g/+/in/desired",
    f"{TOLD}/+",
)
MAX_DEPTH = 32
REVOKED = ".revoked"
"""Behind a campaign's name, of an order that takes it back."""


@dataclass(slots=True)
class Device:
    """One box and the last document of each of its retained streams."""

    name: str
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_online(self) -> bool:
        """Whether its connection is there, as the broker believes."""
        return self.documents.get("status", {}).get("state") == "online"

    @property
    def is_known(self) -> bool:
        """Whether it ever told anything: an order alone makes no box."""
        return bool(self.documents)

    @property
    def profile(self) -> str:
        """Its device profile; ``unknown`` while it has not told."""
        return str(self.documents.get("inventory", {}).get("profile", "unknown"))

    @property
    def groups(self) -> tuple[str, ...]:
        """Its groups, as it tells them."""
        return tuple(str(one) for one in _list(self.documents.get("inventory", {}).get("groups")))

    @property
    def health(self) -> str:
        """Its own word: ok, degraded or failed."""
        return str(self.documents.get("health", {}).get("state", "unknown"))

    def model(self, name: str) -> dict[str, Any]:
        """Give what it tells of one model; empty when it has none of that name."""
        return next((one for one in self.models() if one.get("name") == name), {})

    def models(self) -> list[dict[str, Any]]:
        """Give what it tells of its models."""
        return [one for one in _list(self.documents.get("models", {}).get("models")) if isinstance(one, dict)]


class Fleet:
    """Fed with what arrives; asked for what is known. Nothing that arrives can break it: documents come from anybody's boxes."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.orders: dict[Audience, Desired] = {}
        self.told: dict[str, Status] = {}
        self.refused = 0
        """Messages that were no document of ours."""

    def heard(self, topic: str, payload: bytes) -> None:
        """Take a message."""
        try:
            self._take(topic.split("/"), payload)
        except (ValueError, LookupError, TypeError, EdgedError):
            self.refused += 1

    def boxes(self, plan: Plan) -> dict[str, Box]:
        """Give the boxes that a rollout is for, as it sees them."""
        members = (one for one in self.devices.values() if one.is_known and one.name not in plan.exclude)
        wanted = (one for one in members if not plan.groups or set(plan.groups) & set(one.groups))
        return {one.name: box_of(plan, one, self.orders.get(Audience("device", one.name))) for one in wanted}

    def _take(self, parts: list[str], payload: bytes) -> None:
        kind, name = parts[2], parts[3]
        if kind == "f":
            self.told[name] = Status(json.loads(payload)["state"]) if payload else Status.RUNNING
        elif parts[4] == "in":
            self._ordered(Audience("device" if kind == "d" else "group", name), payload)
        elif payload:
            document = read_json(payload, MAX_DEPTH)
            if not isinstance(document, dict):
                raise TypeError
            self.devices.setdefault(name, Device(name)).documents[parts[5]] = document

    def _ordered(self, audience: Audience, payload: bytes) -> None:
        if not payload:
            self.orders.pop(audience, None)
            return
        # Whether it is rightly signed is for the boxes to judge; whoever may write here is the fleet.
        content = base64.b64decode(read_json(payload[: 2 * MAX_BYTES], 4)["payload"], validate=True)
        self.orders[audience] = parse(content)


def box_of(plan: Plan, device: Device, order: Desired | None) -> Box:
    """Give a device as a rollout sees it."""
    told = device.model(plan.model.name)
    is_ours = (
        order is not None and order.campaign in {plan.name, plan.name + REVOKED} and plan.model.name in order.models
    )
    if order is None or not is_ours:
        return Box(device.name, device.profile, device.is_online)
    follows = _table(told.get("desired")).get("seq") == order.seq
    compared = _table(told.get("conduct"))
    before, now = _table(compared.get("before")), _table(compared.get("now"))
    has_run = follows and compared.get("version") == plan.model.version
    since_ms = unix_ms(told.get("since"))
    return Box(
        device.name,
        device.profile,
        device.is_online,
        ordered_s=order.issued_ms / 1000,
        is_revoked=order.campaign.endswith(REVOKED),
        reported=str(told.get("state", "")) if follows else "",
        since_s=since_ms / 1000 if since_ms is not None else None,
        p95_ratio=_ratio(now.get("p95_ms"), before.get("p95_ms")) if has_run else None,
        error_share=_number(now.get("error_share")) if has_run else None,
    )


def versions(devices: Iterable[Device]) -> dict[str, dict[str, int]]:
    """Count which version of which model runs on how many boxes."""
    found: dict[str, dict[str, int]] = {}
    for told in (one for device in devices for one in device.models()):
        version = str(_table(told.get("active")).get("version", "none"))
        counts = found.setdefault(str(told.get("name")), {})
        counts[version] = counts.get(version, 0) + 1
    return found


def _table(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, dict) else {}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _number(given: Any) -> float | None:
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None


def _ratio(now: Any, before: Any) -> float | None:
    one, other = _number(now), _number(before)
    return one / other if one is not None and other else None
