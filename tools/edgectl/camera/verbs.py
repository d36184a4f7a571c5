"""``edgectl camera``: which cameras there are, what one gives, and what a model would see of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgectl.bundle import terminal
from edgectl.options import CONFIG, FAULT, AsJson, ConfigFile
from edgectl.page import console
from edgectl.plain import print_json
from edged.assembly.adapters import adapter
from edged.config.load import load
from edged.domain.errors import ConfigError

if TYPE_CHECKING:
    from edgectl.camera.looking import Told

MOST_S = 600.0
COLUMN_NAMES = ("node", "camera", "format", "size", "rates", "held by", "note")

app = typer.Typer(help="List cameras, look through one, and see what a model would see.", no_args_is_help=True)


@app.command("list")
def list_cameras(
    as_json_: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """List the cameras of this box with every format, size and rate, and who holds them. Disturbs nobody."""
    from edgectl.camera.found import by_formats, cameras  # noqa: PLC0415 - only here

    found = cameras()
    if as_json_:
        print_json({"schema": "edged.camera.list/1", "cameras": [one.told() for one in found]})
        return
    if not found:
        terminal.print_line(
            "no camera: there is no /dev/video*; plug one in, or: edgectl camera look rtsp://ADDRESS/PATH"
        )
        return
    terminal.print_table(COLUMN_NAMES, by_formats(found))
    for one in found:
        if one.device is not None and not one.note:
            terminal.print_line(f"edgectl camera look {one.name}")


@app.command("look")
def look(  # noqa: PLR0917 - typer names them all
    camera: Annotated[str, typer.Argument(help="A device, its number, an address, or a configured source's name.")],
    seconds: Annotated[float, typer.Option(min=0.2, max=MOST_S, help="How long, from the first picture on.")] = 5.0,
    grab: Annotated[Path | None, typer.Option(help="Keep the last picture here (.jpg or .png).")] = None,
    record: Annotated[Path | None, typer.Option(help="Keep a recording here (.mp4), at most 1 GB.")] = None,
    model: Annotated[str, typer.Option(help="Show what this model would see of the last picture.")] = "",
    tensor: Annotated[Path | None, typer.Option(help="Keep what the model would see here (.png).")] = None,
    name: Annotated[str, typer.Option(help="The source's name in the suggested entry.")] = "",
    size: Annotated[str, typer.Option(help="Ask a device for WIDTHxHEIGHT.")] = "",
    fps: Annotated[float | None, typer.Option(min=0.1, help="Ask a device for so many pictures a second.")] = None,
    transport: Annotated[str | None, typer.Option(help="What RTSP comes over: tcp or udp.")] = None,
    username: Annotated[str | None, typer.Option(help="For a camera that asks for one.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="Holds the password; a file that is not there yet is asked for and written.")
    ] = None,
    config: ConfigFile = None,
    only_entry: Annotated[bool, typer.Option("--entry", help="Print the entry and nothing else.")] = False,  # noqa: FBT002 - a flag
    as_json_: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Look through a camera: rate, jitter, age, what is wrong with its picture, and the entry for the configuration.

    Exit status 1 when something is wrong with it.
    """
    from edgectl.camera.target import Asked, ask_password, target  # noqa: PLC0415 - the list needs none of it

    looking = adapter("edgectl.camera.looking")
    settings = load(config or CONFIG, required=config is not None, named=False).config
    if password_file is not None and username is not None:
        ask_password(password_file)
    if tensor is not None and not model:
        message = "cannot show a tensor without a model, expected --model NAME beside --tensor"
        raise ConfigError(message, remedy="edged models lists them")
    asked = Asked(camera, name, size, fps, transport, username, password_file)
    source = target(asked, settings)
    files = looking.Files(grab, record, tensor)
    quiet = as_json_ or only_entry
    told: Told = looking.looked(source, seconds, files, model, settings, quiet=quiet)
    if as_json_:
        print_json(told.document())
    elif only_entry:
        terminal.print_line(told.entry)
    else:
        _show(told)
    if told.seen.words:
        raise typer.Exit(FAULT)


def _show(told: Told) -> None:
    from edgectl.camera import screen  # noqa: PLC0415 - for a person

    page = console(terminal.PIPED_WIDTH)
    shown = told.seen.picture if told.view is None else told.view.picture
    if page.is_terminal and page.color_system and shown is not None:
        page.print(screen.preview(shown))
    page.print(screen.report(told.shown, told.seen, told.opened_ms), end="", soft_wrap=not page.is_terminal)
    if told.view is not None:
        page.print(screen.view_line(told.view), soft_wrap=not page.is_terminal)
    for file in told.written:
        terminal.print_line(f"wrote {file}")
    terminal.print_line("\n" + told.entry)
