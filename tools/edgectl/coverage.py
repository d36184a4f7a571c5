"""``edgectl coverage``: what a pipeline saw of a day, minute by minute, and why not of the rest."""

from __future__ import annotations

import re
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl import coverage_screen as screen
from edgectl.options import CONFIG, AsJson, ConfigFile, StateFolder, alone
from edgectl.plain import print_json
from edged.assembly.coverage_store import CoverageStore, day_name
from edged.config.load import load
from edged.domain.errors import ConfigError
from edged.fleet.topics import rfc3339
from edged.telemetry.coverage import MINUTE_MS, MINUTES_A_DAY, Minute, total

EPOCH = date(1970, 1, 1)
NS_PER_MINUTE = 60_000_000_000

app = alone("Draw what a pipeline saw of a day, and why not of the rest.")


@app.callback()
def run(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    day: Annotated[str, typer.Option(help="The day, as 2026-11-21; days begin at midnight UTC. Default: today.")] = "",
    config: ConfigFile = None,
    state: StateFolder = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the day into this PNG.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Draw what a pipeline saw of a day: a row an hour, a cell a minute. Works beside a running daemon and without one."""
    now = datetime.now(timezone.utc)
    number = _day(day, now.date())
    folder = state or load(config or CONFIG, required=config is not None, named=False).config.state.directory
    minutes = _minutes(CoverageStore(folder), pipeline, number, int(now.timestamp()) // 60)
    title = f"{pipeline}, {day_name(number)} (UTC)"
    if plot is not None:
        _draw(plot, minutes, title)
    if as_json:
        print_json(document(pipeline, number, minutes))
        return
    page = screen.console()
    page.print(screen.grid(minutes, title))
    page.print(screen.legend(total(minutes)))


def document(pipeline: str, day: int, minutes: list[Minute]) -> dict[str, Any]:
    """Give the day as JSON has it; minutes of which nothing is known are left out of the list, and count as down in the sum."""
    known = [minute for minute in minutes if minute.down_ms < MINUTE_MS]
    return {
        "schema": "edged.coverage/1",
        "pipeline": pipeline,
        "day": day_name(day),
        "sum": total(minutes).told(),
        "minutes": [{"at": rfc3339(minute.number * NS_PER_MINUTE), **total([minute]).told()} for minute in known],
    }


def _minutes(store: CoverageStore, pipeline: str, day: int, now: int) -> list[Minute]:
    """Read the day's minutes, and of the one that goes on what is known. Raises ConfigError when that is nothing on the whole day."""
    known = store.pipelines(day)
    if pipeline not in known:
        there = f"those of the day are {', '.join(known)}" if known else f"the days are {_span(store.days())}"
        message = f"cannot draw {pipeline!r} on {day_name(day)}: nothing is kept of it, expected a pipeline that ran"
        raise ConfigError(message, remedy=there)
    first = day * MINUTES_A_DAY
    *ended, last = store.read(pipeline, first, max(1, min(MINUTES_A_DAY, now - first + 1)))
    if last.number < now:
        return [*ended, last]
    return [*ended, last.so_far] if last.so_far.length_ms else ended


def _span(days: tuple[str, ...]) -> str:
    return f"{days[0]} to {days[-1]}" if days else "none yet"


def _day(told: str, today: date) -> int:
    try:
        # Python 3.11 reads more forms than 3.10 does.
        day = date.fromisoformat(told) if re.fullmatch(r"\d{4}-\d\d-\d\d", told) else None
    except ValueError:
        day = None
    if told and day is None:
        message = f"cannot read the day {told!r}, expected a date such as {today.isoformat()}"
        raise ConfigError(message)
    return ((day or today) - EPOCH).days


def _draw(file: Path, minutes: list[Minute], title: str) -> None:
    try:
        screen.picture(file, minutes, title)
    except (OSError, ValueError) as error:
        message = f"cannot draw {file}: {error}, expected a file that may be written and ends in .png"
        raise ConfigError(message) from error
