"""Writes orders: the next document for an audience, of the one that lies there and what shall change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edged.fleet.topics import ROOT, rfc3339
from edged.update.desired import SCHEMA, Audience, Desired, ModelOrder, parse

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Given:
    """By whom, for which rollout (empty: none), when (Unix seconds), and for how long an order is given."""

    by: str
    campaign: str
    now_s: float
    valid_s: float


@dataclass(frozen=True, slots=True)
class Asked:
    """For which rollout (empty: none) one model was ordered last, when (Unix ms), and with which document's number."""

    campaign: str
    issued_ms: int
    seq: int


def next_order(
    audience: Audience,
    last: Desired | None,
    changes: Mapping[str, ModelOrder | None],
    given: Given,
    seen_seq: int = 0,
    asked: Mapping[str, Asked] | None = None,
) -> bytes:
    """Give the payload of the next document: what the last one wants of other models stays, its seq goes up.

    A model whose change is None goes back to what the box's folders offer. ``seen_seq`` is the highest that its boxes tell of: a broker
    that lost what it retained must not make the next order look like an old one. ``asked`` is for which rollout each model of the
    last document was ordered: a rollout of another model must not look as if it had taken its place.
    """
    models = {**(last.models if last is not None else {}), **changes}
    seq = max(last.seq if last is not None else 0, seen_seq) + 1
    mine = Asked(given.campaign, int(given.now_s * 1000), seq)
    campaigns = {**(asked or {}), **dict.fromkeys(changes, mine)}
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "for": {audience.kind: audience.name},
        "seq": seq,
        "issued": rfc3339(int(given.now_s * _NS_PER_S)),
        "not_after": rfc3339(int((given.now_s + given.valid_s) * _NS_PER_S)),
        "campaign": given.campaign,
        "by": given.by,
        "models": {name: _written(order) for name, order in sorted(models.items())},
        # For the fleet's own eyes: boxes ignore it.
        "campaigns": {name: asdict(one) for name, one in sorted(campaigns.items()) if name in models},
    }
    if last is not None and last.configuration is not None:
        document["configuration"] = {"toml": last.configuration}
    payload = json.dumps(document, separators=(",", ":")).encode()
    parse(payload)  # what no box would take is not sent
    return payload


def topic_of(audience: Audience) -> str:
    """Name the topic on which an audience's order lies."""
    return f"{ROOT}/{audience.kind[0]}/{audience.name}/in/desired"


def _written(order: ModelOrder | None) -> dict[str, Any] | None:
    return None if order is None else {name: value for name, value in asdict(order).items() if name != "model"}
