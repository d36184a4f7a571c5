"""The program ``edgectl``: one verb a file. Exit status as ``edged``: 0 done; 1 it met a fault; 2 the request itself is wrong."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from textwrap import fill
from typing import Annotated, Any

try:
    import typer
except ModuleNotFoundError as error:
    NEEDED = f"edgectl: cannot run: {error.name} is not installed, expected the libraries of edged[tools]; pip install 'edged[tools]'"
    raise SystemExit(NEEDED) from None

from edgectl.options import DONE, FAULT, WRONG_REQUEST
from edgectl.plain import one_line
from edged.domain.errors import ConfigError, EdgedError

USAGE: type[Exception] = typer.BadParameter.__mro__[1]
"""click's UsageError, or that of the copy of click which newer versions of typer bring."""

VERBS: tuple[tuple[str, str], ...] = (
    ("audit", "edgectl.audit"),
    ("bench", "edgectl.bench"),
    ("bundle", "edgectl.bundle.verbs"),
    ("camera", "edgectl.camera.verbs"),
    ("config", "edgectl.config.verbs"),
    ("coverage", "edgectl.coverage"),
    ("doctor", "edgectl.doctor"),
    ("drift", "edgectl.drift"),
    ("fleet", "edgectl.fleet.verbs"),
    ("govern", "edgectl.govern"),
    ("history", "edgectl.history"),
    ("install", "edgectl.setup.install"),
    ("record", "edgectl.record.verbs"),
    ("replay", "edgectl.replay.verb"),
    ("repo", "edgectl.repo.verbs"),
    ("serial", "edgectl.serial.verbs"),
    ("support", "edgectl.support"),
    ("uninstall", "edgectl.setup.uninstall"),
    ("watch", "edgectl.watch.verb"),
)
"""Each verb's name and the module whose ``app`` is the typer program behind it; in the order of the help page."""


def program(arguments: Sequence[str] = ()) -> typer.Typer:
    """Put the verbs together: the one that the arguments begin with, else all of them, for the help page and its suggestions.

    With nine verbs all of them took 1.1 s and 77 MB on a PC, most of them alone 0.3 to 0.6 s and 40 to 55 MB.
    """
    whole = typer.Typer(
        name="edgectl",
        help="What a field engineer and a fleet manager do with edged. On a box that is not well: edgectl doctor.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    whole.callback()(_options)
    asked = [row for row in VERBS if row[0] in arguments[:1]]
    for name, module in asked or VERBS:
        whole.add_typer(import_module(module).app, name=name)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and give the exit status; every error is one line on standard error, on a terminal with the next step below it."""
    words = sys.argv[1:] if arguments is None else arguments
    status = DONE
    try:
        done = program(words)(words, prog_name="edgectl", standalone_mode=False)
        status = done if isinstance(done, int) else DONE
    except SystemExit as end:
        status = int(end.code or DONE)
    except typer.Abort:
        sys.stderr.write("Aborted.\n")
        status = FAULT
    except USAGE as error:
        status = _refuse(error)
    except EdgedError as error:
        status = _complain(error, WRONG_REQUEST if isinstance(error, ConfigError) else FAULT)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        sys.stderr.close()
    return status


def _tell_version(is_wanted: bool) -> None:  # noqa: FBT001 - typer gives it so
    if is_wanted:
        sys.stdout.write(f"edgectl {version('edged')}\n")
        raise typer.Exit


def _options(
    _version: Annotated[  # noqa: FBT002 - a flag
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version, and end.")
    ] = False,
) -> None:
    pass


def _refuse(error: Any) -> int:
    """Tell what is wrong with a command line; where a verb lacks its own verb, the help page has been printed."""
    said, place = error.format_message().rstrip("."), error.ctx.command_path if error.ctx else "edgectl"
    return (
        _complain(ConfigError(said, remedy=f"{place} --help shows what it takes"), WRONG_REQUEST)
        if said
        else WRONG_REQUEST
    )


def _complain(error: EdgedError, status: int) -> int:
    line = one_line(" ".join(str(error).split()))
    sys.stderr.write(f"edgectl: {line}\n" if not sys.stderr.isatty() else _for_people(error))
    return status


def _for_people(error: EdgedError) -> str:
    """Fold a message at its words; the next step stands below it as one line: what is copied is whole."""
    width = shutil.get_terminal_size().columns - 1
    said = one_line(" ".join(str(error.args[0]).split()))
    folded = fill(f"edgectl: {said}", width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    remedy = one_line(" ".join(error.remedy.split()))
    return f"{folded}\n" + (f"  → {remedy}\n" if remedy else "")
