"""Which box is in which stage: the same answer for the same fleet, whoever asks and whenever."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from math import ceil

from edgectl.fleet.plan import Stage


def stages_of(profiles: Mapping[str, str], stages: Sequence[Stage], salt: str) -> tuple[tuple[str, ...], ...]:
    """Give the boxes of each stage, none twice, in the order in which they are served.

    Boxes of each device profile are drawn by the hash of salt and id, so that every stage holds its share of each profile and the first
    one of every profile there is.

    Args:
        profiles: each box's device profile.
        stages: the shares up to and including each, rising to 1.
        salt: another one draws other boxes: the rollout's name.
    """
    drawn = {profile: _drawn(profiles, profile, salt) for profile in sorted(set(profiles.values()))}
    taken: set[str] = set()
    found = []
    for stage in stages:
        share = max(stage.share, stage.at_least / len(profiles) if profiles else 0.0)
        chosen = [box for boxes in drawn.values() for box in boxes[: min(len(boxes), ceil(share * len(boxes)))]]
        fresh = sorted((box for box in chosen if box not in taken), key=lambda box: _hash(salt, box))
        taken.update(fresh)
        found.append(tuple(fresh))
    return tuple(found)


def _drawn(profiles: Mapping[str, str], profile: str, salt: str) -> list[str]:
    return sorted((box for box, its in profiles.items() if its == profile), key=lambda box: _hash(salt, box))


def _hash(salt: str, box: str) -> str:
    return hashlib.sha256(f"{salt}\n{box}".encode()).hexdigest()
