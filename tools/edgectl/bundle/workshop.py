"""``bundle quantize``: every variant that makes sense of a bundle's float files, each through the gate, the good ones written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from edgectl.bundle.edit import Addition, add, free_name
from edgectl.bundle.for_edgetpu import compiled
from edgectl.bundle.judge import Answers, Verdict, answers, calibration, candidate, judge, of_itself, reference_of
from edgectl.bundle.quantizers import RECIPES, Recipe, open_quantizer
from edgectl.bundle.samples import for_calibration
from edgectl.bundle.search import Trial, search
from edgectl.bundle.work import Row, Work, accuracy_of
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import BundleError


def quantize(work: Work) -> list[Row]:
    """Make, judge and write; the rows of all variants, each source's reference first.

    Raises:
        BundleError: There is no float file to start from, none that can become one for the Edge TPU, or it fails itself.
        ConfigError: The samples show nothing to judge by.
    """
    sources = [one for one in work.bundle.manifest.variant if one.precision == "fp32"]
    if not sources:
        message = f"cannot quantise {work.bundle.manifest.name}: it holds no fp32 variant, expected one to start from"
        raise BundleError(message, remedy="add the float file: edgectl bundle new")
    if work.compiler and not any(one.runtime == "tflite" for one in sources):
        message = f"cannot compile {work.bundle.manifest.name} for the Edge TPU: it holds no fp32 TFLite variant, expected one"
        raise BundleError(message, remedy="add the float file: edgectl bundle new")
    rows: list[Row] = []
    additions: list[Addition] = []
    for source in sources:
        made, found = _from(work, source)
        rows += found
        additions += made
    if work.compiler:
        found, made = compiled(work, work.compiler, rows, additions)
        rows += found
        additions += made
    if additions:
        add(work.bundle, _apart(work.bundle, additions))
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
            additions.append(_addition(work, source, recipe, trial, name))
    return additions, rows


def _apart(bundle: Bundle, additions: Sequence[Addition]) -> list[Addition]:
    """Give each file a name of its own: what lies in the folder is somebody's, and stays."""
    taken: list[str] = []
    for one in additions:
        taken.append(free_name(bundle, one.file, taken))
    return [replace(one, file=file) for one, file in zip(additions, taken, strict=True)]


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


def _addition(work: Work, source: Variant, recipe: Recipe, trial: Trial, name: str) -> Addition:
    place = Path(source.file)
    file = _named(place.name, recipe.precision) or f"{place.stem}-{recipe.precision}{place.suffix}"
    path, score = place.with_name(file).as_posix(), accuracy_of(work, trial.verdict)
    return Addition(source, name, path, trial.content, recipe.precision, accuracy=score, note=_note(source, trial))


def _note(source: Variant, trial: Trial) -> str:
    parity = trial.verdict.parity
    figures = ", ".join(f"{figure.name} {figure.value:.3f}" for figure in parity.figures) if parity else ""
    kept = f"; {len(trial.keep)} operators in float" if trial.keep else ""
    return f"against {source.id}: {figures}{kept}"
