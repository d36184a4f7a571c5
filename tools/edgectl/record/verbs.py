"""``edgectl record``: what a box has recorded, one as a file to take away, and a recording from now on."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl.options import AsJson, ConfigFile
from edgectl.page import console
from edgectl.plain import print_json
from edgectl.record import screen
from edgectl.record.places import find, settings
from edged.assembly.clip import read_clip, read_manifest
from edged.assembly.clip_file import PART
from edged.assembly.clip_ring import recordings
from edged.assembly.record_requests import MAX_SECONDS, ask
from edged.assembly.recording import recordings_folder
from edged.assembly.state import LOCK, is_held
from edged.config.schema import Config as Settings
from edged.domain.errors import ConfigError, DeviceError, EdgedError

TAKEN_WITHIN_S = 5.0
"""The daemon looks once a second."""
WRITTEN_WITHIN_S = 30.0
"""After its time: a source may have fallen silent, and a worn card takes seconds to sync."""
LOOK_S = 0.2
WIDTH = 140
"""Of what goes into a file or a pipe: the names of recordings are long."""

app = typer.Typer(help="List, take away and make recordings of what pipelines see.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """List what the box has recorded, the oldest first; beside a running daemon or without one."""
    box = settings(config)
    folder = recordings_folder(box)
    found = [about(file) for file in recordings(folder)]
    document = {"schema": "edged.recordings/1", "folder": str(folder), "records": box.record is not None}
    if as_json:
        print_json({**document, "recordings": found})
        return
    page = console(WIDTH)
    page.print(screen.table(found) if found else f"nothing is recorded in {folder}", soft_wrap=not found)
    if box.record is None:
        page.print("nothing is being recorded: the configuration has no [record]", soft_wrap=True)


@app.command()
def show(recording: str, config: ConfigFile = None, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """Show a recording: what was recorded and why, with its events and how the box felt."""
    file = find(recording, settings(config))
    clip = read_clip(file)
    document = {**clip.manifest, "bytes": _size(file), "events": list(clip.events), "readings": list(clip.readings)}
    if as_json:
        print_json(document)
        return
    page = console(WIDTH)
    for line in screen.shown(document):
        page.print(line, soft_wrap=not page.is_terminal)


@app.command()
def export(
    recording: str,
    out: Annotated[Path, typer.Option(help="The file to write, or a folder.")] = Path(),
    config: ConfigFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Copy a recording to a file of its own, after a look whether it is whole."""
    file = find(recording, settings(config))
    clip = read_clip(file)
    for row in clip.inputs:
        if row.get("file"):
            clip.encoded(row)
    target = out / file.name if out.is_dir() else out
    try:
        size = _copy(file, target)
    except OSError as error:
        message = f"cannot write {target}: {error.strerror or error}, expected a place that takes it"
        raise ConfigError(message, remedy="name another with --out") from error
    if as_json:
        print_json({"schema": "edged.recording.export/1", "file": str(target), "bytes": size})
    else:
        console(WIDTH).print(
            f"{target}: {size / 1e6:.1f} MB; edgectl replay {target.name} runs it again", soft_wrap=True
        )


@app.command()
def now(
    seconds: Annotated[float, typer.Option(min=0.1, max=MAX_SECONDS, help="How long.")] = 10.0,
    pipeline: Annotated[str, typer.Option(help="Only this one. Default: every one that is recorded.")] = "",
    config: ConfigFile = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is written.")] = True,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Have the running daemon record from now on, with the time before that it holds."""
    box = settings(config)
    folder = _recording_folder(box, pipeline)
    before = set(recordings(folder))
    _ask(folder, pipeline, seconds)
    wanted = 1 if pipeline or box.record is None else len(box.record.pipelines or box.pipeline)
    made = _wait(folder, before, seconds, wanted) if wait else []
    found = [about(file) for file in made]
    if as_json:
        print_json({"schema": "edged.recordings/1", "folder": str(folder), "records": True, "recordings": found})
    else:
        page = console(WIDTH)
        page.print(screen.table(found) if found else f"records for {seconds:g} s; edgectl record list shows it then")


def about(file: Path) -> dict[str, Any]:
    """Tell of a recording, or why it cannot be read."""
    told: dict[str, Any] = {"id": file.stem, "file": str(file), "bytes": _size(file), "fault": ""}
    try:
        manifest = read_manifest(file)
        kept = ("pipeline", "why", "began_at", "seconds", "quality", "counts", "models")
        return {**told, **{key: manifest[key] for key in kept}}
    except (EdgedError, KeyError) as error:
        return {**told, "fault": str(error)}


def _recording_folder(box: Settings, pipeline: str) -> Path:
    """Give the folder of a daemon that runs and records; raises what keeps it from that."""
    if box.record is None:
        message = "cannot record: the configuration has no [record], expected one"
        raise ConfigError(message, remedy="add a line [record] and restart edged")
    known = box.record.pipelines or tuple(one.name for one in box.pipeline)
    if pipeline and pipeline not in known:
        message = f"cannot record {pipeline!r}: those that are recorded are {', '.join(known) or 'none'}, expected one"
        raise ConfigError(message, remedy="see pipelines in [record]")
    if not _runs(box.state.directory):
        message = f"cannot record: no edged runs on {box.state.directory}, expected one"
        raise DeviceError(message, remedy="start it: edged run, or systemctl start edged")
    return recordings_folder(box)


def _runs(state: Path) -> bool:
    """Whether a daemon holds the state directory's lock."""
    try:
        return is_held(state / LOCK)
    except OSError as error:
        message = f"cannot look into {state}: {error.strerror}, expected a folder that you may read"
        raise DeviceError(message, remedy="do it as edged's own user, or as root") from error


def _ask(folder: Path, pipeline: str, seconds: float) -> None:
    try:
        request = ask(folder, pipeline, seconds)
    except OSError as error:
        message = f"cannot ask the daemon through {folder}: {error.strerror}, expected a folder that you may write"
        raise DeviceError(
            message, remedy="do it as edged's own user, or as root; a box just started makes it in a second"
        ) from error
    until_s = time.monotonic() + TAKEN_WITHIN_S
    while request.exists():
        if time.monotonic() > until_s:
            request.unlink(missing_ok=True)
            message = f"cannot record: the daemon took no notice for {TAKEN_WITHIN_S:g} s, expected it within one"
            raise DeviceError(message, remedy="[record] holds from a restart on: restart edged")
        time.sleep(LOOK_S)


def _wait(folder: Path, before: set[Path], seconds: float, wanted: int) -> list[Path]:
    """Wait until the recordings are written; fewer when a pipeline gives nothing."""
    until_s = time.monotonic() + seconds + WRITTEN_WITHIN_S
    while time.monotonic() < until_s:
        made = [file for file in recordings(folder) if file not in before and file.suffix != PART]
        if len(made) >= wanted:
            return made
        time.sleep(LOOK_S)
    made = [file for file in recordings(folder) if file not in before and file.suffix != PART]
    if not made:
        message = f"cannot see a recording in {folder} after {seconds + WRITTEN_WITHIN_S:g} s, expected one"
        raise DeviceError(message, remedy="see whether the pipeline's source gives anything, and out/health")
    return made


def _copy(file: Path, target: Path) -> int:
    """Copy, for its owner's eyes alone, as the folder of recordings is; gives the bytes. A folder cannot be: raises OSError."""
    if target.exists() and target.samefile(file):
        raise shutil.SameFileError(errno.EEXIST, "it is that recording itself")
    with (
        file.open("rb") as source,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as copied,
    ):
        shutil.copyfileobj(source, copied)
        return copied.tell()


def _size(file: Path) -> int:
    if file.is_dir():
        return sum(one.stat().st_size for one in file.rglob("*") if one.is_file())
    return file.stat().st_size
