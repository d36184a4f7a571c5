"""Judge the bundle on real sensors: ``PYTHONPATH=. python models/sensor-forecast/judge.py FOLDER`` writes the README's table and plot.

FOLDER holds the Numenta Anomaly Benchmark's series that ``numenta.py`` names, and its labels.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numenta import DAY_S, SERIES, answers, area, benchmark, global_z, of_rows, read_rows, robust_z, rolling_z

from edged.update.manifest import read_bundle
from models import packing

if TYPE_CHECKING:
    from numenta import Answers, Rows, Series

    from edged.domain.bundle import Bundle

FOLDER = Path(__file__).parent
MARK = "<!-- the Numenta series: written by judge.py -->"


def main(folder: Path) -> None:
    """Judge every variant on every series; write table and plot."""
    bundle = read_bundle(FOLDER)
    scores: dict[str, list[str]] = {}
    shown = []
    for series in SERIES:
        rows = read_rows(folder, series.name)
        for name, text, given in judged(bundle, series, rows, folder):
            scores.setdefault(name, []).append(text)
            shown += [(series, rows, given)] if name == bundle.manifest.variant[0].id else []
    head = ["", *(f"{one.words}: area, benchmark, above outside" for one in SERIES)]
    write(packing.table(head, [[name, *texts] for name, texts in scores.items()]))
    plot(shown, FOLDER / "numenta.png")


def judged(bundle: Bundle, series: Series, rows: Rows, folder: Path) -> list[tuple[str, str, Answers]]:
    """Give each variant's figures on a series, and those of what it is held against."""
    found = []
    for variant in bundle.manifest.variant:
        with tempfile.TemporaryDirectory() as state:
            given = answers(bundle, variant.id, series, folder, Path(state))
        scores = of_rows(rows, series, given, given.scores)
        outside = scores[rows.first :][~rows.is_inside[rows.first :]]
        share = float((outside > given.threshold).mean())
        found.append((variant.id, f"{_figures(rows, scores)}, {share:.3f}", given))
    calibrated = rows.values[rows.times_s <= given.times_s[0]]
    smooth = {
        name: np.square(robust_z(given.windows, by[None])).mean(axis=1)
        for name, by in (("calibration", calibrated), ("file", rows.values))
    }
    others = {
        "robust z, whole file": global_z(rows),
        "robust z, rolling": rolling_z(rows),
        "mean square of robust z over the window, by the calibration": of_rows(
            rows, series, given, smooth["calibration"]
        ),
        "the same, by the whole file": of_rows(rows, series, given, smooth["file"]),
    }
    return found + [(name, _figures(rows, scores), given) for name, scores in others.items()]


def _figures(rows: Rows, scores: np.ndarray) -> str:
    return f"{area(rows, scores):.3f}, {benchmark(rows, scores):.0f}"


def write(table: str) -> None:
    """Replace what stands between the mark and the recipe's figures in the README."""
    readme = FOLDER / "README.md"
    before, _, behind = readme.read_text(encoding="utf-8").partition(MARK)
    _, mark, figures = behind.partition(packing.FIGURES_MARK)
    readme.write_text(f"{before}{MARK}\n\n{table}\n\n![values and scores](numenta.png)\n\n{mark}{figures}", "utf-8")


def plot(shown: list[tuple[Series, Rows, Answers]], file: Path) -> None:
    """Draw each series above its scores, with the labelled windows behind both."""
    figure = Figure(figsize=(10, 9), layout="constrained")
    axes = figure.subplots(2 * len(shown), 1, height_ratios=[2, 1] * len(shown))
    for (series, rows, given), value, score in zip(shown, axes[::2], axes[1::2], strict=True):
        start_s = rows.times_s[0]
        value.plot((rows.times_s - start_s) / DAY_S, rows.values, color="tab:blue", linewidth=0.5)
        score.plot((given.times_s - start_s) / DAY_S, given.scores, ".", color="tab:orange", markersize=1.5)
        score.axhline(given.threshold, color="black", linewidth=0.8)
        score.set(yscale="log", ylabel="score", xlabel="days")
        value.set(ylabel=series.words)
        for axis in (value, score):
            axis.axvline((rows.times_s[rows.first] - start_s) / DAY_S, color="grey", linestyle=":")
            axis.set_xlim(0, (rows.times_s[-1] - start_s) / DAY_S)
            for begin_s, end_s in rows.labelled_s:
                axis.axvspan((begin_s - start_s) / DAY_S, (end_s - start_s) / DAY_S, color="tab:red", alpha=0.2)
    figure.savefig(file, dpi=75, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
