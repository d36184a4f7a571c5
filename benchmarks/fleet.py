"""A rollout to a thousand boxes: simulated, with real connections and agents, on one real broker that is restarted in the middle."""

from __future__ import annotations

from figure import Effort, Figure

from edgectl.fleet.simulate.result import Result
from edgectl.fleet.simulate.run import simulate
from edgectl.fleet.simulate.script import Terms

DEVICES = 1000
HERD = 0.25
"""Of the boxes, in a tenth of a second: their own jitter spreads them over a second, so that 0.1 is the ideal."""


def measure(effort: Effort) -> list[Figure]:
    """Give the rows."""
    devices = effort.times(DEVICES)
    result = simulate(Terms(devices))
    sent, received = result.sent, result.received
    each = (
        f"{sent.messages / devices:.1f} messages of {sent.payload_bytes / sent.messages:.0f} bytes sent a box, "
        f"{received.messages / devices:.1f} received"
    )
    return [
        Figure(
            f"convergence of {devices:,} boxes, 14 % of which fail, go offline or answer late",
            "every box ends as scripted",
            "not in time" if result.converged_s is None else f"{result.converged_s:.1f} s, {len(result.astray)} astray",
            result.converged_s is not None and not result.astray,
            f"one broker and one process for all boxes; {each}; {result.memory_kb:.0f} KiB a box",
        ),
        _back(result, devices),
    ]


def _back(result: Result, devices: int) -> Figure:
    """Tell how the boxes came back after the broker was away."""
    last_s = max(result.back_s, default=0.0)
    return Figure(
        "connections in the worst tenth of a second after the broker's restart ÷ boxes",
        f"≤ {HERD:g}",
        f"{result.herd / devices:.3f}",
        result.herd <= HERD * devices,
        f"{len(result.back_s)} connections, the last after {last_s:.1f} s",
    )
