"""``edgectl fleet show``: what a box whose release does not go live is told to wait for."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from edgectl.fleet import screen
from edgectl.fleet.view import Device


@pytest.mark.parametrize(
    ("clock", "state", "reason", "says"),
    [
        ("unsynced", "ready", "", "parts: waits until the box's clock is synchronised\n  next: edgectl doctor clock"),
        ("synced", "ready", "", "parts: waits for the box's own hours, [updates] window"),
        ("unsynced", "failed", "its golden samples differ", "parts: its golden samples differ\n"),
    ],
)
def test_it_is_said_for_what_a_release_waits(clock: str, state: str, reason: str, says: str) -> None:
    told = {"name": "parts", "state": state, "reason": reason, "active": None, "previous": None}
    page = Console(file=StringIO(), width=100)
    page.print(screen.one_box(Device("press-01", {"models": {"clock": clock, "models": [told]}}), {}))
    assert says in page.file.getvalue()


def test_of_a_release_that_waits_for_nothing_nothing_is_said() -> None:
    told = {"name": "parts", "state": "committed", "reason": "", "active": None, "previous": None}
    page = Console(file=StringIO(), width=100)
    page.print(screen.one_box(Device("press-01", {"models": {"clock": "unsynced", "models": [told]}}), {}))
    assert "waits" not in page.file.getvalue()
