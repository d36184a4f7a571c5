"""Make the bundle ``vibration`` from nothing: ``python -m models.vibration.recipe`` in the repository's root."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from models import export, packing
from models.vibration.machine import FAULTS, RATE_HZ, Machine, record
from models.vibration.network import CHANNELS, LENGTH, STRIDE, train

FOLDER = Path(__file__).parent
SEED = 20260611
SCALE_G = 0.1
"""Division by it brings a healthy window to a spread of about 1."""
EPOCHS = 60
SEVERITIES = (1.0, 0.5, 0.3)
FALSE_ALARMS = 0.001
"""The share of healthy windows that may lie above the threshold: one in five minutes, and a rule waits longer."""
MARGIN = 1.1
"""On the threshold, for healthy machines that are no part of the sample which sets it."""
GOLDEN = (("healthy-1", ""), ("healthy-2", ""), ("imbalance", "imbalance"), ("knocking", "knocking"))
COMPARISON = """
Share of windows above the threshold of {threshold} ({healthy} healthy windows of 40 machines, {faulty} of 10 machines
in every other row), against the plain strength of vibration (mean square) with a limit that gives one false alarm in a
thousand windows:
""".strip()
MANIFEST = """
name = "vibration"
version = "1.0.0"
task = "anomaly"
license = "Apache-2.0"
description = "Tells when a fan no longer vibrates as healthy ones do, from three accelerations in g at {rate} Hz"

[input]
kind = "window"
length = {length}
stride = {stride}
channels = {channels}
steps = ["detrend"]
mean = [0.0]
std = [{scale}]

[output]
decoder = "reconstruction"
threshold = {threshold}

[golden]
samples = "golden/"
score_tolerance = 0.05
"""


def main() -> None:
    """Train, export, measure, and write every file of the bundle."""
    torch.set_num_threads(1)  # sums over several threads differ in the last bits from run to run
    chance = np.random.default_rng(SEED)
    healthy = windows_of(700, chance)
    network = train(healthy, EPOCHS, SEED)
    example = torch.zeros(1, LENGTH * CHANNELS)
    export.write_onnx(network, example, FOLDER / "fp32.onnx", ["reconstruction"])
    export.write_tflite(network, example, FOLDER / "fp32.tflite")
    export.write_int8(FOLDER / "fp32.tflite", FOLDER / "int8.tflite", calibration(chance))
    usual = float(np.quantile(scores_onnx(windows_of(100, chance)), 1 - FALSE_ALARMS))
    evaluate(round(usual * MARGIN, 4))
    write_golden()
    write_demo()


def windows_of(machines: int, chance: np.random.Generator, fault: str = "", severity: float = 1.0) -> np.ndarray:
    """Record 20 s of each of so many machines: (n, 384) float32 as the network takes them."""
    recordings = (
        record(Machine.draw(chance), 20.0, chance, {fault: severity} if fault else None) for _ in range(machines)
    )
    starts = range(0, 20 * RATE_HZ - LENGTH + 1, STRIDE)
    return np.stack([prepared(samples[at : at + LENGTH]) for samples in recordings for at in starts])


def prepared(window: np.ndarray) -> np.ndarray:
    """Do what the manifest's ``[input]`` says to a (128, 3) window in g."""
    return ((window - window.mean(axis=0)) / SCALE_G).reshape(-1).astype(np.float32)


def calibration(chance: np.random.Generator) -> list[np.ndarray]:
    """Healthy and faulty windows: the ranges of int8 must hold what a faulty machine does, or its score is cut off."""
    kinds = [windows_of(10, chance)] + [windows_of(3, chance, fault) for fault in FAULTS]
    return list(np.concatenate(kinds)[::5, np.newaxis, :])


def scores_onnx(windows: np.ndarray) -> np.ndarray:
    """Mean squared error of each window through the float reference."""
    session = onnxruntime.InferenceSession(str(FOLDER / "fp32.onnx"))
    return np.array([np.square(session.run(None, {"input": row[np.newaxis]})[0] - row).mean() for row in windows])


def scores_tflite(name: str, windows: np.ndarray) -> np.ndarray:
    """Mean squared error between what the file got (after its own quantisation) and what it gave."""
    path = FOLDER / name
    detail = export.Interpreter(model_path=str(path)).get_input_details()[0]
    got = export.dequantised(export.quantised(windows, detail), detail)
    gave = np.concatenate([answer[0] for answer in export.run_tflite(path, windows[:, np.newaxis, :])])
    return np.square(gave - got).mean(axis=1)


SCORES = {
    "fp32.tflite": lambda windows: scores_tflite("fp32.tflite", windows),
    "int8.tflite": lambda windows: scores_tflite("int8.tflite", windows),
    "fp32.onnx": scores_onnx,
}


def area_under_curve(healthy: np.ndarray, faulty: np.ndarray) -> float:
    """How often a faulty window scores above a healthy one (the Mann-Whitney statistic)."""
    return float(np.searchsorted(np.sort(healthy), faulty).mean() / len(healthy))


def evaluate(threshold: float) -> None:
    """Measure every variant on machines that neither training nor the threshold saw; write manifest and figures."""
    chance = np.random.default_rng(SEED + 1)
    sets = {("healthy", 0.0): windows_of(40, chance)}
    sets |= {(fault, severity): windows_of(10, chance, fault, severity) for fault in FAULTS for severity in SEVERITIES}
    readings = {name: [score(rows) for rows in sets.values()] for name, score in SCORES.items()}
    files = [
        packing.File(name, name[:4], area_under_curve(scores[0], np.concatenate(scores[1:])))
        for name, scores in readings.items()
    ]
    values = {"rate": RATE_HZ, "length": LENGTH, "stride": STRIDE, "channels": CHANNELS, "scale": SCALE_G}
    head = MANIFEST.format(threshold=threshold, **values)
    layouts = {"tflite": "flat", "onnx": "flat"}
    packing.write_manifest(FOLDER, head, files, layouts, 'metric = "AUC", on = "holdout-machines"')
    packing.write_figures(FOLDER / "README.md", figures(threshold, sets, readings, files))


def figures(threshold: float, sets: dict, readings: dict, files: list[packing.File]) -> list[str]:
    """The tables of ``README.md``: the variants, and how much of each state lies above the threshold."""
    strength = [np.square(rows).mean(axis=1) for rows in sets.values()]
    limit = np.quantile(strength[0], 1 - FALSE_ALARMS)
    above = {name: [float((one > threshold).mean()) for one in scores] for name, scores in readings.items()}
    rows = [
        [*kind, *(above[name][at] for name in readings), float((strength[at] > limit).mean())]
        for at, kind in enumerate(sets)
    ]
    sizes = [[file.id, (FOLDER / file.name).stat().st_size, f"{file.accuracy:.4f}"] for file in files]
    return [
        packing.table(["variant", "bytes", "AUC, all faults and severities"], sizes),
        COMPARISON.format(threshold=threshold, healthy=len(strength[0]), faulty=len(strength[1])),
        packing.table(["state", "severity", *readings, "strength alone"], rows),
    ]


def write_golden() -> None:
    """Keep a few windows with the float reference's answers."""
    folder = FOLDER / "golden"
    folder.mkdir(exist_ok=True)
    chance = np.random.default_rng(SEED + 2)
    for name, fault in GOLDEN:
        window = record(Machine.draw(chance), LENGTH / RATE_HZ, chance, {fault: 1.0} if fault else None)
        np.save(folder / f"{name}.npy", window)
        score = float(scores_onnx(prepared(window)[np.newaxis])[0])
        packing.write_answer(folder / f"{name}.json", {"anomaly": {"score": round(score, 5)}})


def write_demo() -> None:
    """A minute of one fan, knocking from 15 s to 25 s and out of balance from 40 s to 50 s: ``demo/fan.csv``."""
    (FOLDER / "demo").mkdir(exist_ok=True)
    chance = np.random.default_rng(SEED + 3)
    time = np.arange(60 * RATE_HZ) / RATE_HZ
    faults = {"knocking": _during(time, 15.0, 25.0), "imbalance": _during(time, 40.0, 50.0)}
    samples = record(Machine.draw(chance), 60.0, chance, faults)
    rows = [f"{at:.3f},{x:.3f},{y:.3f},{z:.3f}" for at, (x, y, z) in zip(time, samples, strict=True)]
    (FOLDER / "demo" / "fan.csv").write_text("t,x,y,z\n" + "\n".join(rows) + "\n", encoding="utf-8")


def _during(time: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """A fault that comes and goes within half a second."""
    return np.clip(np.minimum(time - start_s, end_s - time) / 0.5, 0.0, 1.0)


if __name__ == "__main__":
    main()
