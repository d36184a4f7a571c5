"""``edgectl bundle quantize`` at the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgectl.bundle import edgetpu, terminal
from edgectl.bundle.draft import layout_of
from edgectl.bundle.edit import copy_bundle
from edgectl.bundle.facts import read_facts
from edgectl.bundle.judge import candidate, opened
from edgectl.bundle.plot import write_plot
from edgectl.bundle.samples import read_samples
from edgectl.bundle.work import Row, Work
from edgectl.bundle.workshop import judge_files, quantize
from edgectl.plain import print_json
from edged.assembly.models import read_labels
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import BundleError, ConfigError, EdgedError
from edged.update.manifest import MANIFEST, read_bundle, verify

COLUMNS = ("variant", "state", "agreement", "accuracy", "ms", "kB", "float layers", "what failed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line."""

    model: Path
    samples: Path
    out: Path | None
    judge: tuple[Path, ...]
    edgetpu: bool
    plot: Path | None
    as_json: bool


def run(wanted: Wanted) -> bool:
    """Make or judge; False when a file that was there is no good, or when none of those that were made is."""
    if wanted.edgetpu and wanted.judge:
        message = "cannot use --edgetpu with --judge: judging writes nothing, expected one of both"
        raise ConfigError(message)
    compiler = edgetpu.find_compiler() if wanted.edgetpu else None
    bundle = _bundle(wanted)
    first = bundle.manifest.variant[0]
    samples = read_samples(wanted.samples, bundle.input_of(first), read_labels(bundle, first))
    with terminal.progress(quiet=wanted.as_json) as tell:
        work = Work(bundle, samples, wanted.samples.resolve().name, compiler, tell)
        rows = (
            judge_files(work, [(file, _described(bundle, file)) for file in wanted.judge])
            if wanted.judge
            else quantize(work)
        )
    plot = _plot(wanted, bundle, rows)
    _tell(wanted, bundle, rows, len(samples), plot)
    states = {row.state for row in rows}
    return "faulty" not in states and ("refused" not in states or "written" in states)


def _bundle(wanted: Wanted) -> Bundle:
    if not (wanted.model / MANIFEST).is_file():
        message = f"cannot quantise {wanted.model}: it holds no {MANIFEST}, expected a bundle's folder"
        raise ConfigError(message, remedy="make one of a model file first: edgectl bundle new FILE")
    bundle = read_bundle(wanted.model)
    faults = verify(bundle)
    if faults:
        message = f"cannot quantise {wanted.model}: {'; '.join(faults)}"
        raise BundleError(message)
    return copy_bundle(bundle, wanted.out) if wanted.out and not wanted.judge else bundle


def _described(bundle: Bundle, file: Path) -> Variant:
    """Describe a file that is to be judged: what it is, it says itself; what it takes and gives is the bundle's."""
    facts = read_facts(file)
    changes = {"runtime": facts.runtime, "precision": facts.inside.precision, "layout": layout_of(facts)}
    sources = [one for one in bundle.manifest.variant if one.precision == "fp32"] or list(bundle.manifest.variant)
    described = [candidate(source, file.stem, file.resolve(), **changes) for source in sources]
    # Of networks of several sizes, a file belongs to the one whose input and output it takes.
    return next((one for one in described if _fits(bundle, one)), described[0])


def _fits(bundle: Bundle, described: Variant) -> bool:
    try:
        opened(bundle, described).engine.close()
    except EdgedError:
        return False
    return True


def _plot(wanted: Wanted, bundle: Bundle, rows: Sequence[Row]) -> Path | None:
    """Write the plot where it was asked for, or beside a bundle that grew: never into it, where only named files may lie."""
    if wanted.plot is None and wanted.judge:
        return None
    folder = bundle.folder.resolve()
    file = wanted.plot or folder.with_name(f"{folder.name}.variants.png")
    write_plot(rows, f"{bundle.manifest.name} {bundle.manifest.version}", file)
    return file


def _tell(wanted: Wanted, bundle: Bundle, rows: Sequence[Row], count: int, plot: Path | None) -> None:
    if wanted.as_json:
        document = {
            "schema": "edgectl.bundle.quantize/1",
            "name": bundle.manifest.name,
            "folder": str(bundle.folder),
            "samples": count,
        }
        print_json({**document, "plot": str(plot) if plot else None, "variants": [row.document() for row in rows]})
        return
    terminal.print_table(COLUMNS, [_cells(row) for row in rows], f"{bundle.manifest.name}: judged by {count} samples")
    if plot:
        terminal.print_line(f"plot: {plot}")


def _cells(row: Row) -> tuple[object, ...]:
    found = row.verdict
    agreement = f"{found.parity.agreement:.3f}" if found.parity else ""
    accuracy = f"{found.score.metric} {found.score.value:.3f}" if found.score else ""
    size = f"{found.size_bytes / 1e3:.0f}"
    return row.id, row.state, agreement, accuracy, f"{found.latency_ms:.2f}", size, len(row.kept) or "", found.fault
