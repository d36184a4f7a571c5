"""Make the bundle ``vibration`` from nothing: ``python -m models.vibration.recipe`` in the repository's root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from edged.assembly.learning import bound, scorer
from edged.assembly.models import open_rung
from edged.domain.bundle import Bands, Bundle, Calibration
from edged.domain.variant import Rung
from edged.pipeline import spectral
from edged.pipeline.calibration import Learned, Normalisation, Score, learn, normalisation, unlikeness
from edged.update.manifest import read_bundle
from models import export, packing
from models.vibration.bearing import TYPE_6205
from models.vibration.machine import FAULTS, RATE_HZ, Machine, record
from models.vibration.network import train

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER = Path(__file__).parent
SEED = 20260611
EPOCHS = 12
LENGTH, STRIDE, CHANNELS = 128, 64, 3
BANDS = Bands(spectrum=16, envelope=8)
CLIP = 8.0
"""A feature eight standard deviations from its mean is as faulty as any: the range of int8 is not wasted on more."""
CALIBRATION = Calibration(seconds=60, quantile=0.99, margin=1.25, unlike=3.0)
MINUTE_S = 60.0
SEVERITIES = (1.0, 0.5, 0.3)
REFERENCE = Machine(
    turns_hz=24.4,
    bearing=TYPE_6205,
    level=1.0,
    residual_imbalance=0.1,
    misalignment=0.03,
    blade_pass=0.04,
    hum=0.02,
    noise=0.006,
    axial=0.4,
    tilt=0.02,
    ring_hz=61.0,
)
"""The demo's machine. Its normalisation stands in the manifest, so that golden samples can be judged without a calibration."""
GOLDEN = (("healthy-1", ""), ("healthy-2", ""), ("imbalance", "imbalance"), ("knocking", "knocking"))
PRECISIONS = ("fp32.tflite", "int8.tflite", "dynamic.tflite", "fp32.onnx", "int8.onnx", "fp16.onnx")
MANIFEST = """
name = "vibration"
version = "2.0.0"
task = "anomaly"
license = "Apache-2.0"
description = "Tells when a machine no longer vibrates as in its first minute, from three accelerations in g at {rate} Hz"

[input]
kind = "window"
length = {length}
stride = {stride}
channels = {channels}
steps = ["detrend", "spectral-bands"]
bands = {{ spectrum = {spectrum}, envelope = {envelope} }}
mean = {mean}
std = {std}
clip = {clip}

[output]
decoder = "reconstruction"
threshold = {threshold}

[calibration]
seconds = {seconds}
quantile = {quantile}
margin = {margin}
unlike = {unlike}

[golden]
samples = "golden/"
score_tolerance = 0.05
"""
MEASURED = 'metric = "AUC", on = "holdout-machines"'

_FEATURES = spectral.bands(BANDS, LENGTH)


def main() -> None:
    """Train, export, measure, and write every file of the bundle."""
    torch.set_num_threads(1)  # sums over several threads differ in the last bits from run to run
    chance = np.random.default_rng(SEED)
    network = train(healthy_rows(400, chance), EPOCHS, SEED)
    example = torch.zeros(1, len(_FEATURES(np.zeros((LENGTH, CHANNELS)))[0]))
    export.write_onnx(network, example, FOLDER / "fp32.onnx", ["reconstruction"])
    export.write_tflite(network, example, FOLDER / "fp32.tflite")
    export.write_variants(FOLDER, "", FOLDER / "fp32.tflite", FOLDER / "fp32.onnx", calibration_samples(chance))
    reference = write_reference()
    write_golden(reference)
    write_demo()
    evaluate(reference)


# -- data


def features_of(samples: np.ndarray) -> np.ndarray:
    """Cut a recording, (n, 3) in g, into windows and give their features: (windows, 1, features) float32."""
    starts = range(0, len(samples) - LENGTH + 1, STRIDE)
    return np.stack([_FEATURES(samples[at : at + LENGTH].astype(np.float64)) for at in starts]).astype(np.float32)


def normalised(features: np.ndarray, by: Normalisation) -> np.ndarray:
    """Do what the manifest's ``[input]`` says to features: (windows, features) float32."""
    return np.clip((features - by.mean) / by.std, -CLIP, CLIP)[:, 0].astype(np.float32)


def healthy_rows(machines: int, chance: np.random.Generator) -> np.ndarray:
    """Half a minute of each machine by its own calibration, under another load than that was recorded under."""
    drawn = [Machine.draw(chance) for _ in range(machines)]
    return np.concatenate(
        [
            normalised(
                features_of(record(one, 30.0, chance)), normalisation(features_of(record(one, MINUTE_S, chance)))
            )
            for one in drawn
        ]
    )


def calibration_samples(chance: np.random.Generator) -> list[np.ndarray]:
    """Healthy and faulty windows and the corners: the ranges of int8 must hold what a faulty machine does, or its score is cut off."""
    rows = [healthy_rows(6, chance)]
    for fault in FAULTS:
        one = Machine.draw(chance)
        by = normalisation(features_of(record(one, MINUTE_S, chance)))
        rows.append(normalised(features_of(record(one, 10.0, chance, {fault: 1.0})), by))
    width = rows[0].shape[1]
    corners = np.stack([np.full(width, CLIP), np.full(width, -CLIP)]).astype(np.float32)
    return list(np.concatenate([*(one[::4] for one in rows), corners])[:, np.newaxis, :])


# -- the bundle


def write_reference() -> Learned:
    """Calibrate the reference machine with the float file, and write a manifest with what it learned."""
    minute = features_of(record(REFERENCE, MINUTE_S, np.random.default_rng(SEED + 4)))
    files = [packing.File(name, name.partition(".")[0], 0.0) for name in PRECISIONS]
    write_manifest(Learned(normalisation(minute), 1.0), files)
    learned = learn(minute, CALIBRATION, scorers()["tflite-fp32"])
    if isinstance(learned, str):
        raise SystemExit(learned)
    write_manifest(learned, files)
    return learned


def write_manifest(learned: Learned, files: Sequence[packing.File]) -> None:
    """Write ``model.toml``."""
    by = learned.normalisation
    head = MANIFEST.format(
        rate=RATE_HZ,
        length=LENGTH,
        stride=STRIDE,
        channels=CHANNELS,
        clip=CLIP,
        spectrum=BANDS.spectrum,
        envelope=BANDS.envelope,
        mean=_numbers(by.mean),
        std=_numbers(by.std),
        threshold=round(learned.threshold, 4),
        **CALIBRATION.model_dump(),
    )
    packing.write_manifest(FOLDER, head, files, {"tflite": "flat", "onnx": "flat"}, MEASURED)


def _numbers(values: np.ndarray) -> str:
    """Write numbers a few to a line."""
    texts = [f"{value:.4f}" for value in values]
    lines = [", ".join(texts[at : at + 10]) for at in range(0, len(texts), 10)]
    return "[\n  " + ",\n  ".join(lines) + ",\n]"


def scorers(wanted: Sequence[str] = ()) -> Mapping[str, Score]:
    """Open the variants through edged's own engines; gives what scores features, by variant id."""
    bundle = read_bundle(FOLDER)
    ids = [variant.id for variant in bundle.manifest.variant if not wanted or variant.id in wanted]
    return {name: scorer(bundle, open_rung(bundle, rung(bundle, name))) for name in ids}


def rung(bundle: Bundle, name: str) -> Rung:
    """Give the rung that runs a variant on one thread of the processor."""
    variant = next(one for one in bundle.manifest.variant if one.id == name)
    return Rung(variant, "cpu", 1, "chosen", "measured by the recipe")


def write_golden(reference: Learned) -> None:
    """Keep a few windows of the reference machine with the float file's answers."""
    folder = FOLDER / "golden"
    folder.mkdir(exist_ok=True)
    chance = np.random.default_rng(SEED + 2)
    bundle = read_bundle(FOLDER)
    model = open_rung(bundle, rung(bundle, "tflite-fp32"))
    path, _ = bound(bundle, model, reference)
    for name, fault in GOLDEN:
        window = record(REFERENCE, 5.0, chance, {fault: 1.0} if fault else None)[-LENGTH:]
        np.save(folder / f"{name}.npy", window)
        row = _FEATURES(window.astype(np.float64) - window.mean(axis=0, dtype=np.float64))
        tensors = path.tensor(row)
        score = float(np.square(model.engine.infer(tensors)[0] - tensors[0]).mean())
        packing.write_answer(folder / f"{name}.json", {"anomaly": {"score": round(score, 5)}})


def write_demo() -> None:
    """A minute of one fan, knocking from 15 s to 25 s and out of balance from 40 s to 50 s: ``demo/fan.csv``."""
    (FOLDER / "demo").mkdir(exist_ok=True)
    chance = np.random.default_rng(SEED + 13)
    time = np.arange(60 * RATE_HZ) / RATE_HZ
    faults = {"knocking": _during(time, 15.0, 25.0), "imbalance": _during(time, 40.0, 50.0)}
    samples = record(REFERENCE, 60.0, chance, faults)
    rows = [f"{at:.3f},{x:.3f},{y:.3f},{z:.3f}" for at, (x, y, z) in zip(time, samples, strict=True)]
    (FOLDER / "demo" / "fan.csv").write_text("t,x,y,z\n" + "\n".join(rows) + "\n", encoding="utf-8")


def _during(time: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """A fault that comes and goes within half a second."""
    return np.clip(np.minimum(time - start_s, end_s - time) / 0.5, 0.0, 1.0)


# -- figures


@dataclass(frozen=True, slots=True)
class Trial:
    """One machine that neither training nor a range of int8 saw: its minute, another one under another load, and its faults."""

    minute: np.ndarray
    healthy: np.ndarray
    faulty: Mapping[tuple[str, float], np.ndarray]
    mixed: np.ndarray
    """A minute in which a fault was there for a quarter."""

    @staticmethod
    def draw(number: int, chance: np.random.Generator) -> Trial:
        """Record a machine."""
        one = Machine.draw(chance)
        kinds = [(fault, severity) for fault in FAULTS for severity in SEVERITIES]
        time = np.arange(round(MINUTE_S * RATE_HZ)) / RATE_HZ
        comes = {FAULTS[number % len(FAULTS)]: _during(time, 20.0, 35.0)}
        return Trial(
            features_of(record(one, MINUTE_S, chance)),
            features_of(record(one, MINUTE_S, chance)),
            {(fault, severity): features_of(record(one, 10.0, chance, {fault: severity})) for fault, severity in kinds},
            features_of(record(one, MINUTE_S, chance, comes)),
        )


def evaluate(reference: Learned) -> None:
    """Measure every variant on machines that nothing before saw; write manifest and figures."""
    chance = np.random.default_rng(SEED + 1)
    trials = [Trial.draw(number, chance) for number in range(40)]
    score_of = scorers()
    readings = {name: measured(trials, score) for name, score in score_of.items()}
    plain = measured(trials, distance)
    ids = {f"{name.rpartition('.')[2]}-{name.partition('.')[0]}": name for name in PRECISIONS}
    areas = {name: area(one) for name, one in readings.items()}
    write_manifest(reference, [packing.File(name, name.partition(".")[0], areas[one]) for one, name in ids.items()])
    sizes = [
        [one, (FOLDER / name).stat().st_size, f"{areas[one]:.4f}", f"{share(readings[one]['healthy']):.4f}"]
        for one, name in ids.items()
    ]
    sizes.append(["(distance alone)", "", f"{area(plain):.4f}", f"{share(plain['healthy']):.4f}"])
    times = share(plain["healthy"]) / share(readings["tflite-fp32"]["healthy"])
    packing.write_figures(
        FOLDER / "README.md",
        [
            packing.table(["variant", "bytes", "AUC, all faults, severity 1 and 0.5", "false alarms"], sizes),
            COMPARISON.format(machines=len(trials), healthy=len(readings["tflite-fp32"]["healthy"]), times=times),
            packing.table(["fault", "severity", *ids, "distance alone"], _rows({**readings, "": plain})),
            kinds_of_minutes(trials, score_of["tflite-fp32"]),
        ],
    )


COMPARISON = """
Measured on {machines} machines that nothing before saw, each calibrated on its own minute; healthy is another minute of each under another
load, {healthy} windows in all; of each fault 10 s. The table gives the share of windows above the machine's own threshold. "Distance
alone" is the mean square of the normalised features, without the autoencoder: it knows no load, and calls a change of it a fault
{times:.1f} times as often.
""".strip()


def measured(trials: Sequence[Trial], score: Score) -> dict[str, np.ndarray]:
    """Give scores as shares of each machine's own threshold: of ``healthy``, and of each fault and severity."""
    found: dict[str, list[np.ndarray]] = {}
    for trial in trials:
        learned = learn(trial.minute, CALIBRATION.model_copy(update={"unlike": None}), score)
        if isinstance(learned, str):
            raise SystemExit(learned)
        kinds = {"healthy": trial.healthy, **{f"{fault} {how}": rows for (fault, how), rows in trial.faulty.items()}}
        for kind, rows in kinds.items():
            found.setdefault(kind, []).append(score(learned.normalisation, rows) / learned.threshold)
    return {kind: np.concatenate(scores) for kind, scores in found.items()}


def distance(by: Normalisation, rows: np.ndarray) -> np.ndarray:
    """Score without a model: the mean square of the normalised features."""
    return np.square(normalised(rows, by)).mean(axis=1)


def share(scores: np.ndarray) -> float:
    """How many lie above the threshold."""
    return float((scores > 1).mean())


def area(reading: Mapping[str, np.ndarray]) -> float:
    """How often a window of a fault of severity 1 or 0.5 scores above a healthy one (the Mann-Whitney statistic)."""
    faulty = [scores for kind, scores in reading.items() if not kind.endswith(" 0.3") and kind != "healthy"]
    return area_under_curve(reading["healthy"], np.concatenate(faulty))


def area_under_curve(healthy: np.ndarray, faulty: np.ndarray) -> float:
    """Give the share of pairs in which the faulty one scores higher, ties counting half."""
    ordered = np.sort(healthy)
    below, up_to = (np.searchsorted(ordered, faulty, side) for side in ("left", "right"))
    return float((below + up_to).mean() / 2 / len(healthy))


def _rows(readings: Mapping[str, Mapping[str, np.ndarray]]) -> list[list[object]]:
    kinds = [("healthy", ""), *((fault, how) for fault in FAULTS for how in SEVERITIES)]
    return [[fault, how, *(share(one[f"{fault} {how}".strip()]) for one in readings.values())] for fault, how in kinds]


def kinds_of_minutes(trials: Sequence[Trial], score: Score) -> str:
    """Say how well a minute that was not of one kind is told from one that was."""
    one_kind = np.array([unlikeness(np.array_split(trial.minute, 4), score) for trial in trials])
    mixed = np.array([unlikeness(np.array_split(trial.mixed, 4), score) for trial in trials])
    return (
        f"A calibration is refused where one quarter of its minute scores above {CALIBRATION.unlike:g} by what another taught: of "
        f"{len(trials)}\nhealthy minutes the highest was {one_kind.max():.2f}; of {len(trials)} minutes in which a fault of severity 1 "
        f"was there from 20 s to 35 s, {np.mean(mixed > CALIBRATION.unlike):.0%} are refused\n(those that are not are mostly of "
        f"machines whose sensor hardly feels the fault)."
    )


if __name__ == "__main__":
    main()
