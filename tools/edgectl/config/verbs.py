"""``edgectl config``: makes a box's configuration, shows what it comes to, and brings older ones forward."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgectl.options import CONFIG, AsJson

ROOT = Path("/")
CREDENTIAL = Path("/etc/edged/credentials/mqtt")
TRUST = Path("/etc/edged/trust/root.json")
PASSWORD = "mqtt.password"  # noqa: S105 - a file's name

app = typer.Typer(
    help="Make this box's configuration, show what it comes to, and bring older ones forward.", no_args_is_help=True
)

Config = Annotated[Path, typer.Option(help="The configuration.")]


@app.command()
def init(
    *,
    config: Config = CONFIG,
    device: Annotated[str | None, typer.Option(help="The box's name. Default: from its machine-id.")] = None,
    broker: Annotated[str | None, typer.Option(metavar="HOST[:PORT]", help="Where it reports to.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt; usual with port 8883.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Certificates that may have signed the broker's.")] = None,
    username: Annotated[str | None, typer.Option(help="At the broker.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file with the broker's password.")] = None,
    camera: Annotated[list[str] | None, typer.Option(help="A device or an address; may be given again.")] = None,
    camera_model: Annotated[str | None, typer.Option(help="The model that looks at it.")] = None,
    serial: Annotated[list[Path] | None, typer.Option(help="A serial port; may be given again.")] = None,
    baud: Annotated[int | None, typer.Option(help="Bits a second on it.")] = None,
    rate_hz: Annotated[float | None, typer.Option(help="Samples a second on it.")] = None,
    sensor_model: Annotated[str | None, typer.Option(help="The model for its samples.")] = None,
    sample: Annotated[
        list[str] | None, typer.Option(help="A shipped model on its own recording; may be given again.")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="The state directory. Default: /var/lib/edged.")] = None,
    updates: Annotated[
        str | None, typer.Option(metavar="URL", help="Where new models come from: an address, a folder, or mqtt.")
    ] = None,
    sysroot: Annotated[
        Path, typer.Option(metavar="DIR", help="Another machine's files, to look at: proc, sys, dev, etc.")
    ] = ROOT,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: take what is usual, and every camera.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration; the old one is kept.")] = False,
    no_start: Annotated[bool, typer.Option("--no-start", help="Do not start an installed edged.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a few questions, look what this box has, and write a configuration that edged check accepts."""
    from edgectl.config import making  # noqa: PLC0415 - each verb imports what it needs
    from edgectl.config.questions import Places, Said  # noqa: PLC0415

    said = Said(
        device,
        broker,
        tls,
        ca,
        username,
        password_file,
        tuple(camera or ()),
        camera_model,
        tuple(serial or ()),
        baud,
        rate_hz,
        sensor_model,
        tuple(sample or ()),
        state.absolute() if state is not None else None,
        updates,
    )
    places = Places(config.absolute().with_name(PASSWORD), making.credential(CREDENTIAL), making.there(TRUST))
    making.make(said, config.absolute(), places, making.Manner(yes, force, not no_start, as_json, sysroot))


@app.command()
def show(
    *,
    config: Config = CONFIG,
    only_set: Annotated[bool, typer.Option("--only-set", help="Leave defaults out.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print every value of the merged configuration and where it came from. Secrets are never shown."""
    from edgectl.config import showing  # noqa: PLC0415

    if showing.show(config, only_set=only_set, as_json=as_json):
        raise typer.Exit(1)


@app.command()
def migrate(
    *,
    config: Config = CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the files of an older edged forward; each is kept beside, with .old behind its name."""
    from edgectl.config import migrating  # noqa: PLC0415

    migrating.migrate(config, dry_run=dry_run, as_json=as_json)
