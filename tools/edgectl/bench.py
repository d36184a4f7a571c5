"""``edgectl bench``: what each variant does on this box."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from edgectl import bench_screen as screen
from edgectl.bench_rows import compared
from edgectl.bench_run import Bench, Result, bench, document, prepare, readings_now
from edgectl.options import CONFIG, AsJson, ConfigFile, alone
from edgectl.page import Page
from edgectl.plain import print_json
from edged.assembly.box import model_folders
from edged.assembly.explain import read_figures, read_objective
from edged.config.load import load
from edged.config.schema import Config, Objective
from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, ConfigError
from edged.domain.figures import Measured
from edged.update.manifest import find_bundles, read_bundle

LAST = "last"

app = alone("Measure what each variant of a model does on this box.")


@app.callback()
def run(  # noqa: PLR0917 - typer names them all
    model: Annotated[
        str, typer.Argument(help="A bundle's name or folder. Default: every model that is installed.")
    ] = "",
    config: ConfigFile = None,
    threads: Annotated[list[int] | None, typer.Option(min=1, help="Only with so many; may be given again.")] = None,
    seconds: Annotated[float, typer.Option(min=0.05, max=60, help="How long each runs, at least 30 calls.")] = 1.0,
    objective: Annotated[str, typer.Option(help="What to choose for, such as latency_ms=80,prefer=latency.")] = "",
    compare: Annotated[str, typer.Option(help="A kept run to compare with: a file, or 'last'.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Draw the latencies into this PNG.")] = None,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
    state: Annotated[Path | None, typer.Option(help="Keep the figures in this folder.")] = None,
) -> None:
    """Measure what each variant of a model does on this box, and which one is chosen.

    Figures are kept where the daemon finds them. Beside a running daemon it is measured only with what its pipelines leave over.
    """
    settings = load(config or CONFIG, required=config is not None, named=False).config
    wanted = read_objective(objective) if objective else Objective()
    bundles = _bundles(model, settings)
    made = prepare(settings, seconds, state)
    before = _kept(compare, made)
    results, told = _measured(bundles, made, tuple(threads or ()), wanted, before)
    if plot is not None:
        _draw(plot, results, made)
    if as_json:
        print_json(told)
        return
    _show(results, told, made)


def _measured(
    bundles: list[Bundle], made: Bench, threads: tuple[int, ...], wanted: Objective, before: tuple[Measured, ...] | None
) -> tuple[list[Result], dict[str, object]]:
    cool = readings_now()
    results = []
    with _progress() as progress:
        task = progress.add_task("", total=None)
        for bundle in bundles:
            result = bench(
                bundle,
                made,
                threads,
                wanted,
                lambda name, number, of: progress.update(task, description=name, completed=number - 1, total=of),
            )
            if before is not None:
                rows = tuple(compared(result.rows, result.subjects, before))
                result = Result(bundle, rows, result.subjects, result.measured)
            results.append(result)
    return results, document(results, made, cool, readings_now())


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    # On standard error: what is measured may go into a file.
    return Progress(*columns, console=Page(stderr=True), transient=True)


def _show(results: list[Result], told: dict[str, object], made: Bench) -> None:
    page = screen.console()
    for result in results:
        manifest = result.bundle.manifest
        page.print(screen.table(f"{manifest.name} {manifest.version}, profile {made.box.profile.name}", result.rows))
        if any(row.figures for row in result.rows):
            page.print(screen.terminal_plot(result.rows))
        page.print(screen.notes(result.rows), soft_wrap=True)
    for when in ("before", "after"):
        page.print(screen.felt_line(when, told[when]))  # type: ignore[arg-type] # as document() made it
    beside = "; beside a running daemon, so only with what it leaves over" if made.polite else ""
    page.print(f"kept in {made.state}{beside}", soft_wrap=True)


def _draw(file: Path, results: list[Result], made: Bench) -> None:
    rows = [row for result in results for row in result.rows]
    try:
        screen.picture(file, rows, made.box.inventory.board or made.box.profile.name)
    except (OSError, ValueError) as error:
        message = f"cannot draw {file}: {error}, expected a file that may be written and ends in .png"
        raise ConfigError(message) from error


def _kept(compare: str, made: Bench) -> tuple[Measured, ...] | None:
    """Give the run to compare with; None without one."""
    if not compare:
        return None
    if compare != LAST:
        return read_figures(Path(compare))
    measured = made.store.known().measured
    if not measured:
        message = f"cannot compare with the last run: {made.state} holds no figures, expected some"
        raise ConfigError(message, remedy="run edgectl bench once without --compare")
    return measured


def _bundles(model: str, config: Config) -> list[Bundle]:
    if "/" in model or (model and (Path(model) / "model.toml").is_file()):
        return [read_bundle(Path(model))]
    catalogue = find_bundles(model_folders(config))
    if not model:
        return [found[0] for found in catalogue.bundles.values()]
    if model in catalogue.bundles:
        return [catalogue.bundles[model][0]]
    known = ", ".join(catalogue.bundles) or "none"
    message = f"cannot find model {model!r}: the bundles are {known}, expected one of them or a folder"
    raise BundleError(message, remedy="edged models lists them")
