"""``bundle quantize``: every variant that makes sense of a bundle's float files, each through the gate, the good ones written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl.bundle import edgetpu
from edgectl.bundle.edit import Addition, add
from edgectl.bundle.judge import Answers, Verdict, answers, calibration, candidate, judge, of_itself, reference_of
from edgectl.bundle.quantizers import RECIPES, Recipe, open_quantizer
from edgectl.bundle.samples import Sample, for_calibration
from edgectl.bundle.search import Trial, search
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import BundleError

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table at the end.

    ``state`` is reference; written or refused, of what was made; present or faulty, of what was there; accepted or refused, of what
    was to be judged.
    """

    id: str
    runtime: str
    precision: str
    state: str
    verdict: Verdict
    kept: tuple[str, ...] = ()
    tries: int = 1

    def document(self) -> dict[str, Any]:
        """Give the same for ``--json``."""
        found = self.verdict
        return {
            "id": self.id,
            "runtime": self.runtime,
            "precision": self.precision,
            "state": self.state,
            "agreement": found.parity.agreement if found.parity else None,
            "figures": {figure.name: figure.value for figure in found.parity.figures} if found.parity else {},
            "accuracy": {"metric": found.score.metric, "value": found.score.value} if found.score else None,
            "latency_ms": round(found.latency_ms, 3),
            "bytes": found.size_bytes,
            "kept_in_float": list(self.kept),
            "tries": self.tries,
            "fault": found.fault,
        }


@dataclass(frozen=True, slots=True)
class Work:
    """What the flow stands on. ``on`` names the samples in the manifest; ``compiler`` is the Edge TPU's, or None."""

    bundle: Bundle
    samples: tuple[Sample, ...]
    on: str
    compiler: str | None
    tell: Tell


def quantize(work: Work) -> list[Row]:
    """Make, judge and write; the rows of all variants, each source's reference first.

    Raises:
        BundleError: There is no float file to start from, or it fails itself.
        ConfigError: The samples show nothing to judge by.
    """
    sources = [one for one in work.bundle.manifest.variant if one.precision == "fp32"]
    if not sources:
        message = f"cannot quantise {work.bundle.manifest.name}: it holds no fp32 variant, expected one to start from"
        raise BundleError(message, remedy="add the float file: edgectl bundle new")
    rows: list[Row] = []
    additions: list[Addition] = []
    for source in sources:
        made, found = _from(work, source)
        rows += found
        additions += made
    if additions:
        add(work.bundle, additions)
    return rows


def judge_files(work: Work, files: Sequence[tuple[Path, Variant]]) -> list[Row]:
    """Judge files that exist against the bundle's float reference; nothing is written."""
    rows: list[Row] = []
    references: dict[str, Answers] = {}
    for file, described in files:
        source = reference_of(work.bundle, described)
        if source.id not in references:
            work.tell(f"{source.id}: the float reference answers {len(work.samples)} samples")
            references[source.id] = answers(work.bundle, source, work.samples)
            rows.append(_reference_row(work, source, references[source.id]))
        work.tell(f"{file.name}: judged")
        verdict = judge(work.bundle, described, references[source.id], work.samples)
        state = "refused" if verdict.fault else "accepted"
        rows.append(Row(described.id, described.runtime, described.precision, state, verdict))
    return rows


def _from(work: Work, source: Variant) -> tuple[list[Addition], list[Row]]:
    """Make every variant of one float file."""
    work.tell(f"{source.id}: the float reference answers {len(work.samples)} samples")
    reference = answers(work.bundle, source, work.samples)
    rows = [_reference_row(work, source, reference)]
    additions: list[Addition] = []
    inputs = calibration(work.bundle, source, for_calibration(work.samples))
    quantizer = open_quantizer(work.bundle.path_of(source), inputs)
    for recipe in (recipe for recipe in RECIPES if recipe.runtime == source.runtime):
        name = _name(work.bundle, source, recipe)
        if any(one.id == name for one in work.bundle.manifest.variant):
            rows.append(_present_row(work, name, reference))
            continue
        work.tell(f"{name}: made and judged")
        trial = search(quantizer, recipe, _gate(work, source, name, recipe, reference))
        state = "refused" if trial.verdict.fault else "written"
        rows.append(Row(name, recipe.runtime, recipe.precision, state, trial.verdict, trial.keep, trial.tries))
        if trial.verdict.passes:
            additions += _additions(work, source, recipe, trial, name)
    return additions, rows


def _gate(work: Work, source: Variant, name: str, recipe: Recipe, reference: Answers) -> Callable[[bytes], Verdict]:
    def attempt(content: bytes) -> Verdict:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{name}.{source.runtime}")
            file.write_bytes(content)
            described = candidate(source, name, file, precision=recipe.precision)
            return judge(work.bundle, described, reference, work.samples)

    return attempt


def _reference_row(work: Work, source: Variant, reference: Answers) -> Row:
    verdict = of_itself(reference, work.samples, work.bundle.output_of(source).min_score)
    return Row(source.id, source.runtime, source.precision, "reference", verdict)


def _present_row(work: Work, name: str, reference: Answers) -> Row:
    """Judge what the bundle has already; it is neither made again nor removed."""
    (present,) = (one for one in work.bundle.manifest.variant if one.id == name)
    verdict = judge(work.bundle, present, reference, work.samples)
    return Row(name, present.runtime, present.precision, "faulty" if verdict.fault else "present", verdict)


def _name(bundle: Bundle, source: Variant, recipe: Recipe) -> str:
    """Name a variant after its source, or plainly where there is only one source of its runtime."""
    floats = [one for one in bundle.manifest.variant if (one.precision, one.runtime) == ("fp32", source.runtime)]
    plain = recipe.id if len(floats) == 1 else f"{source.id}-{recipe.precision}"
    return _named(source.id, recipe.precision) or plain


def _named(text: str, precision: str) -> str:
    """Give the reference's name with another precision; empty where it does not name its own."""
    return text.replace("fp32", precision) if "fp32" in text else ""


def _additions(work: Work, source: Variant, recipe: Recipe, trial: Trial, name: str) -> Iterator[Addition]:
    place = Path(source.file)
    file = _named(place.name, recipe.precision) or f"{place.stem}-{recipe.precision}{place.suffix}"
    path = place.with_name(file).as_posix()
    yield Addition(
        source, name, path, trial.content, recipe.precision, accuracy=_accuracy(work, trial), note=_note(source, trial)
    )
    if work.compiler and recipe.id == "tflite-int8":
        yield _compiled(work, work.compiler, source, trial, name, path)


def _compiled(work: Work, compiler: str, source: Variant, trial: Trial, name: str, path: str) -> Addition:
    """Compile what passed. The result runs on an Edge TPU only, so that its figures are those of the file it was made from."""
    work.tell(f"{name}-edgetpu: compiled")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, Path(path).name)
        file.write_bytes(trial.content)
        made = edgetpu.compile_file(compiler, file, Path(folder))
        content = made.file.read_bytes()
    counts = (
        f"; {made.on_edgetpu} operators on the Edge TPU, {made.on_cpu} on the CPU"
        if made.on_edgetpu is not None
        else ""
    )
    note = f"compiled from {name}, whose figures it has{counts}"
    target = Path(path).with_name(made.file.name).as_posix()
    return Addition(source, f"{name}-edgetpu", target, content, "int8", ("edgetpu",), _accuracy(work, trial), note)


def _accuracy(work: Work, trial: Trial) -> dict[str, Any] | None:
    """Give the manifest's figure, where the samples told the truth: agreement with the reference is not accuracy."""
    score = trial.verdict.score
    return {"metric": score.metric, "on": work.on, "value": round(score.value, 4)} if score else None


def _note(source: Variant, trial: Trial) -> str:
    parity = trial.verdict.parity
    figures = ", ".join(f"{figure.name} {figure.value:.3f}" for figure in parity.figures) if parity else ""
    kept = f"; {len(trial.keep)} operators in float" if trial.keep else ""
    return f"against {source.id}: {figures}{kept}"
