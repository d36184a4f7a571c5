"""Lines of text: whether they are samples that edged reads, and which of their parts are the channels. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edged.domain.tensor import Array
from edged.sources.framing import LineFramer
from edged.sources.layout import FLOAT32_MAX

DELIMITERS = (",", ";", "\t", " ")
USUAL = 0.9
"""The share of lines that has to be alike, and of lines in which a part has to be a number."""
LEAST_SHARE = 0.5
"""Of the bytes, in lines that are read: with fewer it is another format."""
MOST_LABELS = 0.5
"""Of a line's parts: with more words than numbers it is a report for people."""
UNITS = {1.0: 1.0, 1e3: 1e-3, 1e6: 1e-6}
"""How much a clock moves on in a second, by its unit, and what makes seconds of it."""
UNIT_ERROR = 2.0
"""Units lie a thousand apart; the time that a short piece of a line took is known far worse."""
STEADY = 0.5
"""Standard deviation of a clock's steps over their mean."""
MOST_COLUMNS, MOST_DEPTH = 256, 16
LEAST_STEPS = 3
"""Fewer show no rule."""
_KEY = re.compile(r"[^.\[\]]+")

Use = Literal["channel", "time", "counter", "label"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a sample. ``scale`` makes seconds of a time."""

    name: str
    use: Use
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Lines:
    """Samples in lines. ``share`` is how many of the bytes belong to whole ones, 0..1."""

    format: Literal["csv", "jsonl"]
    delimiter: str
    parts: tuple[Part, ...]
    share: float
    count: int


def lines_of(data: bytes) -> list[bytes]:
    """Give the whole lines, as the daemon cuts them: what comes before the first line end is left out."""
    return [found.payload for found in LineFramer().feed(data) if found.payload is not None]


def read_lines(data: bytes, seconds: float) -> Lines | None:
    """Find out what lines hold that came in so many seconds; None when no format of edged's reads most of them."""
    lines = lines_of(data)
    if not lines:
        return None
    found = [_documents(lines, seconds), *(_columns(lines, delimiter, seconds) for delimiter in DELIMITERS)]
    sound = [one for one in found if one is not None and one.share > LEAST_SHARE]
    # Of two ways to cut a line the one with more parts says more.
    return max(sound, key=lambda one: (round(one.share, 1), len(one.parts)), default=None)


def _documents(lines: Sequence[bytes], seconds: float) -> Lines | None:
    documents = [_parsed(line) for line in lines]
    whole = [one for one in documents if isinstance(one, dict | list)]
    if not whole:
        return None
    numbers = [dict(_leaves(one, "")) for one in whole]
    held = Counter(path for one in numbers for path in one)
    paths = [path for path in numbers[0] if held[path] >= USUAL * len(whole)][:MOST_COLUMNS]
    if not paths:
        return None
    rows = [[one[path] for path in paths] for one in numbers if all(path in one for path in paths)]
    size = sum(len(line) for line, one in zip(lines, documents, strict=True) if isinstance(one, dict | list))
    return Lines("jsonl", ",", _parts(paths, np.array(rows, np.float64), seconds), _share(size, lines), len(rows))


def _leaves(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, float]]:
    """Give the numbers of a document with their paths, as edged's own paths name them."""
    if isinstance(value, dict | list) and depth < MOST_DEPTH:
        inner = value.items() if isinstance(value, dict) else ((f"[{index}]", one) for index, one in enumerate(value))
        for key, one in inner:
            if isinstance(value, list):
                yield from _leaves(one, path + key, depth + 1)
            elif _KEY.fullmatch(key) and key.isprintable():
                yield from _leaves(one, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= FLOAT32_MAX:
        yield path or "$", float(value)


def _columns(lines: Sequence[bytes], delimiter: str, seconds: float) -> Lines | None:
    cut = [line.split(None if delimiter == " " else delimiter.encode()) for line in lines]
    (width, alike), *_ = Counter(len(one) for one in cut).most_common(1)
    rows = [one for one in cut if len(one) == width]
    if alike < USUAL * len(cut) or width > MOST_COLUMNS or width < (1 if delimiter == "," else 2):
        return None
    columns = [[number(one[at]) for one in rows] for at in range(width)]
    is_number = [sum(value is not None for value in column) >= USUAL * len(column) for column in columns]
    if sum(is_number) < (1 - MOST_LABELS) * width:
        return None
    names = list(_names(rows, is_number))
    sound = [row for row, values in zip(rows, zip(*columns, strict=True), strict=True) if _is_sound(values, is_number)]
    values = np.array([[number(one[at]) for at in range(width) if is_number[at]] for one in sound], np.float64)
    parts = iter(_parts([name for name, holds in zip(names, is_number, strict=True) if holds], values, seconds))
    told = tuple(next(parts) if holds else Part(name, "label") for name, holds in zip(names, is_number, strict=True))
    size = sum(len(line) for line, one in zip(lines, cut, strict=True) if one in sound)
    return Lines("csv", delimiter, told, _share(size, lines), len(sound))


def number(text: bytes) -> float | None:
    """Read a number that the daemon takes; None when it is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= FLOAT32_MAX else None


def _is_sound(values: Sequence[float | None], is_number: Sequence[bool]) -> bool:
    return all(value is not None for value, holds in zip(values, is_number, strict=True) if holds)


def _names(rows: Sequence[Sequence[bytes]], is_number: Sequence[bool]) -> Iterator[str]:
    """Name the columns: by a line of names, by the label before a number, or by their places. Each name comes once."""
    heads = [row for row in rows if all(number(text) is None and text.strip() for text in row)]
    seen: set[str] = set()
    for at, holds in enumerate(is_number):
        told = heads[0][at] if heads and all(is_number) else b""
        if not told and holds and at and not is_number[at - 1]:
            told = rows[0][at - 1]
        name = re.sub(r"[^A-Za-z0-9_]+", "_", told.decode("ascii", "ignore")).strip("_")
        name = name if name[:1].isalpha() else f"c{at + 1}"
        while name in seen:
            name += "_"
        seen.add(name)
        yield name


def _parts(names: Sequence[str], values: Array, seconds: float) -> tuple[Part, ...]:
    """Say what each of the numbers is for; ``values`` is (samples, numbers) float64. One channel is left at least."""
    parts = [_part(name, values[:, at], seconds) for at, name in enumerate(names)]
    if all(part.use != "channel" for part in parts):
        parts[-1] = Part(parts[-1].name, "channel")
    return tuple(_one_clock(parts))


def _one_clock(parts: Sequence[Part]) -> Iterator[Part]:
    """Keep the first of several clocks; the others are channels like any."""
    has_clock = False
    for part in parts:
        yield Part(part.name, "channel") if part.use == "time" and has_clock else part
        has_clock = has_clock or part.use == "time"


def _part(name: str, column: Array, seconds: float) -> Part:
    steps = np.diff(column)
    if len(steps) < LEAST_STEPS or not steps.any():
        return Part(name, "channel")
    if (steps == 1).all():
        return Part(name, "counter")
    is_clock = (steps >= 0).all() and steps.std() < STEADY * steps.mean()
    pace = float(column[-1] - column[0]) / seconds if seconds > 0 else 0.0
    unit = next((one for one in UNITS if one / UNIT_ERROR < pace < one * UNIT_ERROR), None) if is_clock else None
    return Part(name, "channel") if unit is None else Part(name, "time", UNITS[unit])


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _share(size: int, lines: Sequence[bytes]) -> float:
    return size / max(1, sum(map(len, lines)))
