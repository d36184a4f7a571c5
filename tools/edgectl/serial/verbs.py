"""``edgectl serial``: which ports there are, what one sends, at which baud and in which format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgectl.bundle import terminal
from edgectl.options import AsJson
from edgectl.page import console
from edgectl.plain import print_json
from edged.assembly.adapters import adapter
from edged.domain.errors import ConfigError

if TYPE_CHECKING:
    from edgectl.serial.look import Read
    from edgectl.serial.looking import Told

MOST_S = 600.0

app = typer.Typer(help="List serial ports, and find out what a sensor sends.", no_args_is_help=True)


@app.command("list")
def list_ports(
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """List the serial ports of this box: what is plugged in, its lasting name, who may open it and who holds it. Opens none."""
    from edgectl.serial.ports import ports  # noqa: PLC0415 - only here

    found = ports()
    if as_json:
        print_json({"schema": "edged.serial.list/1", "ports": [one.told() for one in found]})
        return
    if not found:
        terminal.print_line("no serial port: plug an adapter in, and see dmesg | tail when it does not show up")
        return
    rows = [
        (one.name, one.node.name, one.product, one.usb, one.driver, _holders(one.held), one.access) for one in found
    ]
    terminal.print_table(("port", "node", "device", "usb", "driver", "held by", "access"), rows)


@app.command("look")
def look(  # noqa: PLR0917 - typer names them all
    port: Annotated[Path, typer.Argument(help="The device, best by its name in /dev/serial/by-id.")],
    seconds: Annotated[
        float, typer.Option(min=0.5, max=MOST_S, help="How long samples are read once the format is known.")
    ] = 5.0,
    baud: Annotated[int | None, typer.Option(min=1, help="Try no other.")] = None,
    patience: Annotated[float, typer.Option(min=0.5, max=MOST_S, help="Seconds to wait for a first byte.")] = 10.0,
    name: Annotated[str, typer.Option(help="The source's name in the suggested entry.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Draw the channels into this PNG.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Keep the samples in this .csv, which a csv source reads again.")
    ] = None,
    only_entry: Annotated[bool, typer.Option("--entry", help="Print the entry and nothing else.")] = False,  # noqa: FBT002 - a flag
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Find the baud and the format of what a sensor sends, read it as the daemon would, and suggest the configuration's entry.

    Exit status 1 when nothing comes, or nothing that edged reads.
    """
    told: Told = adapter("edgectl.serial.looking", "serial").looked(
        port, seconds, baud, patience, name, quiet=as_json or only_entry
    )
    if plot is not None and told.read is not None:
        _draw(plot, told)
    if record is not None and told.read is not None:
        _keep(record, told.read, told.names)
    if as_json:
        print_json(told.document())
    elif only_entry and told.suggested is not None:
        terminal.print_line(told.entry)
    elif not only_entry:
        _show(told)
    if told.fault:
        raise told.fault


def _draw(file: Path, told: Told) -> None:
    from edgectl.serial import screen  # noqa: PLC0415 - for who asks for it

    if told.read is None or not len(told.read.values):
        message = f"cannot draw {file}: no sample came, expected some"
        raise ConfigError(message)
    screen.picture(file, told.read, told.names, f"{told.port.name.name} at {told.best.heard.setting}")


def _keep(file: Path, read: Read, names: Sequence[str]) -> None:
    from edgectl.serial.record import write  # noqa: PLC0415 - for who asks for it

    write(file, read, names)


def _show(told: Told) -> None:
    from edgectl.serial import screen  # noqa: PLC0415 - for a person

    page = console(terminal.PIPED_WIDTH)
    terminal.print_table(("setting", "bytes", "faulty", "what came", "score"), screen.rows(told.tried))
    page.print(told.words(), soft_wrap=not page.is_terminal, markup=False)
    if told.best.heard.data:
        page.print(screen.example(told.best.heard.data, is_text=told.best.kind in {"lines", "text"}), soft_wrap=True)
    if told.read is not None:
        if page.is_terminal and len(told.read.values):
            page.print(screen.plot(told.read, told.names, page.width))
        page.print(screen.figures(told.read), soft_wrap=not page.is_terminal)
        rows = [tuple(one.values()) for one in told.read.channels(told.names)]
        terminal.print_table(("channel", "min", "max", "mean", "std"), rows)
    if told.suggested is not None:
        terminal.print_line("\n" + told.entry)


def _holders(held: tuple[object, ...]) -> str:
    return ", ".join(map(str, held))
