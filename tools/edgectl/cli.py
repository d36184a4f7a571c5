"""The program ``edgectl``: one verb a file. Exit status as ``edged``: 0 done; 1 it met a fault; 2 the request itself is wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from edged.domain.errors import ConfigError, EdgedError

DONE, FAULT, WRONG_REQUEST = 0, 1, 2

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
        help="What a field engineer and a fleet manager do with edged.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    asked = [row for row in VERBS if row[0] in arguments[:1]]
    for name, module in asked or VERBS:
        whole.add_typer(import_module(module).app, name=name)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb and give the exit status; every error is one line on standard error."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        program(words)(words, standalone_mode=True)
    except SystemExit as end:
        return int(end.code or DONE)
    except ConfigError as error:
        return _complain(error, WRONG_REQUEST)
    except EdgedError as error:
        return _complain(error, FAULT)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        sys.stderr.close()
    return DONE


def _complain(error: EdgedError, status: int) -> int:
    sys.stderr.write(f"edgectl: {' '.join(str(error).split())}\n")
    return status
