"""``edgectl fleet``: what a fleet manager does."""

from __future__ import annotations

import typer

from edgectl.fleet import broker

app = typer.Typer(help="The fleet: its broker, its boxes, and what they shall run.", no_args_is_help=True)
app.add_typer(broker.app, name="broker")
