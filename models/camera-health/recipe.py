"""Make the bundle ``camera-health`` from nothing: ``PYTHONPATH=. python models/camera-health/recipe.py`` in the repository's root.

With ``EDGED_ASSETS`` set, the real photographs there judge every variant and the figures in ``README.md`` are written anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from degrade import LABELS
from lessons import lessons
from measure import answers, cases, evaluate, right
from network import SIZES, ChannelsLast, Size, train
from scenes import photographs, render
from show import write_demo, write_sheet

from models import export, packing

if TYPE_CHECKING:
    from measure import Case

FOLDER = Path(__file__).parent
SEED = 20261121
PARTS = 20
JUDGED_SCENES = 30
CALIBRATION = 350
CLEAR_SCORE, CLEAR_APART = 0.85, 0.04
"""A golden picture has one answer for both sizes: both are this sure of it, and differ by no more."""
FREE_PHOTOGRAPHS = 4
"""The first of scikit-image's: in the public domain or CC0."""
GOLDEN_SIZE = (240, 150)

INPUT = """
kind = "image"
width = {width}
height = {height}
color = "rgb"
fit = "stretch"
interpolation = "area"
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
""".strip()
MANIFEST = f"""
name = "camera-health"
version = "1.0.0"
task = "classification"
license = "Apache-2.0"
description = "Tells whether a camera's picture is ok, dark, overexposed, blurred, occluded, tilted away or noise"

[input]
{INPUT.format(width=SIZES[0].width, height=SIZES[0].height)}

[output]
decoder = "classification"
labels = "labels.txt"
min_score = 0.3

[golden]
samples = "golden/"
score_tolerance = 0.15
"""


def main() -> None:
    """Train, export, measure, and write every file of the bundle."""
    torch.set_num_threads(1)  # sums over several threads differ in the last bits from run to run
    cv2.setNumThreads(1)
    taught, labels = lessons(PARTS, SIZES, SEED)
    files = [
        file
        for size, pictures in zip(SIZES, taught, strict=True)
        for file in write_network(size, torch.from_numpy(pictures), torch.from_numpy(labels))
    ]
    (FOLDER / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    scenes = scenes_of(SEED + 1, JUDGED_SCENES)
    judged = cases((f"scene {index}", scene) for index, scene in enumerate(scenes))
    variants = [variant(FOLDER / name, judged) for name in files]
    layouts = {"tflite": "nhwc", "onnx": "nchw"}
    packing.write_manifest(FOLDER, MANIFEST, variants, layouts, 'metric = "accuracy", on = "holdout-scenes"')
    write_golden()
    write_demo(FOLDER / "demo" / "camera.mp4", SEED + 3)
    write_examples()
    if "EDGED_ASSETS" in os.environ:
        judge(variants, Path(os.environ["EDGED_ASSETS"]))


def scenes_of(seed: int, count: int) -> list[np.ndarray]:
    """Render scenes that training did not see."""
    random = np.random.default_rng(seed)
    return [render(random) for _ in range(count)]


def write_network(size: Size, pictures: torch.Tensor, labels: torch.Tensor) -> list[str]:
    """Train one size and write its files; their names."""
    network = train(size, pictures, labels, SEED)
    example = torch.zeros(1, 3, size.height, size.width)
    floats = [FOLDER / f"{size.name}-fp32.{runtime}" for runtime in ("tflite", "onnx")]
    export.write_tflite(ChannelsLast(network), example.permute(0, 2, 3, 1).contiguous(), floats[0])
    export.write_onnx(network, example, floats[1], ["probabilities"])
    calibration = [(one[np.newaxis].astype(np.float32) - 127.5) / 127.5 for one in pictures[:CALIBRATION].numpy()]
    return [path.name for path in export.write_variants(FOLDER, f"{size.name}-", *floats, calibration)]


def variant(path: Path, judged: list[Case]) -> packing.File:
    """Measure one file on the judge's scenes."""
    size = next(size for size in SIZES if path.name.startswith(size.name))
    own = "" if size is SIZES[0] else f"\n[variant.input]\n{INPUT.format(width=size.width, height=size.height)}\n"
    precision = path.stem.removeprefix(f"{size.name}-")
    return packing.File(path.name, precision, right(judged, answers(path, size, judged)), own)


def write_golden() -> None:
    """Keep one picture a label, of scenes and faults that training did not see, with the float reference's answer."""
    folder = FOLDER / "golden"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    candidates = cases(
        (f"{index}", cv2.resize(scene, GOLDEN_SIZE, interpolation=cv2.INTER_AREA))
        for index, scene in enumerate(scenes_of(SEED + 2, 12))
    )
    scores = np.array([answers(FOLDER / f"{size.name}-fp32.onnx", size, candidates) for size in SIZES])
    for place, label in enumerate(LABELS):
        clear = (scores[..., place].min(axis=0) > CLEAR_SCORE) & (np.ptp(scores[..., place], axis=0) < CLEAR_APART)
        chosen = next(at for at, case in enumerate(candidates) if case.label == label and clear[at])
        cv2.imwrite(str(folder / f"{label}.png"), candidates[chosen].picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        score = round(float(scores[:, chosen, place].mean()), 4)
        packing.write_answer(folder / f"{label}.json", {"classes": [{"label": label, "score": score}]})


def write_examples() -> None:
    """Draw what the large network answers to scenes and to sample photographs that are free of rights."""
    scenes = [*scenes_of(SEED + 4, 5), *photographs()[:FREE_PHOTOGRAPHS]]
    shown = cases((f"{index}", scene) for index, scene in enumerate(scenes))
    write_sheet(FOLDER / "examples.png", shown, answers(FOLDER / f"{SIZES[0].name}-fp32.onnx", SIZES[0], shown))


def judge(variants: list[packing.File], assets: Path) -> None:
    """Judge every variant on the real photographs and frames; write the figures."""
    import judged  # noqa: PLC0415 - only where the assets lie

    real = cases(judged.pictures(assets))
    given = {
        file.id: answers(FOLDER / file.name, next(s for s in SIZES if file.name.startswith(s.name)), real)
        for file in variants
    }
    sizes = {file.id: (FOLDER / file.name).stat().st_size for file in variants}
    packing.write_figures(FOLDER / "README.md", evaluate(real, given, sizes))


if __name__ == "__main__":
    main()
