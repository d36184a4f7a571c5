"""``edgectl replay``: what a box recorded, through the pipeline again, on any machine; with another model beside it, if one is named."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from edgectl.options import CONFIG, AsJson, alone
from edgectl.page import Page, console
from edgectl.plain import print_json
from edgectl.record.places import find, settings
from edgectl.replay import files, screen
from edgectl.replay.report import Report, Side, report
from edgectl.replay.run import Choice, Desk, alike, chosen, desk, played, recorded_choice, settings_of
from edged.assembly.clip import Clip, read_clip
from edged.assembly.replaying import Played, replayable
from edged.config.schema import Pipeline
from edged.domain.errors import EdgedError

WIDTH = 140
"""Of what goes into a file or a pipe: tables by class are wide."""

app = alone("Run what a box recorded through the pipeline again.")


@app.callback()
def run(
    recording: Annotated[
        str,
        typer.Argument(
            help="A recording's file, or the folder that it was unpacked into; on the box its name, or 'last'."
        ),
    ],
    config: Annotated[
        Path | None,
        typer.Option(
            help=f"Use this configuration's pipeline in place of the recorded one (default: {CONFIG} for folders)."
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="NAME@VERSION, a bundle's folder or file, :VARIANT behind it or not. Default: what ran on the box."
        ),
    ] = "",
    against: Annotated[str, typer.Option(help="A second model on the same input, named like --model.")] = "",
    out: Annotated[
        Path | None, typer.Option(help="Write results, events, report and pictures into this folder.")
    ] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Run a recording through the pipeline again: the same loop, rules and models, on the source's own time.

    Twice the same gives the same. What comes out is held against what the box said then, and against a second model if one is named.
    """
    clip = read_clip(find(recording, settings(config)))
    with desk(config) as here, ExitStack() as stack:
        pipeline = settings_of(clip, here.config, is_named=config is not None)
        ran = _recorded(clip, here, is_needed=not model)
        first = stack.enter_context(chosen(model, here)) if model else ran
        assert first is not None  # noqa: S101 - it was found, or an error raised
        choices = [alike(first, ran) if ran is not None else first]
        if against:
            choices.append(alike(stack.enter_context(chosen(against, here)), choices[0]))
        runs = _played(clip, choices, pipeline, here, ran)
        told = report(clip, *(Side(*one) for one in runs))
    written = files.write(out, told) if out is not None else []
    _show(told, written, as_json=as_json)


def _recorded(clip: Clip, here: Desk, *, is_needed: bool) -> Choice | None:
    """Find what ran on the box; where another model is named it may be missing."""
    try:
        return recorded_choice(clip, here)
    except EdgedError:
        if is_needed:
            raise
        return None


def _played(
    clip: Clip, choices: list[Choice], settings: Pipeline, here: Desk, ran: Choice | None
) -> list[tuple[Played, str]]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # On standard error: what is told may go into a file.
    with Progress(*columns, console=Page(stderr=True), transient=True) as progress:
        done = []
        for choice in choices:
            manifest = choice.bundle.manifest
            task = progress.add_task(f"{manifest.name} {manifest.version}", total=len(replayable(clip)))
            done.append(played(clip, choice, settings, here, lambda task=task: progress.advance(task), ran))  # type: ignore[misc] # its default is its value
    return done


def _show(told: Report, written: list[Path], *, as_json: bool) -> None:
    if as_json:
        document = {**told.document(), "files": [str(file) for file in written]}
        print_json(document)
        return
    page = console(WIDTH)
    for part in screen.page(told):
        # At a terminal lines are folded at their words.
        page.print(part, soft_wrap=isinstance(part, str) and not page.is_terminal)
    for file in written:
        page.print(f"written: {file}", soft_wrap=True)
