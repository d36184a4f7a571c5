"""Which pipelines the box has memory for, before any model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edged.assembly.box import Box, free_mb, known_of, model_folders, runtime_versions
from edged.config.schema import Config, Pipeline
from edged.control.admission import Ask, admit, need_mb
from edged.control.figures import figures_of
from edged.control.possible import OWN_RUNTIMES
from edged.domain.bundle import Bundle
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.update.manifest import find_bundles

CODE = "memory-budget"
REMEDY = "give it a smaller model, raise the memory limit, or run fewer pipelines; priority says which ones run"


class Admitting:
    """Sums up what the pipelines of a configuration need. What runs already has its memory: it is asked again at each plan."""

    def __init__(self, box: Box, clock: Clock) -> None:
        self._box, self._clock = box, clock
        self._held: dict[str, float] = {}

    def __call__(self, config: Config) -> Mapping[str, Reason]:
        """Give the pipelines that do not fit, by name, with the reason."""
        catalogue = find_bundles(model_folders(config)).bundles
        asks = [ask for pipeline in config.pipeline if (ask := self._ask(pipeline, catalogue)) is not None]
        freed_mb = sum(held for name, held in self._held.items())
        refused = admit(asks, free_mb(self._box, freed_mb))
        names = {refusal.pipeline for refusal in refused}
        self._held = {ask.pipeline: ask.need_mb for ask in asks if ask.pipeline not in names}
        now_ns = self._clock.monotonic_ns()
        return {one.pipeline: Reason(CODE, one.pipeline, one.message, now_ns, REMEDY, fatal=True) for one in refused}

    def _ask(self, pipeline: Pipeline, catalogue: Mapping[str, Sequence[Bundle]]) -> Ask | None:
        """Say what a pipeline needs with the smallest variants that it may use; None where a model is not there."""
        wanted = [(pipeline.model, pipeline.pin), *((further.model, None) for further in pipeline.then)]
        found = [self._least(catalogue[model][0], pin) for model, pin in wanted if catalogue.get(model)]
        needs = [need for need in found if need is not None]
        if len(needs) < len(wanted):
            return None
        whole_mb = sum(need for need, _ in needs)
        return Ask(pipeline.name, pipeline.priority, whole_mb, is_measured=all(measured for _, measured in needs))

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
