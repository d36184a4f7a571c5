"""``edgectl fleet``: what a fleet manager does."""

from __future__ import annotations

import typer

from edgectl.fleet import boxes, broker, planning, rollouts
from edgectl.fleet.serve import serve
from edgectl.fleet.simulate.verb import simulate_fleet

app = typer.Typer(help="The fleet: its broker, its boxes, and what they shall run.", no_args_is_help=True)
app.add_typer(broker.app, name="broker")
app.command("list")(boxes.list_boxes)
app.command("simulate")(simulate_fleet)
for verb in (
    boxes.show,
    boxes.assign,
    planning.plan,
    rollouts.rollout,
    rollouts.watch,
    rollouts.pause,
    rollouts.resume,
    rollouts.abort,
    serve,
):
    app.command()(verb)
