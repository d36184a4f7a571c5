"""``edgectl fleet plan``: before anything is sent, what a bundle would run as on each box, or why a box refuses it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from edgectl.fleet import screen
from edgectl.fleet.boxes import Config, look
from edgectl.fleet.forecast import Forecast, forecast
from edgectl.fleet.settings import FILE, read_settings
from edgectl.options import AsJson
from edged.config.share import shipped
from edged.control.profile import load_profiles
from edged.domain.bundle import Bundle
from edged.update.manifest import read_bundle


def plan(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    group: Annotated[
        list[str] | None, typer.Option(help="Only boxes of this group; may be given several times.")
    ] = None,
    profiles: Annotated[
        list[Path] | None, typer.Option(help="A folder of device profiles that stand before the shipped ones.")
    ] = None,
    config: Config = FILE,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Say what each box would run of a bundle, how fast and how large, before it is sent. Ends with 1 when a box refuses it."""
    candidate = read_bundle(bundle)
    known = load_profiles([*(profiles or ()), shipped("device-profiles")])
    devices = [one for one in look(read_settings(config)).devices.values() if one.is_known]
    wanted = [one for one in devices if not group or set(group) & set(one.groups)]
    found = forecast(candidate, sorted(wanted, key=lambda one: one.name), known)
    if as_json:
        sys.stdout.write(json.dumps(document(candidate, found), indent=1) + "\n")
    else:
        screen.console().print(page(candidate, found))
    if any(one.variant is None for one in found):
        raise typer.Exit(1)


def document(bundle: Bundle, found: Sequence[Forecast]) -> dict[str, Any]:
    """Write it as JSON."""
    manifest = bundle.manifest
    boxes = [{**asdict(one), "error": one.error} for one in found]
    return {"schema": "edged.fleet-plan/1", "model": manifest.name, "version": manifest.version, "boxes": boxes}


def page(bundle: Bundle, found: Sequence[Forecast]) -> Group:
    """Write it for people; what happened only where something did."""
    manifest = bundle.manifest
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("device", no_wrap=True)
    made.add_column("runs")
    for name in ("p95 ms", "MiB", "left MiB"):
        made.add_column(name, justify="right", no_wrap=True)
    has_run = any(one.ran_as for one in found)
    if has_run:
        made.add_column("did run", justify="right")
    for one in found:
        runs = f"{escape(one.variant)} on {one.accelerator}" if one.variant else "[red]refuses[/]"
        cells = [escape(one.device), runs, *(_cell(value) for value in (one.p95_ms, one.memory_mb, one.headroom_mb))]
        made.add_row(*cells, *([_happened(one)] if has_run else []))
    words = [(one, one.reason if one.variant is None else one.unmet) for one in found]
    refusing = sum(one.variant is None for one in found)
    return Group(
        made,
        *(f"{escape(one.device)}: {escape(why)}" for one, why in words if why),
        f"{manifest.name} {manifest.version}: {len(found) - refusing} would run it, {refusing} refuse it",
    )


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _happened(one: Forecast) -> str:
    if one.ran_as is None:
        return "-"
    off = "" if one.error is None else f" ({one.error:+.0%})"
    return f"{escape(one.ran_as)} {_cell(one.ran_p95_ms)} ms{off}"
