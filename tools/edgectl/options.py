"""What many verbs take, and where a box keeps its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CONFIG = Path("/etc/edged/edged.toml")
DONE, FAULT, WRONG_REQUEST = 0, 1, 2
"""Exit status, as that of ``edged``."""

ConfigFile = Annotated[Path | None, typer.Option(help=f"The configuration (default: {CONFIG}).")]
StateFolder = Annotated[Path | None, typer.Option(help="The state directory. Default: the configuration's.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def alone(about: str) -> typer.Typer:
    """Make the program of one verb that has none below it."""
    return typer.Typer(
        help=about,
        invoke_without_command=True,
        subcommand_metavar="",
        # A group of verbs takes what follows its argument for a verb otherwise, options included.
        context_settings={"allow_interspersed_args": True},
    )
