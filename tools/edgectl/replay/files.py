"""What ``edgectl replay --out`` leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edgectl.plain import as_json
from edgectl.replay import sheet
from edgectl.replay.compare import various
from edgectl.replay.report import Report, Side, output_then, paired
from edged.domain.errors import ConfigError
from edged.domain.result import ModelRef, Output
from edged.fleet.documents import event_body, result_body
from edged.fleet.topics import Stamper
from edged.hardware.clock import SystemClock

MOST_SHOWN = 12
"""On a contact sheet: what a person looks through; the report has them all."""


def write(folder: Path, told: Report) -> list[Path]:
    """Write everything. Raises ConfigError when the folder cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [*_texts(folder, told), *_pictures(folder, told)]
    except (OSError, ValueError) as error:
        message = f"cannot write to {folder}: {error}, expected a folder that takes it"
        raise ConfigError(message, remedy="name another with --out") from error


def _texts(folder: Path, told: Report) -> Iterable[Path]:
    stamper = Stamper(str(told.clip.manifest.get("boot_id", "")), SystemClock())
    yield _write(folder / "report.json", as_json(told.document()))
    for name, side in (("", told.ours), ("against-", told.theirs)):
        if side is not None:
            yield _write(folder / f"{name}results.ndjson", _lines(_results(side, stamper)))
            yield _write(folder / f"{name}events.ndjson", _lines(_events(side, stamper)))


def _pictures(folder: Path, told: Report) -> Iterable[Path]:
    clip = told.clip
    if told.theirs is None or told.versus is None:
        names, shown = ("the box", "now"), told.then.comparison.differences
        answers = output_then(clip), _by_place(told)
    else:
        names, shown = (_name("A", told.ours), _name("B", told.theirs)), told.versus.differences
        pairs = list(paired(clip, told.ours.played, told.theirs.played))
        answers = {place: one.output for place, one, _ in pairs}, {place: other.output for place, _, other in pairs}
    if not clip.shows_pictures:
        theirs = told.theirs.played.results if told.theirs is not None else ()
        sheet.scores(folder / "scores.png", clip, told.ours.played.results, theirs, names if theirs else ("now", ""))
        yield folder / "scores.png"
    elif shown:
        sheet.sheet(folder / "disagreements.png", clip, various(shown, MOST_SHOWN), answers, names)
        yield folder / "disagreements.png"


def _by_place(told: Report) -> Mapping[int, Output | None]:
    return {place: one.output for place, one, _ in paired(told.clip, told.ours.played, told.ours.played)}


def _name(letter: str, side: Side) -> str:
    model: ModelRef = side.played.model
    return f"{letter}: {model.name} {model.version} {model.variant}"


def _results(side: Side, stamper: Stamper) -> Iterable[dict[str, Any]]:
    return (result_body(one, stamper) for one in side.played.results)


def _events(side: Side, stamper: Stamper) -> Iterable[dict[str, Any]]:
    return (event_body(one, stamper) for one in side.played.events)


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n" for row in rows)


def _write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file
