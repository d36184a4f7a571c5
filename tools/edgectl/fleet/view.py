"""The fleet as its retained documents have it: which boxes there are, what they run, what was ordered."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgectl.fleet.plan import Plan
from edgectl.fleet.rivals import Announced, read
from edgectl.fleet.rollout import Box, Status
from edgectl.ordering import Asked
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
    f"{TOLD}/+/plan",
)
PLAN_AT = 4
"""Where a topic has what is announced of a rollout: edged/v1/f/<name>/plan."""
MAX_DEPTH = 32
MOST_TOLD_SEQ = 2**52
"""Half of what an order's number can be: one box that tells a higher one must not end the orders for its group."""
INCOMPATIBLE = "incompatible"
"""A box's word for a release that is not for its hardware; every other refusal is one that the release has to answer for."""
DRIFT = "drift"
"""A box's word, in its health, for a pipeline whose frames or answers are not as its reference says."""
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
        self.asked: dict[Audience, dict[str, Asked]] = {}
        """For which rollout each model of an order was ordered."""
        self.told: dict[str, Status] = {}
        self.announced: dict[str, Announced] = {}
        """Rollouts, by name, as they were announced."""
        self.refused = 0
        """Messages that were no document of ours."""
        self._lock = threading.Lock()

    def heard(self, topic: str, payload: bytes) -> None:
        """Take a message."""
        try:
            with self._lock:
                self._take(topic.split("/"), payload)
        except (ValueError, LookupError, TypeError, EdgedError):
            self.refused += 1

    def boxes(self, plan: Plan) -> dict[str, Box]:
        """Give the boxes that a rollout is for, as it sees them."""
        with self._lock:
            devices = list(self.devices.values())
        members = (one for one in devices if one.is_known and one.name not in plan.exclude)
        wanted = (one for one in members if not plan.groups or set(plan.groups) & set(one.groups))
        return {one.name: self._box(plan, one) for one in wanted}

    def groups(self) -> dict[str, tuple[str, ...]]:
        """Give the groups of every known box."""
        with self._lock:
            return {one.name: one.groups for one in self.devices.values() if one.is_known}

    def seen_seq(self, audience: Audience) -> int:
        """Give the highest number of an order that this audience's boxes tell of, for whatever model, up to ``MOST_TOLD_SEQ``."""
        with self._lock:
            devices = list(self.devices.values())
        told = [_table(model.get("desired")) for one in devices for model in one.models()]
        seqs = [_whole(one.get("seq")) for one in told if one.get("audience") == str(audience)]
        return max((seq for seq in seqs if seq <= MOST_TOLD_SEQ), default=0)

    def _box(self, plan: Plan, device: Device) -> Box:
        audience, model = Audience("device", device.name), plan.model.name
        return box_of(plan, device, self.orders.get(audience), self.asked.get(audience, {}).get(model))

    def _take(self, parts: list[str], payload: bytes) -> None:
        kind, name = parts[2], parts[3]
        if kind == "f" and len(parts) > PLAN_AT:
            self._announced(name, payload)
        elif kind == "f":
            self.told[name] = Status(read_json(payload, MAX_DEPTH)["state"]) if payload else Status.RUNNING
        elif parts[4] == "in":
            self._ordered(Audience("device" if kind == "d" else "group", name), payload)
        elif payload:
            document = read_json(payload, MAX_DEPTH)
            if not isinstance(document, dict):
                raise TypeError
            self.devices.setdefault(name, Device(name)).documents[parts[5]] = document

    def _announced(self, name: str, payload: bytes) -> None:
        if payload:
            # Read first: what is no announcement takes back none.
            self.announced[name] = read(name, read_json(payload, MAX_DEPTH))
        else:
            self.announced.pop(name, None)

    def _ordered(self, audience: Audience, payload: bytes) -> None:
        if not payload:
            self.orders.pop(audience, None)
            self.asked.pop(audience, None)
            return
        # Whether it is rightly signed is for the boxes to judge; whoever may write here is the fleet.
        content = base64.b64decode(read_json(payload[: 2 * MAX_BYTES], 4)["payload"], validate=True)
        order = parse(content)
        campaigns = _table(json.loads(content).get("campaigns"))
        self.orders[audience] = order
        self.asked[audience] = {model: _asked(order, _table(campaigns.get(model))) for model in order.models}


def _asked(order: Desired, given: Mapping[str, Any]) -> Asked:
    if not given:
        return Asked(order.campaign, order.issued_ms, order.seq)
    return Asked(str(given.get("campaign", "")), _whole(given.get("issued_ms")), _whole(given.get("seq")))


def box_of(plan: Plan, device: Device, order: Desired | None, asked: Asked | None) -> Box:
    """Give a device as a rollout sees it."""
    told, status = device.model(plan.model.name), device.documents.get("status", {})
    is_ours = asked is not None and asked.campaign in {plan.name, plan.name + REVOKED}
    if order is None or asked is None or not is_ours:
        return Box(device.name, device.profile, device.is_online)
    desired = _table(told.get("desired"))
    # A group's order may have the same number; an order for another model may have come behind ours.
    is_own = desired.get("audience", str(order.audience)) == str(order.audience)
    follows = is_own and asked.seq <= _whole(desired.get("seq")) <= order.seq
    compared = _table(told.get("conduct"))
    before, now = _table(compared.get("before")), _table(compared.get("now"))
    has_run = follows and compared.get("version") == plan.model.version
    since_ms, online_ms = unix_ms(told.get("since")), unix_ms(status.get("at"))
    return Box(
        device.name,
        device.profile,
        device.is_online,
        ordered_s=asked.issued_ms / 1000,
        is_revoked=asked.campaign.endswith(REVOKED),
        reported=_reported(told, desired) if follows else "",
        since_s=since_ms / 1000 if since_ms is not None else None,
        online_s=online_ms / 1000 if online_ms is not None else None,
        p95_ratio=_ratio(now.get("p95_ms"), before.get("p95_ms")) if has_run else None,
        error_share=_number(now.get("error_share")) if has_run else None,
        drifts=follows and _drifts(device, plan.model.name, asked.issued_ms),
    )


def _drifts(device: Device, model: str, since_ms: int) -> bool:
    """Whether a pipeline that runs the model tells drift: what the scene did before the order was given is none of the release's faults."""
    ladders = map(_table, _list(device.documents.get("inventory", {}).get("models")))
    own = {str(name) for one in ladders if one.get("model") == model for name in _list(one.get("pipelines"))}
    reasons = map(_table, _list(device.documents.get("health", {}).get("reasons")))
    drifting = [one for one in reasons if one.get("code") == DRIFT and str(one.get("component")) in own]
    return any((unix_ms(one.get("since")) or 0) >= since_ms for one in drifting)


def _reported(told: Mapping[str, Any], desired: Mapping[str, Any]) -> str:
    """Give the state of an order in the rollout's words: what a box tries again is under way, what it had to refuse is a failure."""
    state = str(told.get("state", ""))
    if state == "failed" and desired.get("finished") is False:
        return "retrying"
    if state == "rejected" and told.get("code") not in {"", None, INCOMPATIBLE}:
        return "refused"
    return state


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


def _whole(given: Any) -> int:
    return given if isinstance(given, int) and not isinstance(given, bool) else 0


def _number(given: Any) -> float | None:
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None


def _ratio(now: Any, before: Any) -> float | None:
    one, other = _number(now), _number(before)
    return one / other if one is not None and other else None
