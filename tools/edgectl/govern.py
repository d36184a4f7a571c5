"""``edgectl govern``: shows what the governor would do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl.scenario import read_scenario
from edgectl.simulation import Second, simulate
from edged.control.steps import WORDS
from edged.domain.errors import ConfigError

SCHEMA = "edged.govern/1"

app = typer.Typer(help="Show what the governor would do.", no_args_is_help=True)


@app.callback()
def govern() -> None:
    """Show what the governor would do."""


@app.command("simulate")
def run_scenario(
    scenario: Annotated[
        Path, typer.Argument(help="A scenario, TOML; docs/reference/governor.md says what stands in it.")
    ],
    plot: Annotated[Path | None, typer.Option(help="Write a picture of the run to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every second as one JSON document.")] = False,  # noqa: FBT002 - typer's flag
) -> None:
    """Replay written or recorded readings against the policy, and list its steps."""
    read = read_scenario(scenario)
    run = simulate(read)
    if plot is not None:
        _draw(read, run, plot)
    if as_json:
        typer.echo(json.dumps({"schema": SCHEMA, "scenario": read.name, "seconds": [document(one) for one in run]}))
        return
    for line in lines(run):
        typer.echo(line)


def document(second: Second) -> dict[str, Any]:
    """Give one second of a run."""
    felt, step = second.pressure, second.step
    done = {"pipeline": step.pipeline, "kind": step.kind, "before": step.before, "after": step.after} if step else None
    return {
        "at_s": second.at_s,
        "level": WORDS[felt.level],
        "cause": felt.cause,
        "reason": felt.words,
        "temperature_c": second.temperature_c,
        "memory_free_percent": second.memory_free_percent,
        "latency_ms": second.latency_ms,
        "rungs": second.rungs,
        "step": done,
    }


def lines(run: Sequence[Second]) -> list[str]:
    """Write one line a step, and how it ended."""
    told = []
    for second in run:
        if (step := second.step) is not None:
            way = "less" if step.is_down else "more"
            reason = f"{WORDS[step.why.level]}: {step.why.words}" if step.why.words else WORDS[step.why.level]
            told.append(f"{second.at_s:6d} s  {step.pipeline:<12} {way}  {step.kind:<8} {step.after}  {reason}")
    steps = sum(run[-1].rungs.values())
    return [*told, f"{len(told)} steps; at the end {'all is as it was' if not steps else f'{steps} stand'}"]


def _draw(scenario: Any, run: Sequence[Second], file: Path) -> None:
    try:
        from edgectl.govern_plot import plot as draw  # noqa: PLC0415 - only who wants a picture needs what draws it

        draw(scenario, run, file)
    except ImportError as error:
        message = f"cannot draw: {error}, expected matplotlib"
        raise ConfigError(message, remedy="pip install 'edged[tools]'") from error
    except (OSError, ValueError) as error:
        message = f"cannot write {file}: {error}, expected the name of a picture such as run.png"
        raise ConfigError(message) from error
