"""Recorded sensor files: one sample a line, numbers between delimiters."""

from __future__ import annotations

import csv
import difflib
import glob
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

import numpy as np

from edged.domain.errors import ConfigError, SourceLostError
from edged.domain.frame import Samples, Stamp
from edged.domain.ports import Clock
from edged.sources import faults
from edged.telemetry import logs

BLOCK_SAMPLES = 64
"""Samples a read: large enough that a block's cost does not show, small enough that a recording plays smoothly."""

BOUNDARY_STEPS = 10
"""How far the source's time jumps between two files, so that no window spans them (a gap is above 3 steps)."""

MAX_LINE_CHARS = 1 << 17
"""The longest line that is read at once: a file that is no text may have no line end in its first gigabyte."""

TOO_LONG = f"a line of more than {MAX_LINE_CHARS} characters"

MALFORMED_LIMIT = 100
"""So many unreadable lines are passed over; beyond, the file is not what it was taken for."""

_LOG = logging.getLogger("edged.sources.csv")


def open_source(
    *,
    path: Path | str,
    clock: Clock,
    columns: Sequence[str | int] = (),
    time: str | int | None = None,
    rate_hz: float | None = None,
    loop: bool = False,
    delimiter: str = ",",
    in_order: bool = True,
) -> CsvSource:
    """Find the files and open the first.

    Args:
        path: a file, a folder (its ``*.csv``) or a pattern; several are read in name order.
        clock: stamps the blocks.
        columns: the channels in the model's order: names, or numbers from 0. In a file without a head line, names are
            given to its columns in order. Empty: every column but the time's.
        time: the column with each sample's time: seconds, or ISO 8601 (UTC where it names no offset).
        rate_hz: samples a second, where no column tells the time.
        loop: begin again at the end; the source's time goes on.
        delimiter: the character between two columns.
        in_order: leave out samples whose time is not after the one before; otherwise they come as they stand in the file.

    Raises:
        ConfigError: no such file, no such column, or nothing tells the samples' time.
    """
    if time is None and not rate_hz:
        message = f"cannot date the samples of {path}: no time column and no rate, expected one of them"
        raise ConfigError(message, remedy="set time or rate_hz in the source's section")
    layout = _Layout(tuple(columns), time, 1 / rate_hz if rate_hz else None, delimiter, in_order)
    return CsvSource(_find(Path(path)), clock, layout, where=str(path), loop=loop)


@dataclass(frozen=True, slots=True)
class _Layout:
    columns: tuple[str | int, ...]
    time: str | int | None
    step_s: float | None
    delimiter: str
    in_order: bool


class _MissingError(ValueError):
    """A sample without a value. However many there are, the file is what it was taken for: its sensor was silent."""


class CsvSource:
    """Blocks of up to 64 samples; a block never spans two files.

    Dropped rows are counted in ``drops``: ``malformed`` (fields missing, no number), ``missing`` (a value that was left empty) and
    ``unordered`` (a time that is not after the one before).
    """

    def __init__(self, files: Sequence[Path], clock: Clock, layout: _Layout, *, where: str, loop: bool) -> None:
        self.drops: Counter[str] = Counter()
        self._files = tuple(files)
        self._clock = clock
        self._layout = layout
        self._where = where
        self._loop = loop
        self._samples = 0
        self._last_s: float | None = None
        self._step_s = layout.step_s or 1.0
        self._closed = False
        self._blocks = self._all_blocks()
        self._first = next(self._blocks, None)
        if self._first is None:
            message = f"cannot read samples from {where}: no line of numbers, expected at least one"
            raise ConfigError(message)

    def read(self) -> Samples | None:
        """Give the next samples.

        Raises:
            SourceLostError: a file cannot be read on, or too many of its lines are malformed.
        """
        if self._closed:
            return None
        first, self._first = self._first, None
        return first or next(self._blocks, None)

    def close(self) -> None:
        """Stop. The open file is closed with the source itself: another thread may be reading from it."""
        self._closed = True

    def __repr__(self) -> str:
        """Say where it reads and what it passed over."""
        return (
            f"<CsvSource {self._where}: {self._samples} samples of {len(self._files)} files, drops {dict(self.drops)}>"
        )

    def _all_blocks(self) -> Iterator[Samples]:
        while True:
            before = self._samples
            for file in self._files:
                yield from self._file_blocks(file)
            if not self._loop or self._samples == before:
                return

    def _file_blocks(self, file: Path) -> Iterator[Samples]:
        shift_s: float | None = None
        times: list[float] = []
        rows: list[list[float]] = []
        for at_s, row in self._rows(file):
            if shift_s is None:  # without a time column, a file's own time begins at 0
                shift_s = self._shift(at_s)
            shifted_s = at_s + shift_s
            if self._last_s is None or shifted_s > self._last_s:
                self._last_s = shifted_s
            elif self._layout.in_order:
                self.drops["unordered"] += 1
                continue
            times.append(shifted_s)
            rows.append(row)
            if len(rows) == BLOCK_SAMPLES:
                yield self._block(times, rows)
                times, rows = [], []
        if rows:
            yield self._block(times, rows)

    def _shift(self, first_s: float) -> float:
        """Give what is added to a file's times: nothing, unless that would leave no gap to the file before."""
        if self._last_s is None:
            return 0.0
        return max(0.0, self._last_s + BOUNDARY_STEPS * self._step_s - first_s)

    def _block(self, times: list[float], rows: list[list[float]]) -> Samples:
        self._samples += len(rows)
        times_s = np.asarray(times, np.float64)
        if len(times) > 1:
            self._step_s = float(np.median(np.diff(times_s)))
        stamp = Stamp(self._samples - 1, self._clock.monotonic_ns(), self._clock.wall_ns(), times[-1])
        with np.errstate(
            over="ignore"
        ):  # a sensor's 1e39 becomes infinite: its windows are unknown, the next ones are not
            values = np.asarray(rows, np.float32)
        return Samples(values, times_s, stamp)

    def _rows(self, file: Path) -> Iterator[tuple[float, list[float]]]:
        try:
            with file.open(newline="", encoding="utf-8-sig", errors="replace") as lines:
                yield from self._parsed(file, lines)
        except OSError as error:
            message = f"cannot read {file}: {error.strerror}, expected a readable file"
            raise self._fault(message) from error

    def _parsed(self, file: Path, lines: TextIO) -> Iterator[tuple[float, list[float]]]:
        reader = csv.reader(_bounded(lines), delimiter=self._layout.delimiter)
        parse: Callable[[list[str], int], tuple[float, list[float]]] | None = None
        number = 0
        malformed = 0
        for fields in _split(reader):
            if not any(fields) or fields[0].lstrip().startswith("#"):
                continue
            if parse is None and fields[0] == TOO_LONG:
                message = f"cannot read {file}: it begins with {TOO_LONG}, expected lines of numbers"
                raise self._fault(message)
            if parse is None:
                parse, has_head = _parser(file, fields, self._layout)
                if has_head:
                    continue
            try:
                sample = parse(fields, number)
            except _MissingError:
                self.drops["missing"] += 1
                continue
            except (ValueError, IndexError):
                malformed += 1
                self._pass_over(file, reader.line_num, fields, malformed)
                continue
            finally:
                number += 1
            yield sample

    def _pass_over(self, file: Path, line: int, fields: list[str], malformed: int) -> None:
        self.drops["malformed"] += 1
        text = self._layout.delimiter.join(fields)[:80]
        if malformed == 1:
            logs.event(_LOG, "line.malformed", level=logging.WARNING, path=str(file), line=line, text=text)
        if malformed > MALFORMED_LIMIT:
            message = f"cannot read {file}: line {line} is {text!r} and the {malformed}th like it, expected numbers"
            raise self._fault(message, "look at the file and at the source's columns")

    def _fault(self, message: str, remedy: str = "") -> ConfigError | SourceLostError:
        """Before the first block it is the file that is wrong; later the source is lost."""
        return (SourceLostError if self._samples else ConfigError)(message, remedy=remedy)


def _bounded(lines: TextIO) -> Iterator[str]:
    """Give each line; in place of one that is longer than can be held, a word that is no number.

    A line that goes on and on gives more such words: the file is given up then, instead of being read to its end.
    """
    pieces = 0
    while piece := lines.readline(MAX_LINE_CHARS):
        goes_on = len(piece) == MAX_LINE_CHARS and not piece.endswith(("\r", "\n"))
        if not pieces or pieces > MALFORMED_LIMIT:
            yield f"{TOO_LONG}\n" if goes_on else piece
        pieces = pieces + 1 if goes_on else 0


def _split(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """Give each line's fields; a line that the csv module refuses (a field beyond its limit) is one field, and no number."""
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fields = [str(error)]
        yield fields


def _find(path: Path) -> list[Path]:
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # is_dir of Python 3.14 does not tell "denied" from "absent"
        files, wanted = _files(path)
    except OSError as error:
        message = f"cannot open {path}: {error.strerror}, expected files that edged may read"
        raise ConfigError(message, remedy=faults.UNREADABLE) from error
    if not files:
        message = f"cannot open {path}: no such file, expected {wanted}"
        raise ConfigError(message)
    return files


def _files(path: Path) -> tuple[list[Path], str]:
    """Give the files, and what would have been one."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix == ".csv"), "files that end in .csv"
    if glob.has_magic(str(path)) and not path.exists():
        # The pattern may be absolute, which pathlib's own does not take.
        return sorted(Path(name) for name in glob.glob(str(path))), "files that match the pattern"  # noqa: PTH207
    return [path] if path.is_file() else [], "a file, a folder or a pattern"


def _parser(
    file: Path, first: list[str], layout: _Layout
) -> tuple[Callable[[list[str], int], tuple[float, list[float]]], bool]:
    """Build what turns a line's fields and its number into a time and values, and say whether ``first`` is a head."""
    fields = [field.strip() for field in first]
    has_head = not any(_is_value(field) for field in fields) or any(column in fields for column in layout.columns)
    if has_head:
        names = fields
    else:
        names = [str(column) for column in layout.columns if isinstance(column, str)] or [
            str(i) for i in range(len(fields))
        ]
    time_at = None if layout.time is None else _index(file, layout.time, names)
    chosen = layout.columns or tuple(range(len(names)))
    places = [place for place in (_index(file, column, names) for column in chosen) if place != time_at]
    step_s = layout.step_s or 0.0

    def parse(line: list[str], number: int) -> tuple[float, list[float]]:
        at_s = number * step_s if time_at is None else _seconds(line[time_at])
        texts = [line[place] for place in places]
        try:
            values = [float(text) for text in texts]
        except ValueError:
            if not all(map(str.strip, texts)):
                raise _MissingError from None
            raise
        if not all(map(math.isfinite, values)):
            raise ValueError(line)
        return at_s, values

    return parse, has_head


def _index(file: Path, column: str | int, names: Sequence[str]) -> int:
    if isinstance(column, int):
        return column
    if column in names:
        return names.index(column)
    near = difflib.get_close_matches(column, names, 1)
    hint = f"the nearest is {near[0]!r}" if near else ""
    message = f"cannot find column {column!r} in {file}: its columns are {', '.join(names)}, expected one of them"
    raise ConfigError(message, remedy=hint)


def _is_value(field: str) -> bool:
    try:
        _seconds(field)
    except ValueError:
        return False
    return True


def _seconds(field: str) -> float:
    """Read a number of seconds, or an ISO 8601 date and time as Unix time.

    Raises:
        ValueError: it is neither.
    """
    try:
        seconds = float(field)
    except ValueError:
        text = field.strip()
        # Python 3.10 does not know the Z of ISO 8601.
        moment = datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    if not math.isfinite(seconds):
        raise ValueError(field)
    return seconds
