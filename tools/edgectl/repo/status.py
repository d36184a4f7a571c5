"""How a repository stands: versions, ends, keys, and what waits for signatures."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from edgectl.bundle.terminal import print_line, print_table
from edgectl.plain import print_json
from edgectl.repo.change import days_left
from edgectl.repo.releases import find_releases
from edgectl.repo.work import ROOT, SNAPSHOT, TARGETS_ROLE, TIMESTAMP, Work
from edged.fleet.places import DESIRED, METADATA

WARN_DAYS = {ROOT: (90.0, 30.0)}
"""Below the first it is told, below the second it is urgent: a root needs people with their keys to come together."""
USUAL_DAYS = (14.0, 3.0)
KEYID_CHARS = 12


@dataclass(frozen=True, slots=True)
class Row:
    """A role as it is published. ``word`` is ok, soon, urgent or expired."""

    role: str
    version: int
    expires: str
    days: float
    word: str
    keys: tuple[str, ...]
    threshold: int


def rows(work: Work) -> list[Row]:
    """Give every published role, in the order in which a box reads them."""
    targets = work.published(TARGETS_ROLE)
    delegations = targets.signed.delegations if targets is not None else None
    delegated = [role for role in (delegations.roles if delegations else ()) if role != DESIRED]
    return [row for role in (ROOT, TIMESTAMP, SNAPSHOT, TARGETS_ROLE, *delegated) if (row := _row(work, role))]


def is_well(work: Work) -> bool:
    """Whether nothing is urgent."""
    return all(row.word in {"ok", "soon"} for row in rows(work))


def show(work: Work, *, as_json: bool) -> None:
    """Print it."""
    found, missing = rows(work), work.missing()
    digest = hashlib.sha256((work.public / METADATA / "1.root.json").read_bytes()).hexdigest()
    releases = find_releases(work.public)
    if as_json:
        print_json(
            {
                "schema": "edgectl.repo.status/1",
                "root_sha256": digest,
                "roles": [asdict(row) for row in found],
                "missing": [asdict(one) for one in missing],
                "releases": [{**asdict(one.order), "custom": dict(one.custom)} for one in releases],
            }
        )
        return
    print_table(("role", "version", "expires", "days left", "", "keys", "threshold"), [_cells(row) for row in found])
    print_line(f"boxes are provisioned with {work.public / METADATA / '1.root.json'}, sha256 {digest}")
    orders: Any = work.latest(TARGETS_ROLE).signed.get_delegated_role(DESIRED)
    keys = " ".join(key[:KEYID_CHARS] for key in orders.keyids)
    print_line(f"orders need {orders.threshold} of: {keys}")
    for one in missing:
        print_line(f"{one.role} waits for {one.count} more of: {', '.join(key[:KEYID_CHARS] for key in one.keyids)}")
    for role in work.waiting():
        if role not in {one.role for one in missing}:
            print_line(f"{role} is signed and waits for edgectl repo publish")
    if releases:
        print_table(
            ("release", "bytes", "sha256"), [(one.order.target, one.order.length, one.order.sha256) for one in releases]
        )


def _row(work: Work, role: str) -> Row | None:
    metadata = work.published(role)
    if metadata is None:
        return None
    delegator: Any = work.published(ROOT if role in work.root().roles else TARGETS_ROLE)
    keys = delegator.signed.get_delegated_role(role)
    days = days_left(metadata, work.now)
    return Row(
        role,
        metadata.signed.version,
        f"{metadata.signed.expires:%Y-%m-%d}",
        round(days, 1),
        _word(days, *WARN_DAYS.get(role, USUAL_DAYS)),
        tuple(keys.keyids),
        keys.threshold,
    )


def _word(days: float, soon: float, urgent: float) -> str:
    if days <= 0:
        return "expired"
    return "urgent" if days < urgent else "soon" if days < soon else "ok"


def _cells(row: Row) -> tuple[object, ...]:
    keys = " ".join(key[:KEYID_CHARS] for key in row.keys)
    return row.role, row.version, row.expires, row.days, row.word, keys, row.threshold
