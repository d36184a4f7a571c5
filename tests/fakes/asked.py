"""Real models that are asked with pictures and windows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edged.domain.frame import Frame, Stamp
from edged.domain.result import Output
from edged.engines import onnx, tflite
from edged.pipeline import preprocess
from edged.pipeline.postprocess import registry
from edged.pipeline.postprocess.binding import Binding
from edged.pipeline.resize import opencv
from fakes.assetbundle import load, materialise

STAMP = Stamp(0, 0, 0, 0.0)
OPEN = {"tflite": tflite.open_engine, "onnx": onnx.open_engine}
Ask: TypeAlias = Callable[[np.ndarray], Output]


def askable(assets: Path, folder: Callable[[], Path]) -> Callable[[str, str], Ask]:
    """Give a function that loads a bundle's variant, once, and answers frames with it."""
    made = cache(lambda name: materialise(name, assets, folder()))
    return cache(lambda name, variant_id: opened(made(name), variant_id))


def opened(folder: Path, variant_id: str) -> Ask:
    bundle = load(folder)
    variant = next(variant for variant in bundle.manifest.variant if variant.id == variant_id)
    model_input, output = bundle.input_of(variant), bundle.output_of(variant)
    labels = tuple((folder / output.labels).read_text().splitlines()) if output.labels else ()
    engine = OPEN[variant.runtime](bundle.path_of(variant), threads=1)
    prepare = preprocess.build(model_input, engine.inputs[0], variant.layout, opencv())
    decoder = registry.bind(Binding(output, model_input, engine.inputs, engine.outputs, labels))

    def ask(values: np.ndarray) -> Output:
        frame = Frame(values, STAMP)
        tensors = prepare(frame)
        return decoder.decode(engine.infer(tensors), tensors, frame)

    return ask
