"""``edgectl history``: what the flight recorder kept of the last day, as curves with what happened."""

from __future__ import annotations

import csv
import os
import re
import sys
import time
from collections.abc import Sequence
from difflib import get_close_matches
from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from edgectl import history_screen as screen
from edgectl.options import CONFIG, AsJson, ConfigFile, StateFolder, alone
from edgectl.page import console
from edgectl.plain import print_json
from edged.assembly.histories import Past, columns, past, recorded, span_ms
from edged.assembly.history_store import HistoryStore
from edged.config.load import load
from edged.domain.errors import ConfigError, DeviceError
from edged.domain.strict import unix_ms
from edged.fleet.topics import rfc3339
from edged.telemetry.panels import PANELS, Panel, exactly
from edged.telemetry.past import family

UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
PICTURE_POINTS = 600
PREFIX = "edged_"
NS_PER_MS, MS_PER_S = 1_000_000, 1000

app = alone("Draw what the flight recorder kept of the last day.")


@app.callback()
def run(
    metric: Annotated[
        list[str] | None,
        typer.Argument(
            help="Curves such as rate or temperature, or parts of the names that /metrics has. Default: all curves."
        ),
    ] = None,
    since: Annotated[
        str, typer.Option(help="From how long ago (90s, 30m, 2h, 1d), or from a moment as RFC 3339 has it.")
    ] = "2h",
    until: Annotated[str, typer.Option(help="Up to how long ago, or up to a moment.")] = "0s",
    png: Annotated[Path | None, typer.Option(help="Draw the curves into this picture.")] = None,
    csv_file: Annotated[
        Path | None,
        typer.Option("--csv", help="Write every second as it was recorded into this file; - is standard output."),
    ] = None,
    config: ConfigFile = None,
    state: StateFolder = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Draw what the flight recorder kept. Works beside a running daemon, which is a minute ahead at most, and without one."""
    folder = state or load(config or CONFIG, required=config is not None, named=False).config.state.directory
    store, now_ms = HistoryStore(folder), time.time_ns() // NS_PER_MS
    begin_ms, end_ms = moment_ms(since, now_ms), moment_ms(until, now_ms)
    if begin_ms >= end_ms:
        message = (
            f"cannot draw from {since} to {until}: that is no stretch of time, expected --since to lie before --until"
        )
        raise ConfigError(message)
    names = columns(store, begin_ms, end_ms)
    if not names:
        raise _nothing(store, folder, since, now_ms)
    panels = _panels(metric or [], names)
    if csv_file is not None:
        _write(csv_file, store, begin_ms, end_ms, panels)
    page = console(screen.WIDTH)
    points = PICTURE_POINTS if png is not None or as_json else screen.points(page)
    found = past(store, begin_ms, end_ms, points, panels)
    if png is not None:
        _draw(png, found)
    if as_json:
        print_json(found.document())
    elif png is None and csv_file is None:
        page.print(screen.drawn(found, page))


def moment_ms(told: str, now_ms: int) -> int:
    """Read a time ago such as 90s, 30m, 2h or 1d (a bare number is seconds), or a moment as RFC 3339 has it. Raises ConfigError."""
    at_ms = unix_ms(told)
    if at_ms is not None:
        return at_ms
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([a-z]{0,3})", told.strip())
    if found is None or (found[2] or "s") not in UNITS_S:
        message = f"cannot read the time {told!r:.40}, expected one such as 90s, 30m, 2h, 1d or 2026-11-21T08:30:00Z"
        raise ConfigError(message)
    return now_ms - round(float(found[1]) * UNITS_S[found[2] or "s"] * MS_PER_S)


def _panels(asked: Sequence[str], names: Sequence[str]) -> Sequence[Panel]:
    """Find what was asked for: a curve by its name, or every column that has it in its own. Raises ConfigError."""
    chosen: list[Panel] = []
    for word in asked:
        named = [panel for panel in PANELS if panel.name == word]
        found = named or [exactly(name) for name in names if word in name]
        if not found:
            known = [*(panel.name for panel in PANELS), *sorted({family(name).removeprefix(PREFIX) for name in names})]
            near = get_close_matches(word, known, 3) or [panel.name for panel in PANELS]
            message = f"cannot draw {word!r:.60}: nothing of that name was recorded then"
            raise ConfigError(message, remedy=f"try {', '.join(near)}, or a name of /metrics")
        chosen += found
    return tuple(dict.fromkeys(chosen)) or PANELS


def _nothing(store: HistoryStore, folder: Path, since: str, now_ms: int) -> ConfigError:
    """Say that there is nothing to draw, and what would change that."""
    if folder.exists() and not os.access(folder, os.R_OK | os.X_OK):
        message = f"cannot read {folder}: Permission denied, expected the state directory of edged"
        return ConfigError(message, remedy="sudo edgectl history")
    span = span_ms(store)
    if span is None:
        message = f"cannot draw the past: nothing is kept below {folder}, expected what edged records while it runs"
        return ConfigError(message, remedy="start edged with [telemetry] history = true, or name its --state")
    hours = (now_ms - span[1]) // 3_600_000 + 1
    kept = " to ".join(rfc3339(at_ms * NS_PER_MS) for at_ms in span)
    message = f"cannot draw the time since {since}: nothing was recorded then, what is kept is of {kept}"
    return ConfigError(message, remedy=f"edgectl history --since {max(1, hours)}h reaches it")


def _write(file: Path, store: HistoryStore, begin_ms: int, end_ms: int, panels: Sequence[Panel]) -> None:
    """Write a row a second; columns that come later than the first row have their place from the beginning."""

    def wanted(name: str) -> bool:
        return any(panel.key(name) is not None for panel in panels)

    stretch = store, begin_ms, end_ms, wanted
    names = list(dict.fromkeys(name for rows in recorded(*stretch) for name in rows.columns))
    try:
        with sys.stdout if file == Path("-") else file.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(["at", *names])
            for rows in recorded(*stretch):
                at = [rows.columns.index(name) if name in rows.columns else None for name in names]
                for wall_ms, values in zip(rows.walls_ms.tolist(), rows.values.tolist(), strict=True):
                    if begin_ms <= wall_ms <= end_ms:
                        table.writerow([rfc3339(wall_ms * NS_PER_MS), *(_cell(values, number) for number in at)])
    except OSError as error:
        message = f"cannot write {file}: {error.strerror}, expected a file that may be written"
        raise DeviceError(message) from error


def _cell(values: Sequence[float], number: int | None) -> str:
    return "" if number is None or isnan(values[number]) else f"{values[number]:.12g}"


def _draw(file: Path, found: Past) -> None:
    from edgectl.history_picture import picture  # noqa: PLC0415 - half a second, for who asks for a picture

    try:
        picture(file, found)
    except (OSError, ValueError) as error:
        message = f"cannot draw {file}: {error}, expected a file that may be written and ends in .png"
        raise ConfigError(message) from error
