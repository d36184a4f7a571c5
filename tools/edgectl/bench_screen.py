"""A bench run for people: the table, and the latencies as a plot in the terminal and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from edgectl import page
from edgectl.bench_rows import Row

WIDTH = 140
"""Of what goes into a file or a pipe."""
PLOT_WIDTH = 64
MARKS = {"better": "[green]▼ better[/]", "worse": "[red]▲ worse[/]", "same": "same", "new": "new"}
COLORS = {"tflite": "#2b6cb0", "onnx": "#b7791f"}
OTHER = "#555555"
DPI = 120
INCH_A_ROW, INCH_A_MODEL = 0.34, 0.7


def console() -> page.Page:
    """Give the terminal, or a wide page where there is none."""
    return page.console(WIDTH, markup=True)


def table(title: str, rows: Sequence[Row]) -> Table:
    """Make the table: a line a way to run the model, in the order of measuring."""
    compared = any(row.verdict for row in rows)
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("variant", "runtime"):
        made.add_column(name, no_wrap=True)
    for name in ("threads", "p50 ms", "p99 ms", "CPU ms", "memory MB", "load ms"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("accuracy", no_wrap=True)
    if compared:
        made.add_column("than before", no_wrap=True)
    made.add_column("")
    for row in rows:
        made.add_row(*_cells(row, compared=compared), style="bold" if row.chosen else None)
    return made


def felt_line(when: str, felt: Mapping[str, Any]) -> str:
    """Say how the box felt, on one line."""
    heat = "temperature unknown" if felt["hottest_c"] is None else f"{felt['hottest_c']:.0f} °C"
    room = "" if felt["headroom_c"] is None else f", {felt['headroom_c']:.0f} °C below its limit"
    held = {None: "throttling unknown", True: "[red]throttled[/]", False: "not throttled"}[felt["throttled"]]
    volts = ", [red]supply voltage too low[/]" if felt["under_voltage"] else ""
    load = "" if felt["load_1m"] is None else f", load {felt['load_1m']:.1f}"
    return f"{when}: {heat}{room}, {held}{volts}{load}"


def terminal_plot(rows: Sequence[Row]) -> Text:
    """Draw a bar to p50 and a line on to p99 for each way to run the model."""
    shown = [(row, row.figures) for row in rows if row.figures is not None]
    most_ms = max((figures.p99_ms for _, figures in shown), default=0.0) or 1.0
    wide = max((len(row.name) for row, _ in shown), default=0)
    drawn = Text()
    for row, figures in shown:
        bar, line = (max(1, round(PLOT_WIDTH * time_ms / most_ms)) for time_ms in (figures.p50_ms, figures.p99_ms))
        drawn.append(f"{'*' if row.chosen else ' '} {row.name:<{wide}} ", "bold" if row.chosen else "")
        drawn.append("█" * bar, COLORS.get(row.runtime, OTHER))
        drawn.append(f"{'─' * (line - bar - 1)}{'┤' if line > bar else ''} {figures.p50_ms:.3g} ms\n")
    drawn.append(f"  {'':<{wide}} bar to p50, line to p99\n", "dim")
    return drawn


def notes(rows: Sequence[Row]) -> Text:
    """Write below the table what is to be known of single rows."""
    lines = [f"{'*' if row.chosen else ' '} {row.name}: {row.note}" for row in rows if row.note]
    return Text("\n".join(lines))


def picture(file: Path, rows: Sequence[Row], where: str) -> None:
    """Draw the latencies into a picture, each model on a scale of its own. Raises OSError or ValueError when it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, for who asks for a picture

    shown: dict[str, list[Row]] = {}
    for row in rows:
        if row.figures is not None:
            shown.setdefault(row.model, []).insert(0, row)
    counts = [len(some) for some in shown.values()] or [1]
    figure = Figure(
        figsize=(9, 0.4 + INCH_A_MODEL * len(counts) + INCH_A_ROW * sum(counts)), dpi=DPI, layout="constrained"
    )
    places = figure.subplots(len(counts), 1, squeeze=False, height_ratios=[count + 1 for count in counts])[:, 0]
    for axes, (model, some) in zip(places, shown.items(), strict=False):
        _draw_model(axes, some)
        axes.set_title(f"{model} on {where}", fontsize=10, loc="left")
    places[-1].set_xlabel("ms a call of the engine: bar to p50, line to p99")
    figure.savefig(file)


def _draw_model(axes: Any, rows: Sequence[Row]) -> None:
    """Draw a bar to p50 and a line on to p99 for each row, colour by runtime, what is chosen in full."""
    for place, row in enumerate(rows):
        assert row.figures is not None  # noqa: S101 - only those are shown
        p50_ms, p99_ms = row.figures.p50_ms, row.figures.p99_ms
        color = COLORS.get(row.runtime, OTHER)
        axes.barh(place, p50_ms, color=color, height=0.62, alpha=1.0 if row.chosen else 0.55)
        axes.plot(
            [p50_ms, p99_ms], [place, place], color=color, linewidth=1.6, marker="|", markevery=[1], markersize=10
        )
        axes.annotate(
            f"{p50_ms:.3g}", (p99_ms, place), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=9)
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row.chosen else "normal")
    axes.set_xlim(0, 1.12 * max(row.figures.p99_ms for row in rows if row.figures) or 1.0)
    axes.spines[["top", "right"]].set_visible(False)
    used = dict.fromkeys(row.runtime for row in rows)
    handles = [axes.barh(math.nan, 0, color=COLORS.get(runtime, OTHER), label=runtime) for runtime in used]
    axes.legend(handles=handles, loc="lower right", fontsize=8, frameon=False)


def _cells(row: Row, *, compared: bool) -> list[str]:
    figures = row.figures
    numbers = ["", "", "", "", ""]
    if figures is not None:
        times = (figures.p50_ms, figures.p99_ms, figures.cpu_ms)
        numbers = [*(f"{value:.3g}" for value in times), f"{figures.peak_memory_mb:.0f}", f"{figures.load_ms:.0f}"]
    where = row.runtime if row.accelerator == "cpu" else f"{row.runtime} on {row.accelerator}"
    change = [_change(row)] if compared else []
    return [row.variant, where, str(row.threads or "any"), *numbers, row.accuracy, *change, _word(row)]


def _word(row: Row) -> str:
    if row.chosen:
        return "* chosen"
    return "" if row.figures is not None else "refused or not measured"


def _change(row: Row) -> str:
    if row.verdict is None:
        return ""
    mark = MARKS[row.verdict]
    return mark if row.ratio is None else f"{row.ratio:.2f} {mark}"
