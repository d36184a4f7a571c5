"""A run of the governor as a picture: temperature and latency above, level and rungs below, over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgectl.scenario import Reading, Scenario
from edgectl.simulation import Second
from edged.control.steps import PRESSED, WORDS

SIZE_INCHES, DPI = (8.0, 6.4), 80
COLOURS = ("#1b6ca8", "#c2571a", "#3b7d3a", "#7a4b9a", "#8a6d1d")
HOT, LEVEL = "#b3261e", "#555555"


def plot(scenario: Scenario, run: Sequence[Second], file: Path) -> None:
    """Write a picture of ``run``; its format goes by the file's ending."""
    # Without a display, and not before it is asked for: loading it takes a second.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    heat, late, level, rung = figure.subplots(4, 1, sharex=True, height_ratios=[3, 2, 2, 3])
    minutes = [second.at_s / 60 for second in run]
    _readings(heat, minutes, scenario, run)
    for one, colour in zip(scenario.pipeline, _colours(len(scenario.pipeline)), strict=True):
        late.plot(minutes, [second.latency_ms[one.name] for second in run], color=colour, label=one.name)
        if one.objective_ms is not None:
            _limit(late, one.objective_ms, "objective", colour)
        rung.step(minutes, [second.rungs[one.name] for second in run], color=colour, where="post", label=one.name)
    late.set_ylabel("latency, ms")
    late.set_ylim(bottom=0)
    levels = [second.pressure.level for second in run]
    level.fill_between(minutes, levels, step="post", color=LEVEL, alpha=0.35, linewidth=0)
    level.axhline(PRESSED, color=LEVEL, linestyle=":", linewidth=1)
    level.set_yticks(range(len(WORDS)), WORDS, fontsize="small")
    level.set_ylim(0, len(WORDS) - 1)
    level.set_ylabel("level")
    rung.set_ylabel("steps down")
    rung.set_ylim(max(1, *(steps for one in run for steps in one.rungs.values())) + 0.3, -0.3)
    rung.yaxis.get_major_locator().set_params(integer=True)
    rung.set_xlabel("minutes")
    rung.legend(loc="lower right", fontsize="small", frameon=False)
    for axes in (heat, late, level, rung):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(scenario.name)
    figure.savefig(file)


def _readings(axes: Any, minutes: Sequence[float], scenario: Scenario, run: Sequence[Second]) -> None:
    """Draw what the scenario is about: the memory where it has one, or else the temperature; with and without the governor."""
    is_memory = run[0].memory_free_percent is not None
    name: Reading = "memory_free_percent" if is_memory else "temperature_c"
    felt = [second.memory_free_percent if is_memory else second.temperature_c for second in run]
    if felt[0] is None:
        return
    axes.plot(minutes, felt, color=HOT, label="with the governor")
    axes.plot(
        minutes,
        [scenario.value(name, one.at_s) for one in run],
        color=HOT,
        linestyle="--",
        linewidth=1,
        label="without",
    )
    for limit_c, word in () if is_memory else ((scenario.soft_c, "soft limit"), (scenario.hard_c, "hard limit")):
        _limit(axes, limit_c, word, LEVEL)
    axes.set_ylabel("memory left, %" if is_memory else "°C")
    axes.legend(loc="upper right", fontsize="small", frameon=False)


def _limit(axes: Any, at: float, word: str, colour: str) -> None:
    axes.axhline(at, color=colour, linestyle=":", linewidth=1)
    axes.annotate(word, (0, at), xytext=(0, 1), textcoords="offset points", fontsize="small", color=colour)


def _colours(count: int) -> list[str]:
    return [COLOURS[place % len(COLOURS)] for place in range(count)]
