"""A transition of a slot."""

from __future__ import annotations

from dataclasses import dataclass

from edged.update.records import Pointer, Release
from edged.update.rollout import Event


@dataclass(frozen=True, slots=True)
class Change:
    """One transition of a model's slot, as it was written down."""

    model: str
    event: Event
    before: Pointer
    after: Pointer
    subject: Release | None
    """What it was about."""
