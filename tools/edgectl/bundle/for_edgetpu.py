"""``bundle quantize --edgetpu``: every int8 TFLite file that passed, made now or there before, compiled for the Edge TPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgectl.bundle import edgetpu
from edgectl.bundle.edit import Addition
from edgectl.bundle.judge import Verdict
from edgectl.bundle.work import Row, Work, accuracy_of
from edged.domain.bundle import Variant
from edged.domain.errors import BundleError

ENDING = "-edgetpu"


@dataclass(frozen=True, slots=True)
class _Int8:
    """What is compiled. ``source`` is the variant whose input, output and layout it has."""

    source: Variant
    file: str
    content: bytes
    accuracy: Mapping[str, Any] | None


def compiled(
    work: Work, compiler: str, rows: Sequence[Row], additions: Sequence[Addition]
) -> tuple[list[Row], list[Addition]]:
    """Compile what stands in ``rows`` as an int8 TFLite file; a row for each, and what came of it.

    ``additions`` are what was made now. What is there already is left alone, and what failed its gate is not compiled: the row says so.
    """
    found: list[Row] = []
    made: list[Addition] = []
    for row in rows:
        if (row.runtime, row.precision) != ("tflite", "int8"):
            continue
        one = _present(work, row) or _refused(row) or _compiled(work, compiler, row, additions)
        made += [one] if isinstance(one, Addition) else []
        found.append(_row(row, "written", len(one.content)) if isinstance(one, Addition) else one)
    return found, made


def _present(work: Work, row: Row) -> Row | None:
    there = next((one for one in work.bundle.manifest.variant if one.id == row.id + ENDING), None)
    return _row(row, "present", work.bundle.path_of(there).stat().st_size) if there else None


def _refused(row: Row) -> Row | None:
    return _row(row, "refused", 0, f"not compiled, since {row.id} failed") if row.verdict.fault else None


def _compiled(work: Work, compiler: str, row: Row, additions: Sequence[Addition]) -> Addition | Row:
    """Compile what passed. The result runs on an Edge TPU only, so that its figures are those of the file it was made from."""
    name, int8 = row.id + ENDING, _int8(work, row, additions)
    work.tell(f"{name}: compiled")
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder, Path(int8.file).name)
            file.write_bytes(int8.content)
            made = edgetpu.compile_file(compiler, file, Path(folder))
            content = made.file.read_bytes()
    except BundleError as error:
        # The others are good, and stay.
        return _row(row, "refused", 0, str(error.args[0]))
    counts = f"; {made.on_edgetpu} operators on the Edge TPU, {made.on_cpu} on the CPU"
    note = f"compiled from {row.id}, whose figures it has{counts if made.on_edgetpu is not None else ''}"
    target = Path(int8.file).with_name(made.file.name).as_posix()
    return Addition(int8.source, name, target, content, "int8", ("edgetpu",), int8.accuracy, note)


def _int8(work: Work, row: Row, additions: Sequence[Addition]) -> _Int8:
    """Give what was made now, or what the bundle has."""
    measured = accuracy_of(work, row.verdict)
    for one in additions:
        if one.id == row.id:
            return _Int8(one.source, one.file, one.content, measured)
    there = next(one for one in work.bundle.manifest.variant if one.id == row.id)
    kept = there.accuracy.model_dump(mode="json") if there.accuracy else measured
    return _Int8(there, there.file, work.bundle.path_of(there).read_bytes(), kept)


def _row(row: Row, state: str, size_bytes: int, fault: str = "") -> Row:
    """Say what became of it; what an Edge TPU makes of it nobody has judged here."""
    return Row(row.id + ENDING, "tflite", "int8", state, Verdict(None, None, 0.0, size_bytes, fault))
