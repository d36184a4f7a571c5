"""Real slow sensors with labelled faults: the Numenta Anomaly Benchmark's (https://github.com/numenta/NAB), judged as its users would.

A series goes through edged's own source, grid, calibration, engine and decoder. Every row of the file then has the score of the newest
window that had ended by its time; a row for which no window had ended within two steps has none, which counts as the lowest.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import numpy as np

from edged.assembly.calibrations import Records
from edged.assembly.learning import Learning
from edged.assembly.models import Opened, answering, open_rung
from edged.domain.errors import CalibratingError
from edged.domain.frame import Samples
from edged.domain.result import Anomaly
from edged.domain.variant import Rung
from edged.hardware.clock import SystemClock
from edged.pipeline.window import Windower
from edged.sources import csv as recorded
from edged.sources.gridded import gridded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edged.domain.bundle import Bundle
    from edged.domain.frame import Frame

DAY_S = 86_400.0
PROBATION = 0.15
"""Of a series, at its beginning: not judged."""
MAD_TO_SIGMA = 1.4826
ROLLING_ROWS = (24, 168, 1008, 2016)
FALSE_ALARM = 0.11
"""What one costs in the benchmark's standard profile, where a fault that is found early gives 1 and one that is not costs 1."""


@dataclass(frozen=True, slots=True)
class Series:
    """One file, and what its user would set: the grid, and how long it calibrates."""

    name: str
    words: str
    step_s: float
    late_s: float
    bridge_s: float
    calibrate_s: float


SERIES = (
    Series("ambient_temperature_system_failure", "room", 3600, 0, 6 * 3600, 42 * DAY_S),
    Series("machine_temperature_system_failure", "machine", 3600, 2 * 3600, 6 * 3600, 7 * DAY_S),
    Series("speed_7578", "road", 300, 0, 12 * 3600, 2 * DAY_S),
)
"""Of the machine no more than a week: the first labelled fault begins on its eighth day."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A file in order of time: seconds and values, and where each labelled window begins and ends, in seconds."""

    times_s: np.ndarray
    values: np.ndarray
    labelled_s: tuple[tuple[float, float], ...]

    @property
    def first(self) -> int:
        """The first row that is judged."""
        return int(PROBATION * len(self.times_s))

    @property
    def is_inside(self) -> np.ndarray:
        """Whether each row lies in a labelled window."""
        return np.any([(self.times_s >= begin) & (self.times_s <= end) for begin, end in self.labelled_s], axis=0)


@dataclass(frozen=True, slots=True)
class Answers:
    """What edged said: the windows' ends in seconds, their samples (n, length), scores, and the threshold that was learned."""

    times_s: np.ndarray
    windows: np.ndarray
    scores: np.ndarray
    threshold: float


def read_rows(folder: Path, name: str) -> Rows:
    """Read a series and its labels from a folder of the benchmark's files."""
    with (folder / f"{name}.csv").open(newline="") as lines:
        pairs = sorted((seconds(at), float(value)) for at, value in list(csv.reader(lines))[1:])
    labels = json.loads((folder / "NAB_combined_windows.json").read_text())
    (mine,) = (found for path, found in labels.items() if path.endswith(f"/{name}.csv"))
    times_s, values = np.array(pairs).T
    return Rows(times_s, values, tuple((seconds(begin), seconds(end)) for begin, end in mine))


def seconds(text: str) -> float:
    """Read the benchmark's time as Unix time."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()


def answers(bundle: Bundle, variant: str, series: Series, folder: Path, state: Path) -> Answers:
    """Let a variant calibrate itself on a series and judge the rest of it, as the daemon does."""
    (chosen,) = (one for one in bundle.manifest.variant if one.id == variant)
    rung = Rung(chosen, "cpu", 1, "chosen", "judged")
    opened = Opened(open_rung(bundle, rung), bundle, bundle.manifest.input, "", rung)
    learning = Learning(series.words, {}, series.calibrate_s, Records(state), SystemClock())
    ask = answering(learning.fitted(opened).model)
    found = []
    for frame in frames(bundle, series, folder):
        try:
            answer = ask(frame)
        except CalibratingError:
            continue
        assert isinstance(answer, Anomaly)  # noqa: S101 - the bundle's task
        found.append((frame.stamp.source_s, frame.data[:, 0], answer))
    opened.model.engine.close()
    if not found:
        message = f"cannot judge {series.name}: {learning.told()}, expected it to calibrate"
        raise ValueError(message)
    times_s, windows, said = zip(*found, strict=True)
    return Answers(np.array(times_s), np.stack(windows), np.array([one.score for one in said]), said[0].threshold)


def frames(bundle: Bundle, series: Series, folder: Path) -> Iterator[Frame]:
    """Cut a series into the bundle's windows."""
    window = bundle.manifest.input
    windower = Windower(window.length, window.stride, window.channels)  # type: ignore[union-attr] # no model of pictures
    inner = recorded.open_source(
        path=folder / f"{series.name}.csv", clock=SystemClock(), columns=("value",), time="timestamp", in_order=False
    )
    source = gridded(inner, step_s=series.step_s, late_s=series.late_s, bridge_s=series.bridge_s)
    while isinstance(samples := source.read(), Samples):
        yield from windower.push(samples)
    source.close()


def of_rows(rows: Rows, series: Series, given: Answers, scores: np.ndarray) -> np.ndarray:
    """Give each row the score of the newest window that had ended by its time, 0 where there is none."""
    newest = np.searchsorted(given.times_s, rows.times_s, "right") - 1
    age_s = rows.times_s - given.times_s[np.maximum(newest, 0)]
    return np.where((newest >= 0) & (age_s < 2 * series.step_s), scores[np.maximum(newest, 0)], 0.0)


# -- what it is held against


def robust_z(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Give the distance from the median in units of the median absolute deviation times 1.4826, both along the last axis of ``by``."""
    median = np.median(by, axis=-1)
    spread = np.median(np.abs(by - median[..., None]), axis=-1) * MAD_TO_SIGMA
    return np.abs(values - median) / np.maximum(spread, 1e-9)


def global_z(rows: Rows) -> np.ndarray:
    """Score each row by the median of the whole file, its future included."""
    return robust_z(rows.values, rows.values)


def rolling_z(rows: Rows) -> np.ndarray:
    """Score each row by the rows before it: so many as give the largest area."""
    found = [np.zeros(0)]
    for length in (one for one in ROLLING_ROWS if one <= len(rows.values) // 4):
        before = np.lib.stride_tricks.sliding_window_view(rows.values, length)[:-1]
        found.append(np.concatenate([np.zeros(length), robust_z(rows.values[length:], before)]))
    return max(found[1:], key=lambda scores: area(rows, scores))


# -- figures


def area(rows: Rows, scores: np.ndarray) -> float:
    """Give the share of pairs in which a row inside a labelled window scores above one outside, ties counting half (the area under ROC)."""
    is_inside, judged = rows.is_inside[rows.first :], scores[rows.first :]
    outside, inside = np.sort(judged[~is_inside]), judged[is_inside]
    below, up_to = (np.searchsorted(outside, inside, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(outside))


def benchmark(rows: Rows, scores: np.ndarray) -> float:
    """Give the benchmark's own score in its standard profile, 0 for finding nothing and 100 for perfection, at the best threshold.

    A window is worth what its first row above the threshold is: most at its beginning (Lavin and Ahmad 2015, arXiv:1510.03336). Every
    row above it outside of the windows costs.
    """
    worth, window = _worth(rows)
    order = rows.first + np.argsort(-scores[rows.first :], kind="stable")
    best: dict[int, float] = {}
    total, highest = 0.0, 0.0
    for place, row in enumerate(order):
        if window[row] < 0:
            total += worth[row]
        else:
            before = best.get(window[row], -1.0)
            best[window[row]] = max(before, worth[row])
            total += best[window[row]] - before
        is_threshold = place + 1 == len(order) or scores[order[place + 1]] < scores[row]
        highest = max(highest, total) if is_threshold else highest
    count = len({one for one in window if one >= 0})
    return 100 * highest / (2 * count)


def _worth(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Give what each row is worth where it is above the threshold, and the number of the window that it lies in, -1 outside."""
    worth, window = np.full(len(rows.times_s), -FALSE_ALARM), np.full(len(rows.times_s), -1)
    for number, (begin_s, end_s) in enumerate(rows.labelled_s):
        begin = max(rows.first, int(np.searchsorted(rows.times_s, begin_s)))
        end = int(np.searchsorted(rows.times_s, end_s, "right"))
        length = end - begin
        if length <= 0:
            continue
        inside = np.arange(begin, end)
        window[inside] = number
        worth[inside] = _sigmoid((inside - end) / length) / _sigmoid(-1.0)
        behind = np.arange(end, len(worth))
        position = (behind - end + 1) / max(length - 1, 1)
        worth[behind] = np.where(position > 3, -1.0, _sigmoid(position)) * FALSE_ALARM  # noqa: PLR2004 - as NAB has it
    return worth, window


def _sigmoid(position: np.ndarray | float) -> np.ndarray | float:
    return 2 / (1 + np.exp(5 * np.asarray(position))) - 1
