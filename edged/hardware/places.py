"""Where accelerators are looked for: what could be looked at, what is not there, and what cannot be read."""

from __future__ import annotations

from edged.domain.device import Fact, Finding
from edged.hardware.board import DEVICE_TREES
from edged.hardware.edgetpu import USB
from edged.hardware.pci import DEVICES, PROC
from edged.hardware.tree import Tree

PLACES = (
    (f"{USB}/",),
    (f"{DEVICES}/", PROC),
    tuple(f"{folder}/compatible" for folder in DEVICE_TREES),
)
"""A row a place: its views, of which one is enough. A slash ends a folder's path."""


def looked(tree: Tree) -> Fact:
    """Tell what was looked at, as evidence, and what to say where that showed none; without evidence it is unknown."""
    views = [_readable(tree, place) for place in PLACES]
    read = [view.rstrip("/") for view in views if view is not None]
    lacks = [lack for place, view in zip(PLACES, views, strict=True) if view is None for lack in _lacks(tree, place)]
    found_in = f"none found in {' and '.join(filter(None, [', '.join(read[:-1]), *read[-1:]]))}" if read else ""
    absence = "; ".join(filter(None, [found_in, ", ".join(lacks)]))
    return Fact("accelerators", tuple(tree.evidence(path) for path in read), absence)


def unread(tree: Tree) -> tuple[Finding, ...]:
    """Warn of places that are there and cannot be read: what is in them stays unknown, whatever others show."""
    evidence = tree.refusals(*(view for place in PLACES if _readable(tree, place) is None for view in place))
    remedy = "accelerators there stay unknown: let the service or container read it"
    return (Finding("cannot-look", evidence, remedy),) if evidence else ()


def _readable(tree: Tree, place: tuple[str, ...]) -> str | None:
    return next((view for view in place if not tree.lack(view)), None)


def _lacks(tree: Tree, place: tuple[str, ...]) -> list[str]:
    refused = [view for view in place if tree.refusals(view)]
    return [tree.lack(view) for view in refused or place[:1]]
