"""``bundle verify``: digests, golden samples and parity of every variant that this box can run; every fault at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgectl.bundle.judge import Answers, answers, judge, opened, reference_of
from edgectl.bundle.pack import strays
from edgectl.bundle.samples import Sample, read_samples
from edged.assembly.adapters import adapter
from edged.assembly.box import Box, ladder, survey
from edged.assembly.models import answering, read_labels
from edged.domain.bundle import Bundle, Variant
from edged.domain.errors import BundleError, ConfigError, EdgedError
from edged.pipeline.postprocess.agree import agrees
from edged.update.manifest import variant_faults, verify
from edged.update.trial import try_golden

RAN, SKIPPED, FAILED = "ok", "not run here", "failed"
NEEDED = ("labels: ", "golden: ")
"""How faults begin that keep every variant from being tried."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was found of one variant. ``golden`` and ``parity`` are words for a table; empty where there was nothing to check."""

    id: str
    state: str
    golden: str = ""
    parity: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """``faults`` is every fault, those of variants included."""

    name: str
    version: str
    lines: tuple[Line, ...]
    faults: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Give the same for ``--json``."""
        return {
            "schema": "edgectl.bundle.verify/1",
            "name": self.name,
            "version": self.version,
            "ok": not self.faults,
            "faults": list(self.faults),
            "variants": [
                {"id": line.id, "state": line.state, "golden": line.golden, "parity": line.parity, "fault": line.fault}
                for line in self.lines
            ],
        }


def check(bundle: Bundle, samples: Path | None, tell: Callable[[str], None]) -> Report:
    """Check everything.

    Args:
        bundle: The bundle.
        samples: A folder to judge parity by; None: the golden samples, which are few.
        tell: Hears what is looked at.
    """
    found = verify(bundle)
    faults = [*found, *strays(bundle)]
    bad = variant_faults(bundle)
    needed = next((fault for fault in found if fault.startswith(NEEDED)), None)
    box = survey(Path("/"), "auto", ())
    seen: dict[str, Answers] = {}
    lines = []
    for variant in bundle.manifest.variant:
        tell(variant.id)
        if variant.id in bad:
            lines.append(Line(variant.id, FAILED, fault=bad[variant.id]))
            continue
        if needed is not None:
            # Told above: without labels and samples no variant can be tried, and each would say the same again.
            lines.append(Line(variant.id, FAILED, fault=f"not tried: {needed}"))
            continue
        line = _look(bundle, variant, box, samples, seen)
        lines.append(line)
        if line.state == FAILED:
            faults.append(f"{variant.id}: {line.fault}")
    return Report(bundle.manifest.name, bundle.manifest.version, tuple(lines), tuple(faults))


def _look(bundle: Bundle, variant: Variant, box: Box, folder: Path | None, seen: dict[str, Answers]) -> Line:
    objection = _objection(bundle, variant, box)
    if objection:
        return Line(variant.id, SKIPPED, fault=objection)
    faults = [fault for fault in (_golden(bundle, variant),) if fault]
    golden = "" if bundle.golden_of(variant) is None else "differs" if faults else "same"
    state = FAILED if faults else RAN
    try:
        source = reference_of(bundle, variant)
    except BundleError:
        return Line(variant.id, state, golden, "no float reference", "; ".join(faults))
    try:
        parity = _parity(bundle, variant, source, folder, seen, faults)
    except ConfigError:
        if folder is not None:
            raise
        parity = "not judged"  # the golden samples are none, or too few
    except EdgedError as error:
        # The reference itself, or a sample: no fault of this variant's, and told where it is one.
        return Line(
            variant.id, state, golden, "not judged", "; ".join([*faults, f"against {source.id}: {error.args[0]}"])
        )
    return Line(variant.id, FAILED if faults else RAN, golden, parity, "; ".join(faults))


def _objection(bundle: Bundle, variant: Variant, box: Box) -> str:
    """Say why this box cannot run a variant on its processor; empty when it can."""
    if "cpu" not in variant.accelerators:
        return f"needs {' or '.join(variant.accelerators)}"
    rungs = [rung for rung in ladder(bundle, box).rungs if rung.variant.id == variant.id and rung.accelerator == "cpu"]
    if any(rung.verdict != "refused" for rung in rungs):
        return ""
    return rungs[0].reason if rungs else "no runtime for it"


def _golden(bundle: Bundle, variant: Variant) -> str | None:
    golden = bundle.golden_of(variant)
    if golden is None:
        return None
    try:
        model = opened(bundle, variant)
        try:
            read = (
                adapter("edged.sources.images").read_picture
                if bundle.input_of(variant).kind == "image"
                else _no_picture
            )
            return try_golden(bundle.folder, golden, answering(model), agrees, read)
        finally:
            model.engine.close()
    except EdgedError as error:
        return str(error)


def _no_picture(file: Path) -> Any:
    message = f"cannot use golden sample {file.name}: the model takes windows, expected .npy"
    raise BundleError(message)


def _parity(
    bundle: Bundle, variant: Variant, source: Variant, folder: Path | None, seen: dict[str, Answers], faults: list[str]
) -> str:
    if source.id == variant.id:
        return "reference"
    samples = _samples(bundle, variant, folder)
    if source.id not in seen:
        seen[source.id] = answers(bundle, source, samples)
    verdict = judge(bundle, variant, seen[source.id], samples)
    if verdict.fault:
        faults.append(f"against {source.id}: {verdict.fault}")
    return f"{verdict.parity.agreement:.3f} of {source.id}" if verdict.parity else "not judged"


def _samples(bundle: Bundle, variant: Variant, folder: Path | None) -> tuple[Sample, ...]:
    golden = bundle.golden_of(variant)
    place = folder or (bundle.folder / golden.samples if golden else None)
    if place is None:
        message = f"cannot judge {variant.id}: the bundle has no golden samples, expected a folder of samples"
        raise ConfigError(message, remedy="give one with --samples")
    return read_samples(place, bundle.input_of(variant), read_labels(bundle, variant))
