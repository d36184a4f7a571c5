"""Make the bundle ``sensor-forecast`` from nothing: ``PYTHONPATH=. python models/sensor-forecast/recipe.py`` in the repository's root."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from network import train
from sensors import FAULTS, Sensors, fault, record

from edged.assembly.learning import scorer
from edged.assembly.models import open_rung
from edged.domain.bundle import Calibration
from edged.domain.variant import Rung
from edged.pipeline.calibration import Learned, Normalisation, Score, learn, normalisation
from edged.update.manifest import read_bundle
from models import export, packing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parent
SEED = 20260611
LENGTH = 24
TAUGHT, CALIBRATED, RUN = 1500, 400, 2100
"""Sensors that teach, and the steps of each that it is calibrated on and that it is watched for."""
EACH, EPOCHS = 60, 8
IS_NORMAL = 0.5
"""Of what is taught. In the other half something is wrong."""
KINDS = (0.4, 0.2, 0.2, 0.2)
LEAST, MOST = 3.0, 8.0
"""How large faults are that are taught, in standard deviations of the sensor: less is weather."""
CLIP = 8.0
CALIBRATION = Calibration(seconds=14 * 86_400, quantile=0.99, margin=1.5)
JUDGED = 60
SIZES = (3.0, 5.0, 8.0)
PRECISIONS = ("fp32.tflite", "int8.tflite", "dynamic.tflite", "fp32.onnx", "int8.onnx", "fp16.onnx")
DEMO_START = datetime(2026, 3, 2, tzinfo=timezone.utc)
DEMO_MEAN, DEMO_SPREAD = 21.0, 1.5
DEMO_HOURS, DEMO_FAULT, DEMO_GAPS = 28 * 24, 24 * 24, (range(400, 403), range(500, 520))
MANIFEST = """
name = "sensor-forecast"
version = "1.0.0"
task = "anomaly"
license = "Apache-2.0"
description = "Tells when a slow sensor (temperature, speed, load) no longer goes the way it usually goes, from its last {length} readings"

[input]
kind = "window"
length = {length}
stride = 1
channels = 1
mean = [{mean:.4f}]
std = [{std:.4f}]
clip = {clip}

[output]
decoder = "reconstruction"
threshold = {threshold:.4f}

[calibration]
seconds = {seconds}
quantile = {quantile}
margin = {margin}

[golden]
samples = "golden/"
score_tolerance = 0.05
"""
MEASURED = 'metric = "AUC", on = "holdout-sensors"'


def main() -> None:
    """Train, export, measure, and write every file of the bundle."""
    torch.set_num_threads(1)  # sums over several threads differ in the last bits from run to run
    chance = np.random.default_rng(SEED)
    shown, expected = lessons(TAUGHT, chance)
    network = train(shown, expected, EPOCHS, SEED)
    example = torch.zeros(1, LENGTH)
    export.write_onnx(network, example, FOLDER / "fp32.onnx", ["expected"])
    export.write_tflite(network, example, FOLDER / "fp32.tflite")
    corners = np.stack([np.full(LENGTH, CLIP), np.full(LENGTH, -CLIP)]).astype(np.float32)
    samples = np.concatenate([shown[:: len(shown) // 500], corners])[:, None]
    export.write_variants(FOLDER, "", FOLDER / "fp32.tflite", FOLDER / "fp32.onnx", list(samples))
    room = write_demo(np.random.default_rng(SEED + 3))
    reference = write_reference(room)
    write_golden(room, reference)
    evaluate(reference)


# -- data


def lessons(count: int, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Give windows, half of them with a fault, and the same without: both (n, LENGTH) float32 in units of the sensor's own spread."""
    values = record(Sensors.draw(count, chance), CALIBRATED + RUN, chance)
    own = [normalisation(one[:CALIBRATED, None, None]) for one in values]
    starts = chance.integers(CALIBRATED, CALIBRATED + RUN - LENGTH, (count, EACH))
    rows = zip(values, own, starts, strict=True)
    expected = np.stack([(one[at : at + LENGTH] - by.mean) / by.std for one, by, ats in rows for at in ats])
    shown = expected.copy()
    for at in np.flatnonzero(chance.random(len(shown)) >= IS_NORMAL):
        size = np.exp(chance.uniform(np.log(LEAST), np.log(MOST)))
        shown[at] += fault(str(chance.choice(FAULTS, p=KINDS)), size, LENGTH, chance)
    return tuple(np.clip(one, -CLIP, CLIP).astype(np.float32) for one in (shown, expected))


def windows(values: np.ndarray) -> np.ndarray:
    """Cut a series, (n,), as the pipeline does: (windows, LENGTH, 1) float32."""
    return np.lib.stride_tricks.sliding_window_view(values, LENGTH)[..., None].astype(np.float32)


# -- the bundle


def write_demo(chance: np.random.Generator) -> np.ndarray:
    """Write four weeks of one room, hour by hour; gives them whole, (n,) degrees.

    The heating fails at the beginning of the 25th day. Three hours and twenty hours are missing, and some rows are out of order.
    """
    found = record(Sensors.draw(200, chance), DEMO_HOURS, chance)
    hourly = np.diff(found[:, : DEMO_FAULT - 48])
    day = np.array([np.corrcoef(one[:-24], one[24:])[0, 1] for one in hourly])
    room = found[int(np.argmax(day))]
    room = DEMO_MEAN + DEMO_SPREAD * (room - room[:336].mean()) / room[:336].std()
    shown = room + 6 * DEMO_SPREAD * np.expm1(-np.clip(np.arange(DEMO_HOURS) - DEMO_FAULT, 0, None) / 24)
    hours = [hour for hour in range(DEMO_HOURS) if not any(hour in gap for gap in DEMO_GAPS)]
    for at in range(100, len(hours) - 1, 150):
        hours[at], hours[at + 1] = hours[at + 1], hours[at]
    rows = [f"{DEMO_START + timedelta(hours=hour):%Y-%m-%d %H:%M:%S},{shown[hour]:.2f}" for hour in hours]
    (FOLDER / "demo").mkdir(exist_ok=True)
    (FOLDER / "demo" / "room.csv").write_text("timestamp,value\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return shown


def write_reference(room: np.ndarray) -> Learned:
    """Calibrate the demo's room with the float file, and write a manifest with what it learned."""
    normal = windows(room[:336])
    files = [packing.File(name, name.partition(".")[0], 0.0) for name in PRECISIONS]
    write_manifest(Learned(normalisation(normal), 1.0), files)
    learned = learn(normal, CALIBRATION, scorers(("tflite-fp32",))["tflite-fp32"])
    if isinstance(learned, str):
        raise SystemExit(learned)
    write_manifest(learned, files)
    return learned


def write_manifest(learned: Learned, files: Sequence[packing.File]) -> None:
    """Write ``model.toml``."""
    by = learned.normalisation
    head = MANIFEST.format(
        length=LENGTH,
        mean=by.mean[0],
        std=by.std[0],
        clip=CLIP,
        threshold=learned.threshold,
        **CALIBRATION.model_dump(exclude={"unlike"}),
    )
    packing.write_manifest(FOLDER, head, files, {"tflite": "flat", "onnx": "flat"}, MEASURED)


def scorers(wanted: Sequence[str] = ()) -> Mapping[str, Score]:
    """Open the variants through edged's own engines; gives what scores windows, by variant id."""
    bundle = read_bundle(FOLDER)
    rungs = [
        Rung(one, "cpu", 1, "chosen", "by the recipe")
        for one in bundle.manifest.variant
        if not wanted or one.id in wanted
    ]
    return {rung.variant.id: scorer(bundle, open_rung(bundle, rung)) for rung in rungs}


def write_golden(room: np.ndarray, reference: Learned) -> None:
    """Keep a few windows of the demo's room with the float file's answers: a normal one that is rather unusual, and faults.

    Of an ordinary day next to nothing is left, and that by which int8 differs from float would be a large share of it.
    """
    folder = FOLDER / "golden"
    folder.mkdir(exist_ok=True)
    score = scorers(("tflite-fp32",))["tflite-fp32"]
    normal, cold = windows(room[:DEMO_FAULT]), windows(room)[DEMO_FAULT + 72]
    found = score(reference.normalisation, normal)
    unusual = normal[int(np.argmax(np.where(found < reference.threshold / 2, found, 0)))]
    hot, brief = normal[0].copy(), normal[0].copy()
    hot[LENGTH // 2 :] += 5 * DEMO_SPREAD
    brief[LENGTH // 2 : LENGTH // 2 + 3] += 5 * DEMO_SPREAD
    for name, window in {"unusual": unusual, "cold": cold, "hot": hot, "brief": brief}.items():
        np.save(folder / f"{name}.npy", window)
        (found,) = score(reference.normalisation, window[None])
        packing.write_answer(folder / f"{name}.json", {"anomaly": {"score": round(float(found), 5)}})


# -- figures


def evaluate(reference: Learned) -> None:
    """Measure every variant on sensors that nothing before saw; write manifest and figures."""
    chance = np.random.default_rng(SEED + 1)
    trials = [trial(chance) for _ in range(JUDGED)]
    readings = {name: measured(trials, score) for name, score in scorers().items()}
    plain = measured(trials, distance)
    ids = {f"{name.rpartition('.')[2]}-{name.partition('.')[0]}": name for name in PRECISIONS}
    areas = {name: area(one) for name, one in readings.items()}
    write_manifest(reference, [packing.File(name, name.partition(".")[0], areas[one]) for one, name in ids.items()])
    sizes = [[one, (FOLDER / name).stat().st_size, f"{areas[one]:.4f}"] for one, name in ids.items()]
    sizes.append(["(distance alone)", "", f"{area(plain):.4f}"])
    both = {**readings, "distance alone": plain}
    kinds = [[kind, *(float((one[kind] > 1).mean()) for one in both.values())] for kind in plain]
    packing.write_figures(
        FOLDER / "README.md",
        [packing.table(["variant", "bytes", "AUC"], sizes), WORDS, packing.table(["", *both], kinds)],
    )


WORDS = f"""
Measured on {JUDGED} simulated sensors that nothing before saw, each calibrated on its own first {CALIBRATED} steps; of each 60 normal
windows and 20 of each fault and size. AUC is over all of them. The table gives the share of windows above the sensor's own threshold; sizes
are in standard deviations of the sensor. "Distance alone" is the mean square of the normalised window, without the network.
""".strip()


def trial(chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Record a sensor: the windows of its ``calibration``, ``normal`` ones behind, and those with each fault and size."""
    (values,) = record(Sensors.draw(1, chance), CALIBRATED + RUN, chance)
    behind, spread = windows(values[CALIBRATED:]), values[:CALIBRATED].std()
    found = {"calibration": windows(values[:CALIBRATED]), "normal": behind[:: len(behind) // 60][:60]}
    for kind in FAULTS:
        for size in SIZES:
            chosen = behind[chance.integers(0, len(behind), 20)].copy()
            for window in chosen:
                window[:, 0] += spread * fault(kind, size, LENGTH, chance)
            found[f"{kind} {size:g}"] = chosen
    return found


def measured(trials: Sequence[Mapping[str, np.ndarray]], score: Score) -> dict[str, np.ndarray]:
    """Give scores as shares of each sensor's own threshold, by kind."""
    found: dict[str, list[np.ndarray]] = {}
    for one in trials:
        learned = learn(one["calibration"], CALIBRATION, score)
        if isinstance(learned, str):
            raise SystemExit(learned)
        for kind, given in one.items():
            if kind != "calibration":
                found.setdefault(kind, []).append(score(learned.normalisation, given) / learned.threshold)
    return {kind: np.concatenate(scores) for kind, scores in found.items()}


def distance(by: Normalisation, rows: np.ndarray) -> np.ndarray:
    """Score without a model: the mean square of the normalised window."""
    return np.square(np.clip((rows - by.mean) / by.std, -CLIP, CLIP)).mean(axis=(1, 2))


def area(reading: Mapping[str, np.ndarray]) -> float:
    """Give how often a faulty window scores above a normal one (the Mann-Whitney statistic)."""
    normal = np.sort(reading["normal"])
    faulty = np.concatenate([scores for kind, scores in reading.items() if kind != "normal"])
    below, up_to = (np.searchsorted(normal, faulty, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(normal))


if __name__ == "__main__":
    main()
