"""Runs files on samples as a box would, and says whether they may stand beside their float reference."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgectl.bundle import accuracy
from edgectl.bundle.accuracy import MAY_LOSE, Score
from edgectl.bundle.parity import Figure, Parity, compare
from edgectl.bundle.samples import Sample
from edged.assembly.models import answering, open_rung
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import BundleError, EdgedError
from edged.domain.result import Output
from edged.domain.tensor import Array
from edged.domain.variant import Rung
from edged.pipeline.model import Model

WARM_UP, MOST_RUNS, MOST_S = 3, 50, 0.5
"""Calls that are timed: enough for a table. What the choice goes by is measured on the box, by ``edgectl bench``."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a file said, and what it cost: the median call of the engine on one thread, and the file's bytes."""

    outputs: tuple[Output, ...]
    latency_ms: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A file against its reference: ``fault`` names the figures that failed, or why it does not run; empty: it may stand."""

    parity: Parity | None
    score: Score | None
    latency_ms: float
    size_bytes: int
    fault: str

    @property
    def passes(self) -> bool:
        """Whether it may stand beside its reference."""
        return not self.fault


def opened(bundle: Bundle, variant: Variant) -> Model:
    """Open a variant's file on the CPU with one thread. Raises EdgedError when it does not open here."""
    return open_rung(bundle, Rung(variant, "cpu", 1, "chosen", "under judgement"))


def answers(bundle: Bundle, variant: Variant, samples: Sequence[Sample]) -> Answers:
    """Answer every sample through edged's own preprocessing, engine and decoder.

    Raises:
        EdgedError: The file does not open, or fails while it runs.
    """
    model = opened(bundle, variant)
    try:
        answer = answering(model)
        outputs = tuple(answer(sample.frame) for sample in samples)
        latency_ms = _median_ms(model, model.preprocess(samples[0].frame))
    finally:
        model.engine.close()
    return Answers(outputs, latency_ms, bundle.path_of(variant).stat().st_size)


def judge(bundle: Bundle, variant: Variant, reference: Answers, samples: Sequence[Sample]) -> Verdict:
    """Hold a variant against the reference's answers to the same samples.

    Raises:
        ConfigError: The samples show nothing by which it could be judged.
    """
    try:
        got = answers(bundle, variant, samples)
    except EdgedError as error:
        size = bundle.path_of(variant).stat().st_size
        return Verdict(None, None, 0.0, size, " ".join(str(error.args[0]).split()))
    parity = compare(reference.outputs, got.outputs, bundle.output_of(variant).min_score)
    truths = [sample.truth for sample in samples]
    score, best = (accuracy.measure(outputs, truths) for outputs in (got.outputs, reference.outputs))
    figures = parity.faults
    if score and best and score.value < best.value - MAY_LOSE:
        figures = (*figures, Figure(score.metric, score.value, best.value - MAY_LOSE))
    return Verdict(parity, score, got.latency_ms, got.size_bytes, "; ".join(map(str, figures)))


def of_itself(reference: Answers, samples: Sequence[Sample], min_score: float) -> Verdict:
    """Put the reference's own figures into a verdict.

    Raises:
        ConfigError: The samples show nothing by which another file could be judged.
    """
    parity = compare(reference.outputs, reference.outputs, min_score)
    score = accuracy.measure(reference.outputs, [sample.truth for sample in samples])
    return Verdict(parity, score, reference.latency_ms, reference.size_bytes, "")


def calibration(bundle: Bundle, variant: Variant, samples: Sequence[Sample]) -> list[Array]:
    """Give what a float file's input takes for each sample, through edged's own preprocessing."""
    model = opened(bundle, variant)
    try:
        return [np.array(model.preprocess(sample.frame)[0]) for sample in samples]
    finally:
        model.engine.close()


def candidate(source: Variant, name: str, file: Path, **changes: object) -> Variant:
    """Describe a file that lies anywhere, before it belongs to the bundle: like ``source`` but for what changes."""
    # The manifest's own rule, that files lie inside the bundle, holds for what is written; this one only runs.
    return source.model_copy(update={"id": name, "file": str(file), "sha256": "0" * 64, "accuracy": None, **changes})


def reference_of(bundle: Bundle, variant: Variant) -> Variant:
    """Give the float file that a variant is held against: the same input and output, by preference of the same runtime.

    Raises:
        BundleError: The bundle holds no fp32 variant with this input.
    """
    wanted = (bundle.input_of(variant), bundle.output_of(variant))
    floats = [one for one in bundle.manifest.variant if one.precision == "fp32"]
    fitting = [one for one in floats if (bundle.input_of(one), bundle.output_of(one)) == wanted]
    if not fitting:
        message = f"cannot judge {variant.id}: the bundle holds no fp32 variant of the same input and output"
        raise BundleError(message, remedy="add the float file that it was made from: edgectl bundle new")
    return next((one for one in fitting if one.runtime == variant.runtime), fitting[0])


def _median_ms(model: Model, tensors: Sequence[Array]) -> float:
    kept = [np.array(tensor) for tensor in tensors]
    times: list[float] = []
    for _ in range(WARM_UP):
        model.engine.infer(kept)
    until = time.perf_counter() + MOST_S
    while not times or (len(times) < MOST_RUNS and time.perf_counter() < until):
        start = time.perf_counter()
        model.engine.infer(kept)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3
