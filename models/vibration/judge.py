"""Judge the bundle on recordings of a real fan: ``python -m models.vibration.judge FOLDER`` writes the README's table and plot.

FOLDER holds a folder for each state of the machine, each with files of x, y, z in g at 200 samples a second, without a head line. The box
calibrates itself on the first ``CALIBRATION_S`` of ``NORMAL``; the rest of it and the other states are judged. Training saw none of them.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from edged.assembly.calibrations import Records
from edged.assembly.learning import Learning, scorer
from edged.assembly.models import Opened, answering, open_rung
from edged.domain.bundle import Bundle, WindowInput
from edged.domain.errors import CalibratingError
from edged.domain.frame import Frame, Samples
from edged.domain.result import Anomaly
from edged.hardware.clock import SystemClock
from edged.pipeline.calibration import learn
from edged.pipeline.window import Windower
from edged.sources import csv
from edged.update.manifest import read_bundle
from models import packing
from models.vibration.recipe import area_under_curve, rung

FOLDER = Path(__file__).parent
NORMAL = "fan_0_low_0_weight"
FAULTS = {
    "fan_0_low_1_weight": "a weight on a blade",
    "fan_0_high_0_weight": "high speed",
    "fan_0_off_0_weight": "standing still",
}
RATE_HZ = 200
CALIBRATION_S = 20.0
"""There are 30 s of normal running, not the minute that a user would give."""
MARK = "<!-- the ceiling fan: written by judge.py -->"
COLOURS = ("tab:blue", "tab:orange", "tab:red", "tab:purple")


def main(folder: Path) -> None:
    """Judge every variant; write table and plot."""
    bundle = read_bundle(FOLDER)
    rows, shown = [], None
    for variant in bundle.manifest.variant:
        threshold, scores = judged(bundle, variant.id, folder)
        shown = shown or (threshold, scores)
        areas = [f"{area_under_curve(scores[NORMAL], scores[fault]):.4f}" for fault in FAULTS]
        rows.append([variant.id, *areas, *(float((one > threshold).mean()) for one in scores.values())])
    if shown is None:
        sys.exit(f"cannot judge {FOLDER}: it holds no variant")
    head = ["variant", *(f"AUC: {words}" for words in FAULTS.values())]
    head += [f"above: {words}" for words in ("normal", *FAULTS.values())]
    counts = ", ".join(f"{len(shown[1][name])} {words}" for name, words in {NORMAL: "normal", **FAULTS}.items())
    said = f'Windows judged: {counts}. "Above" is the share of windows above the threshold that was learned.'
    write(f"{said}\n{rotated(bundle, folder)}", packing.table(head, rows))
    plot(*shown, FOLDER / "ceiling-fan.png")


def judged(bundle: Bundle, variant: str, folder: Path) -> tuple[float, dict[str, np.ndarray]]:
    """Calibrate a variant and judge every state, as the daemon does; gives the threshold and the scores by state, in order of time."""
    model = open_rung(bundle, rung(bundle, variant))
    opened = Opened(model, bundle, bundle.manifest.input, "", rung(bundle, variant))
    with tempfile.TemporaryDirectory() as state:
        learning = Learning("fan", {}, CALIBRATION_S, Records(Path(state)), SystemClock())
        ask = answering(learning.fitted(opened).model)
        answers = {name: [] for name in (NORMAL, *FAULTS)}
        for name, found in answers.items():
            for frame in windows(bundle, folder / name):
                try:
                    found.append(ask(frame))
                except CalibratingError:
                    continue
    model.engine.close()
    (threshold,) = {one.threshold for found in answers.values() for one in found if isinstance(one, Anomaly)}
    return threshold, {name: np.array([one.score for one in found]) for name, found in answers.items()}


def rotated(bundle: Bundle, folder: Path) -> str:
    """Judge each third of the normal recording by what the other two taught: which third it was must not matter."""
    model = open_rung(bundle, rung(bundle, "tflite-fp32"))
    score, path = scorer(bundle, model), model.preprocess
    rows = {
        name: np.stack([path.features(frame) for frame in windows(bundle, folder / name)]).astype(np.float32)
        for name in (NORMAL, *FAULTS)
    }
    thirds, areas, above = np.array_split(rows[NORMAL], 3), [], []
    for at, held in enumerate(thirds):
        learned = learn(np.concatenate(thirds[:at] + thirds[at + 1 :]), bundle.manifest.calibration, score)
        if isinstance(learned, str):
            sys.exit(learned)
        normal = score(learned.normalisation, held)
        areas += [area_under_curve(normal, score(learned.normalisation, rows[fault])) for fault in FAULTS]
        above += list(normal > learned.threshold)
    model.engine.close()
    return (
        f"With each third of the normal recording judged in turn by what the other two taught (tflite-fp32) the lowest AUC is "
        f"{min(areas):.4f}, and {sum(above)} of {len(above)} normal windows lie above their threshold."
    )


def windows(bundle: Bundle, folder: Path) -> Iterator[Frame]:
    """Cut a folder of recordings; no window spans two files."""
    window = bundle.manifest.input
    if not isinstance(window, WindowInput):
        sys.exit("cannot judge a model of pictures")
    windower = Windower(window.length, window.stride, window.channels)
    source = csv.open_source(path=folder, clock=SystemClock(), columns=("x", "y", "z"), rate_hz=RATE_HZ)
    while isinstance(samples := source.read(), Samples):
        yield from windower.push(samples)
    source.close()


def write(words: str, table: str) -> None:
    """Replace what stands between the mark and the recipe's figures in the README."""
    readme = FOLDER / "README.md"
    before, _, behind = readme.read_text(encoding="utf-8").partition(MARK)
    _, mark, figures = behind.partition(packing.FIGURES_MARK)
    text = f"{before}{MARK}\n\n{table}\n\n{words}\n\n![scores over time and ROC](ceiling-fan.png)\n\n{mark}{figures}"
    readme.write_text(text, encoding="utf-8")


def plot(threshold: float, scores: dict[str, np.ndarray], file: Path) -> None:
    """Draw the scores in order of time, state after state, and the ROC of each fault."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    time, roc = figure.subplots(1, 2, width_ratios=(2, 1))
    start = 0
    for (name, found), colour in zip(scores.items(), COLOURS, strict=True):
        words = FAULTS.get(name, "normal")
        time.plot(np.arange(start, start + len(found)), found, ".", color=colour, label=words)
        start += len(found)
        if name != NORMAL:
            limits = np.sort(np.concatenate([[-np.inf], scores[NORMAL], found]))[::-1]
            false, right = ([(one >= limit).mean() for limit in limits] for one in (scores[NORMAL], found))
            area = area_under_curve(scores[NORMAL], found)
            roc.plot([0, *false], [0, *right], color=colour, label=f"{words}: {area:.4f}")
    time.axhline(threshold, color="black", linewidth=1, label=f"learned threshold, {threshold:.2f}")
    time.set(
        xlabel="window, in order of time in each state",
        ylabel="score",
        yscale="log",
        title="Scores on a real ceiling fan",
    )
    time.legend(fontsize=8)
    roc.set(xlabel="false alarms", ylabel="faults found", title="ROC and its area")
    roc.legend(fontsize=8, loc="lower right")
    figure.savefig(file, dpi=90, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
