"""``edgectl drift``: what is normal for a pipeline on this site, and how far from that it is now.

Both read what the daemon writes into its state directory, so that it may run meanwhile, or not.
"""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl import drift_screen as screen
from edgectl.options import CONFIG, AsJson, ConfigFile
from edgectl.plain import print_json
from edged.assembly.drift_files import DriftFiles, read_reference
from edged.config.load import load
from edged.config.schema import Config, Pipeline
from edged.domain.errors import ConfigError
from edged.pipeline.drift_learning import Row, learn
from edged.pipeline.reference import Reference, with_about
from edged.update.manifest import find_bundles

OUTPUTS = "output."

app = typer.Typer(
    help="Learn what is normal for a pipeline on this site, and see what has drifted.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The pipeline.", metavar="PIPELINE")]


@app.command("learn")
def learn_verb(
    pipeline: Name,
    minutes: Annotated[float, typer.Option(min=0.1, help="How much of the latest figures to learn from.")] = 4320.0,
    config: ConfigFile = None,
) -> None:
    """Learn what is normal from the figures that the daemon has taken in the last minutes.

    Where light follows the day, learn from two days or more: what is usual at each hour is then known. The daemon takes the reference up
    with its next figures; it stands over the bundle's.
    """
    settings, wanted = _settings(pipeline, config)
    files = DriftFiles(settings.state.directory, pipeline)
    rows, model = _rows(files, wanted, minutes)
    learned = learn(rows)
    screen.learned(learned)
    if learned.reference is None:
        message = (
            f"cannot learn what is normal for {pipeline!r}: no feature has enough figures in {_span(rows):.1f} minutes"
        )
        raise ConfigError(message, remedy="let the daemon take more, then learn again")
    made_at = datetime.fromtimestamp(rows[-1].wall_s, timezone.utc).isoformat(timespec="seconds")
    reference = with_about(learned.reference, model=model, until=made_at, minutes=round(_span(rows), 1), rows=len(rows))
    files.write_reference(reference)
    sys.stdout.write(f"{files.reference}: {len(reference.features)} features, learned from {_span(rows):.1f} minutes\n")


@app.command("show")
def show_verb(
    pipeline: Name,
    config: ConfigFile = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures along time into this PNG.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Show each feature's reference, its latest figures, and what has drifted."""
    settings, wanted = _settings(pipeline, config)
    files = DriftFiles(settings.state.directory, pipeline)
    reference = read_reference(files.reference) or _of_bundle(settings, wanted)
    if reference is None:
        message = f"cannot show drift of {pipeline!r}: neither the site nor its bundle has a reference, expected one"
        raise ConfigError(message, remedy=f"edgectl drift learn {pipeline}")
    rows = [row for row, _ in files.rows()]
    standing = files.read_state(reference)
    if as_json:
        told = [screen.cells(feature, rows, standing) for feature in reference.features]
        print_json({"about": dict(reference.about), "features": told})
    else:
        screen.shown(reference, rows, standing)
    if plot is not None:
        _draw(plot, pipeline, reference, rows, standing)


def _draw(file: Path, pipeline: str, reference: Reference, rows: list[Row], standing: Any) -> None:
    try:
        screen.picture(file, pipeline, reference, rows, standing)
    except (OSError, ValueError) as error:
        message = f"cannot draw {file}: {error}, expected a file that may be written and ends in .png"
        raise ConfigError(message) from error


def _settings(pipeline: str, config: Path | None) -> tuple[Config, Pipeline]:
    settings = load(config or CONFIG, required=config is not None, named=False).config
    for one in settings.pipeline:
        if one.name == pipeline:
            return settings, one
    known = ", ".join(one.name for one in settings.pipeline) or "none"
    message = f"cannot find pipeline {pipeline!r}: the configuration has {known}, expected one of them"
    raise ConfigError(message)


def _rows(files: DriftFiles, pipeline: Pipeline, minutes: float) -> tuple[list[Row], str]:
    """Give the latest minutes' rows, and the model that ran last; what another one said is left out."""
    told = list(files.rows())
    if not told:
        watched = "" if pipeline.drift.watch else "its drift.watch is false, "
        message = f"cannot learn what is normal for {pipeline.name!r}: {watched}no figures lie in {files.folder}, expected some"
        raise ConfigError(
            message, remedy="let the daemon run with it; figures are written every 30 samples and at its end"
        )
    last, model = told[-1]
    recent = [(row, by) for row, by in told if last.wall_s - minutes * 60 <= row.wall_s <= last.wall_s]
    return [row if by == model else _without_outputs(row) for row, by in recent], model


def _without_outputs(row: Row) -> Row:
    return Row(row.wall_s, row.source_s, {name: of for name, of in row.traits.items() if not name.startswith(OUTPUTS)})


def _span(rows: list[Row]) -> float:
    return (rows[-1].wall_s - rows[0].wall_s) / 60


def _of_bundle(settings: Config, pipeline: Pipeline) -> Reference | None:
    found = find_bundles(settings.models.directories).bundles.get(pipeline.model, ())
    for bundle in found:
        if bundle.manifest.drift is not None:
            return read_reference(bundle.folder / bundle.manifest.drift.reference)
    return None
