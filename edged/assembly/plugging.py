"""What is plugged in and out while the daemon runs: looked for every few seconds, by reading files alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edged.assembly.box import Box, Present
from edged.assembly.engines import edge_tpus, with_named
from edged.domain.device import Accelerator, Inventory
from edged.domain.ports import Clock
from edged.hardware.inventory import find_accelerators, plugs
from edged.telemetry import logs

LOOK_S, WHOLE_S = 2.0, 60.0
"""How often is looked whether something came or went, and how often at everything in any case: that takes some ten milliseconds."""

_LOG = logging.getLogger("edged.plugging")


class Plugging:
    """Keeps ``box.present`` and its engines true. Owned by one thread.

    ``plugs`` and ``look`` are how. What is gone counts as gone when two looks say so: a Coral stick that gets its firmware leaves the
    bus for a second and comes back as another device.
    """

    def __init__(
        self,
        box: Box,
        clock: Clock,
        look: Callable[[Path, tuple[str, ...]], tuple[Accelerator, ...]] = find_accelerators,
        plugs: Callable[[Path], object] = plugs,
    ) -> None:
        self._box, self._clock, self._look, self._plugs = box, clock, look, plugs
        self._due_ns, self._whole_ns = 0, 0
        self._seen: object = None
        self._missed: frozenset[tuple[object, ...]] = frozenset()

    def __repr__(self) -> str:
        return f"<Plugging: {len(self._box.now.accelerators)} accelerators>"

    def tick(self, choose_anew: Callable[[], None]) -> bool:
        """Look when it is due; whether ladders may be others now. Calls ``choose_anew`` before when something came."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._due_ns or self._box.present is None:
            return False
        self._due_ns = now_ns + int(LOOK_S * 1e9)
        seen = self._plugs(self._box.root)
        if seen == self._seen and not self._missed and now_ns < self._whole_ns:
            return False
        self._seen, self._whole_ns = seen, now_ns + int(WHOLE_S * 1e9)
        return self._compare(self._box.present, choose_anew)

    def _compare(self, present: Present, choose_anew: Callable[[], None]) -> bool:
        before = present.inventory
        found = with_named(
            replace(before, accelerators=self._look(self._box.root, before.compatible)), self._box.engines.settings
        )
        gone = _told(before) - _told(found)
        is_sure, self._missed = gone <= self._missed, gone
        if not is_sure or found.accelerators == before.accelerators:
            return False
        present.take(found)
        self._box.engines.know(edge_tpus(found, self._box.engines.settings))
        come = _told(found) - _told(before)
        if come:
            choose_anew()
        if come or gone:
            logs.event(_LOG, "hardware.changed", come=_words(come), gone=_words(gone))
        return bool(come or gone)


def _told(inventory: Inventory) -> frozenset[tuple[object, ...]]:
    """Tell accelerators apart by what they are and where: not by being busy, which this daemon's own children make them."""
    return frozenset((one.kind, one.bus, one.address, one.usable) for one in inventory.accelerators)


def _words(told: frozenset[tuple[object, ...]]) -> str:
    return ", ".join(sorted(f"{kind} on {bus} {address or ''}".strip() for kind, bus, address, _ in told))
