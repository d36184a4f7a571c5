"""A simulated rollout as a picture: how many boxes had come how far, over time."""

from __future__ import annotations

from pathlib import Path

from edgectl.fleet.rollout import Outcome
from edgectl.fleet.simulate.result import Result

SIZE_INCHES, DPI = (8.0, 4.5), 90
COLOURS = {
    Outcome.SUCCEEDED: "#3b7d3a",
    Outcome.ROLLED_BACK: "#c2571a",
    Outcome.FAILED: "#b3261e",
    Outcome.UNDER_WAY: "#1b6ca8",
    Outcome.SENT: "#8fbfe0",
    Outcome.QUEUED: "#cccccc",
}


def plot(result: Result, file: Path) -> None:
    """Write a picture; its format goes by the file's ending."""
    # Without a display, and not before it is asked for: loading it takes a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    at_s = [look.at_s for look in result.looks]
    counts = [[look.counts.get(outcome.value, 0) for look in result.looks] for outcome in COLOURS]
    labels = [outcome.value for outcome in COLOURS]
    axes.stackplot(at_s, *counts, labels=labels, colors=list(COLOURS.values()), step="post", linewidth=0)
    axes.step(at_s, [look.online for look in result.looks], color="black", where="post", linewidth=1, label="online")
    if result.restarted_s is not None:
        axes.axvline(result.restarted_s, color="#555555", linestyle=":", linewidth=1, label="broker restarted")
    axes.set_xlabel("seconds since the first order")
    axes.set_ylabel("boxes")
    axes.set_xlim(0, max(at_s, default=1.0) or 1.0)
    axes.set_ylim(0, result.terms.devices)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    figure.suptitle(f"a rollout to {result.terms.devices} simulated boxes")
    figure.savefig(file)
