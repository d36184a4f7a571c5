"""Which pipelines the box has memory for, before any model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from edged.assembly.box import Box, free_mb, known_of, model_folders, runtime_versions
from edged.config.schema import Config, Pipeline
from edged.control.admission import Ask, Refusal, admit, need_mb
from edged.control.figures import figures_of
from edged.control.possible import OWN_RUNTIMES
from edged.domain.bundle import Bundle
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.hardware.process import ProcessProbe
from edged.update.manifest import find_bundles

CODE = "memory-budget"
REMEDY = "give it a smaller model, raise the memory limit, or run fewer pipelines; priority says which ones run"


def used_mb() -> float | None:
    """Give what this process and its children have resident, in MiB."""
    return ProcessProbe(Path("/"))().memory_mb


class Admitting:
    """Sums up what the pipelines of a configuration need. What runs already has its memory: it is asked again at each plan.

    ``used_mb`` is what edged takes with its children. What pipelines were admitted with may be more than they hold: an estimate was on
    the safe side, a model did not open, or rests. Memory that nobody holds is not given out a second time.
    """

    def __init__(self, box: Box, clock: Clock, used_mb: Callable[[], float | None] = used_mb) -> None:
        self._box, self._clock, self._used_mb = box, clock, used_mb
        self._held: Mapping[str, float] = {}
        self._empty_mb: float | None = None
        """What it took before any model was loaded."""

    def __call__(self, config: Config) -> Mapping[str, Reason]:
        """Give the pipelines that do not fit, by name, with the reason."""
        catalogue = find_bundles(model_folders(config)).bundles
        asks = [ask for pipeline in config.pipeline if (ask := self._ask(pipeline, catalogue)) is not None]
        admission = admit(asks, free_mb(self._box, self._freed_mb()))
        self._held = admission.held_mb
        now_ns = self._clock.monotonic_ns()
        return {
            one.pipeline: Reason(CODE, one.pipeline, one.message, now_ns, REMEDY, fatal=True)
            for one in admission.refused
        }

    def alone(self, bundle: Bundle) -> Refusal | None:
        """Say why there is no room for a model beside what runs now; None when there is, or nothing is known of it."""
        name, least = bundle.manifest.name, self._least(bundle, None)
        if least is None:
            return None
        return next(iter(admit([Ask(name, 0, least[0], is_measured=least[1])], free_mb(self._box)).refused), None)

    def _freed_mb(self) -> float:
        """Give what the pipelines that run would give back, and no more than what edged has grown by since the first plan."""
        used_mb, admitted_mb = self._used_mb(), sum(self._held.values())
        if self._empty_mb is None:
            self._empty_mb = used_mb
        return (
            admitted_mb
            if used_mb is None or self._empty_mb is None
            else min(admitted_mb, max(0.0, used_mb - self._empty_mb))
        )

    def _ask(self, pipeline: Pipeline, catalogue: Mapping[str, Sequence[Bundle]]) -> Ask | None:
        """Say what a pipeline needs with the smallest variants that it may use; None where a model is not there."""
        wanted = [(pipeline.model, pipeline.pin), *((further.model, None) for further in pipeline.then)]
        found = [self._least(catalogue[model][0], pin) for model, pin in wanted if catalogue.get(model)]
        needs = [need for need in found if need is not None]
        if len(needs) < len(wanted):
            return None
        whole_mb = sum(need for need, _ in needs)
        is_measured = all(measured for _, measured in needs)
        # What looks closer is each pipeline's own, and so is what runs in a child, as all does on an accelerator.
        is_apart = self._box.engines.isolate or any(one.usable for one in self._box.now.accelerators)
        is_own = bool(pipeline.then) or is_apart
        engine = None if is_own else (pipeline.model, pipeline.pin, pipeline.objective)
        return Ask(pipeline.name, pipeline.priority, whole_mb, is_measured, engine, self._box.places)

    def _least(self, bundle: Bundle, pin: str | None) -> tuple[float, bool] | None:
        return min(self._needs(bundle, pin), default=None)

    def _needs(self, bundle: Bundle, pin: str | None) -> Iterator[tuple[float, bool]]:
        """Give MiB, and whether that was measured, of each way in which the bundle may run."""
        measured = known_of(bundle, self._box).measured
        figures = figures_of(measured, bundle, self._box.profile.name, runtime_versions(self._box))
        installed = {found.runtime for found in self._box.runtimes}
        for variant in bundle.manifest.variant:
            if pin not in {None, variant.id} or (variant.runtime in OWN_RUNTIMES - installed):
                continue
            rows = [row for accelerator in variant.accelerators for row in figures.get((variant.id, accelerator), ())]
            if rows:
                yield min(row.peak_memory_mb for row in rows), True
                continue
            try:
                yield need_mb(bundle.path_of(variant).stat().st_size), False
            except (OSError, EdgedError):
                continue
