"""Make the bundle ``parts`` from nothing: ``python -B -m models.parts.recipe`` in the repository's root."""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch

from models import export, packing
from models.parts import figures, golden, measure, picture
from models.parts.demo import write_video
from models.parts.network import LARGE, OUTPUTS, SMALL, ChannelsLast, Detector, Size
from models.parts.scene import rendered
from models.parts.settings import shop
from models.parts.shapes import LABELS
from models.parts.training import Lessons, train

FOLDER = Path(__file__).parent
SEED = 20260612
SERIES = (SEED + 100, SEED + 200)
PICTURES = 4000
"""So many by each seed of the series."""
STEPS = {"large": 5000, "small": 8000}
CALIBRATION = 150
GOLDEN_FOLDERS = {"large": "golden", "small": "golden-small"}

INPUT = """
kind = "image"
width = {width}
height = {height}
color = "rgb"
fit = "letterbox"
align = "center"
interpolation = "linear"
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
"""
GOLDEN = """
samples = "{folder}/"
score_tolerance = 0.15
min_iou = 0.8
"""
MANIFEST = f"""
name = "parts"
version = "2.0.0"
task = "detection"
license = "Apache-2.0"
description = "Finds washers, nuts and bolts on a conveyor belt that a fixed camera sees from above, and which are scratched or bent"

[input]{{input}}
[output]
decoder = "yolox"
labels = "labels.txt"
min_score = {figures.MIN_SCORE}
nms_iou = {measure.NMS_IOU}

[golden]{{golden}}"""


def main() -> None:
    """Render, train, export, measure, and write every file of the bundle; each network in a process of its own."""
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        list(pool.map(make_networks, figures.SIZES))
    write_rest()


def make_networks(name: str) -> None:
    """Train a size from nothing and write its files."""
    torch.set_num_threads(1)  # sums over several threads differ in the last bits from run to run
    cv2.setNumThreads(1)
    lessons = rendered_lessons(figures.SIZES[name])
    write_networks(train(lessons, figures.SIZES[name], STEPS[name], SEED), lessons)


def rendered_lessons(size: Size) -> Lessons:
    """Make up the training's pictures."""
    setting = shop(SEED)
    pictures = np.empty((len(SERIES) * PICTURES, size.height, size.width, 3), np.uint8)
    truths = []
    for index, scene in enumerate(scene for seed in SERIES for scene in rendered(setting, PICTURES, seed)):
        pictures[index] = measure.small(scene.picture, size)
        truths.append(measure.truth_of(scene, size))
    return Lessons(torch.from_numpy(pictures), truths)


def write_networks(network: Detector, lessons: Lessons) -> None:
    """Write the six files of one size."""
    size = network.size
    example = torch.zeros(1, 3, size.height, size.width)
    calibration = [
        ((one.numpy().astype(np.float32) - 127.5) / 127.5)[np.newaxis] for one in lessons.pictures[:CALIBRATION]
    ]
    network = network.to(memory_format=torch.contiguous_format)
    with tempfile.TemporaryDirectory() as place:
        tflite, onnx = Path(place, "float.tflite"), Path(place, "float.onnx")
        export.write_onnx(network, example, onnx, OUTPUTS)
        export.write_tflite(ChannelsLast(network), example.permute(0, 2, 3, 1).contiguous(), tflite)
        export.write_variants(FOLDER, f"{size.name}-", tflite, onnx, calibration)


def write_rest() -> None:
    """Write labels, golden samples, video, manifest, figures and picture."""
    (FOLDER / "labels.txt").write_text("\n".join(LABELS) + "\n", encoding="utf-8")
    (FOLDER / "demo").mkdir(exist_ok=True)
    write_video(FOLDER / "demo" / "conveyor.mp4", SEED + 3)
    for size in (LARGE, SMALL):
        golden.write(FOLDER / GOLDEN_FOLDERS[size.name], FOLDER / f"{size.name}-fp32.onnx", size, SEED + 4)
    picture.write(FOLDER / "detections.png", FOLDER / "large-int8.tflite", SEED + 8)
    judge()


def judge() -> None:
    """Measure every variant on pictures that training never saw; write manifest and figures."""
    names = [
        f"{size}-{kind}"
        for size in figures.SIZES
        for kind in sorted(figures.FILES, key=lambda kind: kind != "fp32.onnx")
    ]
    measured = {
        shop_name: {name: one.figures(FOLDER / name) for name in names}
        for shop_name, one in figures.judges(SEED).items()
    }
    files = [file_of(f"{size}-{kind}", measured["other-shop"]) for size in figures.SIZES for kind in figures.FILES]
    head = MANIFEST.format(input=input_of(LARGE), golden=GOLDEN.format(folder=GOLDEN_FOLDERS[LARGE.name]))
    layouts = {"tflite": "nhwc", "onnx": "nchw"}
    packing.write_manifest(FOLDER, head, files, layouts, 'metric = "mAP50", on = "holdout-other-shop"')
    by_variant = {place: {file.id: each[file.name] for file in files} for place, each in measured.items()}
    sizes = {file.id: (FOLDER / file.name).stat().st_size for file in files}
    packing.write_figures(FOLDER / "README.md", figures.tables(by_variant, sizes))


def file_of(name: str, measured: dict[str, figures.Figures]) -> packing.File:
    """Describe a file; the small network's carry their own input and golden samples, the bundle's are the large one's."""
    size, _, kind = name.partition("-")
    own = (
        f"[variant.input]{input_of(SMALL)}\n[variant.golden]{GOLDEN.format(folder=GOLDEN_FOLDERS[SMALL.name])}"
        if size == SMALL.name
        else ""
    )
    return packing.File(name, kind.partition(".")[0], measured[name].mean, own)


def input_of(size: Size) -> str:
    """Give the keys of ``[input]``."""
    return INPUT.format(width=size.width, height=size.height)


if __name__ == "__main__":
    main()
