"""``edgectl repo``: keeps the repository that boxes fetch their models from, and the keys that sign it."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgectl.options import FAULT, AsJson
from edged.domain.errors import ConfigError

if TYPE_CHECKING:
    from edged.update.desired import Audience

app = typer.Typer(help="Keep the repository that boxes fetch models from, and its keys.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The keeper's folder.")]
Passphrase = Annotated[Path | None, typer.Option(help="A file with the passphrase of the keys.")]
Count = Annotated[int, typer.Option(min=1, help="How many keys the role gets.")]
Threshold = Annotated[int, typer.Option(min=1, help="How many of them must sign.")]
For = Annotated[list[str], typer.Option("--for", help="device:NAME or group:NAME.")]


@app.command()
def init(folder: Folder, keys: Count = 3, threshold: Threshold = 2, passphrase_file: Passphrase = None) -> None:
    """Make a repository with all its keys. Then take root-keys away, each to another keeper."""
    from edgectl.repo import change, status  # noqa: PLC0415 - each verb imports what it needs: help needs no cryptography

    work = change.init(folder, change.Keepers(keys, threshold, _passphrase(passphrase_file)))
    status.show(work, as_json=False)
    _say(f"now move each key of {work.root_keys} to a medium of its own, and serve {work.public}")


@app.command()
def add(
    folder: Folder,
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE", help="Bundles' folders, or packed files.")],
    profile: Annotated[list[str] | None, typer.Option(help="Only for this device profile; may be given again.")] = None,
    min_edged: Annotated[str, typer.Option(help="The oldest edged that can run it, as in 0.2.0.")] = "",
    role: Annotated[str, typer.Option(help="Who signs it: targets, or a team's role.")] = "targets",
) -> None:
    """Take bundles in, with differences to earlier releases. They are offered once signed and published."""
    from edgectl.repo import change  # noqa: PLC0415
    from edgectl.repo.work import Work  # noqa: PLC0415

    work = Work(folder)
    for bundle in bundles:
        for name in change.add(work, bundle, change.Terms(min_edged, tuple(profile or ()), role)):
            _say(f"added {name}")
    _say_missing(folder)


@app.command()
def sign(
    folder: Folder,
    keys: Annotated[list[Path] | None, typer.Option(help="Folders with keys; the keeper's own by default.")] = None,
    passphrase_file: Passphrase = None,
) -> None:
    """Sign what was changed with the keys at hand; as often, and on as many machines, as keepers must agree."""
    from edgectl.repo.keys import read_keys  # noqa: PLC0415
    from edgectl.repo.work import Work  # noqa: PLC0415

    work = Work(folder)
    signers = read_keys(keys or [work.keys, work.root_keys], passphrase=_passphrase(passphrase_file))
    for role, keyids in work.sign(signers).items():
        _say(f"signed {role} with {', '.join(keyid[:12] for keyid in keyids)}")
    _say_missing(folder)


@app.command()
def publish(
    folder: Folder,
    to: Annotated[Path | None, typer.Option(help="Copy what is published there, too: a stick, a web server.")] = None,
    passphrase_file: Passphrase = None,
) -> None:
    """Offer what is signed. Without a change it renews the timestamp: run it once a week at least."""
    from edgectl.repo import change  # noqa: PLC0415
    from edgectl.repo.work import Work  # noqa: PLC0415

    work = Work(folder)
    _say(f"published {', '.join(change.publish(work, _passphrase(passphrase_file)))}")
    if to is not None:
        change.copy_out(work, to)
        _say(f"copied to {to}")


@app.command()
def rotate(
    folder: Folder,
    role: Annotated[str, typer.Argument(help="root, targets, snapshot, timestamp, desired, or a team's role.")],
    keys: Count = 1,
    threshold: Threshold = 1,
    passphrase_file: Passphrase = None,
) -> None:
    """Give a role new keys in place of its old ones; whoever vouches for it must sign then."""
    from edgectl.repo import change  # noqa: PLC0415
    from edgectl.repo.work import Work  # noqa: PLC0415

    for keyid in change.rotate(Work(folder), role, change.Keepers(keys, threshold, _passphrase(passphrase_file))):
        _say(f"made {role} key {keyid[:12]}")
    _say_missing(folder)


@app.command()
def delegate(
    folder: Folder,
    role: Annotated[str, typer.Argument(help="The team's role.")],
    paths: Annotated[list[str], typer.Option("--path", help="What it may sign, as in 'vision-*'.")],
    keys: Count = 1,
    threshold: Threshold = 1,
    passphrase_file: Passphrase = None,
) -> None:
    """Let a team sign the releases whose names match, and no others."""
    from edgectl.repo import change  # noqa: PLC0415
    from edgectl.repo.work import Work  # noqa: PLC0415

    change.delegate(Work(folder), role, paths, change.Keepers(keys, threshold, _passphrase(passphrase_file)))
    _say_missing(folder)


@app.command()
def status(folder: Folder, as_json: AsJson = False) -> None:  # noqa: FBT002 - typer makes the flag of it
    """Show versions, ends, keys, and what waits for signatures; status 1 when something is urgent."""
    from edgectl.repo import status as screen  # noqa: PLC0415
    from edgectl.repo.work import Work  # noqa: PLC0415

    work = Work(folder)
    screen.show(work, as_json=as_json)
    if not screen.is_well(work):
        raise typer.Exit(FAULT)


@app.command()
def desire(  # noqa: PLR0917 - one argument for each flag
    releases: Annotated[list[str], typer.Argument(metavar="MODEL=VERSION", help="No version: what the box has.")],
    whom: For,
    repository: Annotated[Path, typer.Option(help="What is published.")],
    keys: Annotated[Path, typer.Option(help="The folder with the key of the role desired.")],
    after: Annotated[
        Path | None, typer.Option(help="The last order for the same: its number and models go on.")
    ] = None,
    campaign: Annotated[str, typer.Option(help="As boxes report it.")] = "",
    by: Annotated[str, typer.Option(help="Who orders.")] = "",
    days: Annotated[float, typer.Option(min=0.01, help="For how long it may be begun.")] = 30.0,
    shadow_one_in: Annotated[
        int, typer.Option(min=0, max=10_000, help="Run it beside what is live first, on one frame in so many.")
    ] = 0,
    passphrase_file: Passphrase = None,
) -> None:
    """Print a signed order: what a box or a group shall run. `edgectl fleet assign` sends one itself."""
    from edgectl.repo.desire import Wish, signed_order  # noqa: PLC0415

    if len(whom) != 1:
        message = f"cannot order for {len(whom)} audiences, expected one --for"
        raise ConfigError(message)
    wish = Wish(_audience(whom[0]), tuple(releases), campaign, by, days, after, shadow_one_in)
    sys.stdout.write(signed_order(wish, repository, keys, _passphrase(passphrase_file)).decode() + "\n")


@app.command()
def manifest(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A stick, or any folder.")],
    bundles: Annotated[list[Path], typer.Argument(metavar="BUNDLE", help="Bundles' folders, or packed files.")],
    whom: For,
    keys: Annotated[Path, typer.Option(help="The folder of the one key; made when there is none.")],
    days: Annotated[float, typer.Option(min=0.01, help="For how long it is valid.")] = 30.0,
    passphrase_file: Passphrase = None,
) -> None:
    """Write the small profile: bundles and one signed manifest, for bring-up, sticks and boxes of 64 MB."""
    from edgectl.repo.keys import make_key, read_keys  # noqa: PLC0415
    from edgectl.repo.manifest import Validity, trust_of, write_manifest  # noqa: PLC0415

    passphrase = _passphrase(passphrase_file)
    signers = list(read_keys([keys], "desired", passphrase).values()) or [make_key(keys, "desired", passphrase)]
    validity = Validity(datetime.now(timezone.utc), days)
    number = write_manifest(folder, bundles, signers[0], [_audience(one) for one in whom], validity)
    trust = keys / "trust.json"
    trust.write_bytes(trust_of(signers[:1]))
    _say(f"wrote manifest {number}; boxes are provisioned with {trust}")


def _audience(text: str) -> Audience:
    from edged.update.desired import Audience  # noqa: PLC0415

    kind, _, name = text.partition(":")
    try:
        return Audience("device" if kind == "device" else "group", name if kind in {"device", "group"} else "")
    except ValueError as error:
        message = f"cannot address {text!r}, expected device:NAME or group:NAME"
        raise ConfigError(message) from error


def _passphrase(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        message = f"cannot read passphrase file {file}: {error.strerror}, expected the passphrase in it"
        raise ConfigError(message) from error


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _say_missing(folder: Path) -> None:
    from edgectl.repo.work import Work  # noqa: PLC0415

    for one in Work(folder).missing():
        _say(f"{one.role} waits for {one.count} more signatures of: {', '.join(key[:12] for key in one.keyids)}")
