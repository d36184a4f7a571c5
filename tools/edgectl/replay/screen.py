"""A replay for people: who said what, and where two of them disagree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table

from edgectl.replay.compare import Comparison
from edgectl.replay.report import Report, Side
from edged.assembly.clip import Row
from edged.domain.result import Event

SHOWN = 5
"""Disagreements on the screen, and events; the report has all of them."""


def page(told: Report) -> Iterator[RenderableType]:
    """Give the lines and tables, in order."""
    manifest, clip = told.clip.manifest, told.clip
    quality = (
        "to the bit what the model was shown" if clip.is_exact else "as JPEG: scores may differ in the second digit"
    )
    missed = manifest["counts"]["missed"]
    yield f"{manifest['id']}: {manifest['pipeline']} on {manifest['device']}, {manifest['seconds']:.1f} s from {manifest['began_at']}"
    yield f"{len(clip.inputs)} inputs, {quality}{f'; {missed} were lost while it was recorded' if missed else ''}"
    yield ""
    yield from _side("A" if told.theirs else "now", told.ours)
    if told.theirs is not None:
        yield from _side("B", told.theirs)
    yield ""
    yield from _then(told)
    if told.versus is not None:
        yield ""
        yield from _versus(told, told.versus)


def _side(name: str, side: Side) -> Iterator[str]:
    model, took = side.played.model, side.latency_ms
    unknown = sum(one.output is None for one in side.played.results)
    yield (
        f"{name}: {model.name} {model.version} {model.variant} ({model.runtime} on {model.accelerator}), "
        f"{len(side.played.results)} results{f', {unknown} unknown' if unknown else ''}, {_counted(len(side.played.events), 'event')}, "
        f"p50 {took['p50']:.1f} ms, p95 {took['p95']:.1f} ms"
    )
    if side.note:
        yield f"   {side.note}"


def _then(told: Report) -> Iterator[RenderableType]:
    then, name = told.then, "A" if told.theirs else "now"
    yield f"what the box said then: {then.identical} of {then.compared} results are the same to the digit"
    if then.comparison.differences:
        yield table(then.comparison, "then", name)
    words = [
        f"only then: {row['rule']} {row['phase']} at frame {row['frame']}, {row['source_s']:.1f} s{_earlier(told, row)}"
        for row in then.only_then
    ]
    words += [f"only {name}: {_event(told, event)}" for event in then.only_now]
    yield from words[:SHOWN]
    if len(words) > SHOWN:
        yield f"and {len(words) - SHOWN} more events; --json tells all of them"


def _earlier(told: Report, row: Row) -> str:
    """Say of what cannot come again why it does not; dates of one form are in the order of their letters."""
    return ", which began before the recording" if row["since"] < told.clip.manifest["began_at"] else ""


def _event(told: Report, event: Event) -> str:
    stamp = event.result.stamp
    why = ", under way when the recording began" if told.was_under_way(event) else ""
    return f"{event.rule} {event.phase} at frame {stamp.index}, {stamp.source_s:.1f} s{why}"


def _versus(told: Report, versus: Comparison) -> Iterator[RenderableType]:
    differ = len(versus.differences)
    yield f"A and B say the same of {versus.pairs - differ} of {versus.pairs} inputs"
    yield table(versus, "A", "B")
    for one in versus.differences[:SHOWN]:
        yield f"frame {told.frame_of(one.place)}: {'; '.join(one.words)}"
    if differ > SHOWN:
        yield f"and {differ - SHOWN} more; --out writes all of them, with pictures"


def table(comparison: Comparison, first: str, second: str) -> Table:
    """Make the table by class."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("class", no_wrap=True)
    for name in (first, second, "both", "agree", "IoU", f"score {second} over {first}", "differs by"):
        made.add_column(name, justify="right", no_wrap=True)
    for row in comparison.rows:
        told = row.document()
        counts = (row.ours, row.theirs, row.both)
        made.add_row(row.label, *map(str, counts), f"{100 * row.agreement:.1f} %", *_numbers(told))
    return made


def _numbers(told: dict[str, float | None]) -> Sequence[str]:
    iou, shift, differs = (told[key] for key in ("iou", "score_shift", "score_difference"))
    return (
        "" if iou is None else f"{iou:.3f}",
        "" if shift is None else f"{shift:+.4f}",
        "" if differs is None else f"{differs:.4f}",
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
