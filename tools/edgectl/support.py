"""``edgectl support``: one archive with everything that somebody who helps from afar would ask for, and no secrets."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from edgectl.checks.rows import Ground
from edgectl.doctor import examine, survey
from edgectl.options import AsJson, ConfigFile, alone
from edgectl.page import console
from edgectl.plain import print_json
from edged.assembly.check import check_all
from edged.assembly.installed import models_document
from edged.assembly.support_archive import MB, SCHEMA, Gathered, gather, name_of, write
from edged.assembly.support_sources import READ_S, Place, pieces
from edged.assembly.within import within
from edged.domain.errors import ConfigError, EdgedError
from edged.fleet.topics import rfc3339
from edged.hardware.inventory import to_document

LEAST_MB, MOST_MB = 0.2, 1000.0
SEEN = frozenset({"answer", "scores", "events"})
"""Of a pipeline, what is nobody's business who helps with the box."""

app = alone("Put everything that support would ask for into one archive, without secrets.")


@app.callback()
def run(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The archive. Default: edged-support-DEVICE-TIME.tar.gz here.")
    ] = None,
    max_mb: Annotated[
        float, typer.Option(help="Its largest size, in MB of 10^6 bytes; what no longer fits is left out.")
    ] = 20.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be in it, and write nothing.")] = False,  # noqa: FBT002 - a flag
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it is written.")] = False,  # noqa: FBT002 - a flag
    doctor: Annotated[bool, typer.Option(help="Examine the box first, as edgectl doctor does.")] = True,  # noqa: FBT002 - a flag
    log: Annotated[
        Path | None, typer.Option(help="edged's log file, where its log does not go to the journal.")
    ] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """List what is in the archive, then write it. Works beside a running daemon and without one, and tells what may not be read."""
    if not LEAST_MB <= max_mb <= MOST_MB:
        message = f"cannot make an archive of {max_mb:g} MB, expected {LEAST_MB:g} to {MOST_MB:g}"
        raise ConfigError(message)
    if output is not None and not output.absolute().parent.is_dir():
        message = f"cannot write {output}: {output.absolute().parent} is no folder, expected one"
        raise ConfigError(message, remedy="make it, or name another place with --output")
    page, is_asked = console(), sys.stdin.isatty() and sys.stdout.isatty() and not yes and not as_json
    with page.status("looks at the box …") if page.is_terminal and not as_json else nullcontext():
        ground, told = _told(config, doctor=doctor)
    at_ns = time.time_ns()
    file = output or Path(name_of(ground.config.device.id, at_ns))
    place = Place(ground.config.state.directory, ground.file, told, log)
    gathered = gather(pieces(place), int(max_mb * MB))
    if not as_json:
        page.print(_table(gathered, file))
    if dry_run or (is_asked and not typer.confirm(f"Write {file}?", default=True)):
        if as_json:
            print_json({**_document(gathered, at_ns), "path": None, "bytes": gathered.packed_bytes, "sha256": None})
        return
    written = write(file, gathered, ground.config.device.id, at_ns)
    if as_json:
        more = {"path": str(file.absolute()), "bytes": written.size_bytes, "sha256": written.sha256}
        print_json({**_document(gathered, at_ns), **more})
        return
    page.print(f"{file}: {written.size_bytes / MB:.2f} MB, sha256 {written.sha256}", soft_wrap=True)
    page.print(f"tar tzf {file} lists it; look through it before you send it", soft_wrap=True)


def _told(config: Path | None, *, doctor: bool) -> tuple[Ground, dict[str, tuple[str, Any]]]:
    """Give what was found out for the archive alone, and what it stands on; what breaks is left out in its own words."""
    told: dict[str, tuple[str, Any]] = {}
    if doctor:
        report = examine(config)
        ground = report.ground
        told["doctor.json"] = ("what edgectl doctor found", report.document())
    else:
        ground = survey(config)
    found = ground.box
    told["hardware.json"] = (
        "what edged hardware tells",
        to_document(found.inventory, found.profile.name, found.runtimes),
    )
    asked: tuple[tuple[str, str, Callable[[], Any]], ...] = (
        ("check.json", "what edged check finds", lambda: check_all(ground.file).document()),
        ("models.json", "what edged models tells", lambda: models_document(ground.config)),
    )
    for name, what, ask in asked:
        told[name] = (what, _answer(ask))
    if ground.daemon.said:
        told["overview.json"] = ("what the running daemon says", without_answers(ground.daemon.said))
    return ground, told


def without_answers(said: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of the dashboard's document what cameras and sensors saw."""
    pipelines = [{key: value for key, value in one.items() if key not in SEEN} for one in said.get("pipelines", ())]
    return {**said, "pipelines": pipelines}


def _answer(ask: Callable[[], Any]) -> Any:
    try:
        return within(READ_S, ask)
    except (EdgedError, OSError) as error:
        return {"error": str(error)}
    except Exception as error:  # noqa: BLE001 - what breaks here is what whoever helps wants to see, with all the rest
        return {"error": repr(error), "at": traceback.format_exc(limit=-3).splitlines()}


def _table(gathered: Gathered, file: Path) -> Text | Table:
    table = Table(
        title=f"{file}, about {gathered.packed_bytes / MB:.2f} MB",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("file", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("what it is")
    for member in gathered.members:
        table.add_row(member.name, f"{len(member.content):,}", member.about)
    for one in gathered.left_out:
        table.add_row(one.name, "-", f"left out: {one.why}", style="dim")
    return table


def _document(gathered: Gathered, at_ns: int) -> dict[str, Any]:
    return {"schema": SCHEMA, "at": rfc3339(at_ns), **gathered.told()}
