"""What older configurations say otherwise than today's: one row a change, and how a file is brought forward.

No release has renamed a key yet. What has changed is what values mean: the ids of variants that pipelines pin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgectl.config.lines import lines_of
from edged.config.placed import Placed, plain
from edged.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Change:
    """Values of a pipeline's ``key`` that have another name today, for pipelines with this ``model``."""

    model: str
    key: str
    values: Mapping[str, str]
    why: str


CHANGES: tuple[Change, ...] = (
    Change(
        model="parts",
        key="pin",
        values={name: f"small-{name}" for name in ("tflite-fp32", "tflite-int8", "onnx-fp32")},
        why="parts 2.0.0 comes in two sizes; small looks at pictures of the size that 1.0.0 looked at",
    ),
)


@dataclass(frozen=True, slots=True)
class Edit:
    """One value that becomes another one."""

    file: Path
    line: int
    key: str
    old: str
    new: str
    why: str


def edits(whole: Placed, variants: Mapping[str, Sequence[str]]) -> Iterator[Edit]:
    """Give what has to be changed; ``variants`` are the ids that each installed model has: one that still has the old id keeps it."""
    pipelines: list[Placed] = whole.value["pipeline"].value if "pipeline" in whole.value else []
    lines: dict[Path, dict[str, int]] = {}
    for pipeline in pipelines:
        document = plain(pipeline)
        for change in CHANGES:
            old = document.get(change.key)
            if (
                document.get("model") != change.model
                or old not in change.values
                or old in variants.get(change.model, ())
            ):
                continue
            placed: Placed = pipeline.value[change.key]
            if placed.file not in lines:
                lines[placed.file] = lines_of(placed.file.read_text(encoding="utf-8-sig"))
            line = lines[placed.file][placed.key]
            yield Edit(placed.file, line, placed.key, old, change.values[old], change.why)


def changed(text: str, made: Sequence[Edit]) -> str:
    """Give a file's text with the edits made, and everything else as it was.

    Raises ConfigError where a line does not say what its key was read as (text over several lines, escapes).
    """
    lines = text.split("\n")
    for edit in made:
        before = lines[edit.line - 1]
        written = next((quoted for quote in "\"'" if before.count(quoted := f"{quote}{edit.old}{quote}") == 1), None)
        if written is None:
            message = f"cannot change {edit.file}:{edit.line}: {edit.key} is not written there plainly, expected {edit.old!r} once"
            raise ConfigError(message, remedy=f"write {edit.new!r} there by hand")
        lines[edit.line - 1] = before.replace(written, f"{written[0]}{edit.new}{written[0]}")
    return "\n".join(lines)
