"""The documents about the box: what it is, and which models it has."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from edged.assembly import levels
from edged.assembly.box import Box, free_mb, model_folders
from edged.assembly.installed import described
from edged.assembly.learning import Learnings
from edged.assembly.passed_over import model_reasons
from edged.assembly.planner import Planner
from edged.assembly.safe import SafePlanner
from edged.assembly.supply import Supply
from edged.assembly.telling import Teller
from edged.config.schema import Config, Objective
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.hardware.inventory import to_document
from edged.update.manifest import find_bundles
from edged.update.updater import Installed, Standing


class About:
    """The documents about the box: what it is, and which models it has."""

    def __init__(
        self,
        box: Box,
        supply: Supply,
        planner: Planner | SafePlanner,
        learnings: Learnings,
        clock: Clock,
        teller: Teller,
    ) -> None:
        self.conduct: Callable[[str], Any] = lambda _model: None
        """Gives how a model's last candidate did against the version before it; set on boxes that take orders."""
        self._teller = teller
        self._learnings = learnings
        self._box = box
        self._supply = supply
        self._planner = planner
        self._clock = clock
        self._told: dict[str, tuple[int, dict[str, Any]]] = {}
        self._standing: tuple[tuple[int, int], Standing] | None = None
        self._explained: Standing | None = None
        self._reasons: list[Reason] = []

    def inventory(self) -> dict[str, Any]:
        """Give hardware, profile, pipelines, and the ladder of each model that is asked for."""
        measured = self._box.store.revision if self._box.store is not None else 0
        compiling = self._box.engines.compiling
        compiled = compiling.revision if compiling is not None else 0
        compiled += self._box.present.revision if self._box.present is not None else 0
        age = self._planner.plans + measured + self._supply.looks + self._teller.revision + compiled
        return self._once("inventory", age, self._inventory)

    def models(self) -> dict[str, Any]:
        """Give what runs, what ran before, what is quarantined, and what has calibrated itself."""
        names = [pipeline.name for pipeline in self._planner.config.pipeline]
        return self._once("models", self._supply.looks, self._models) | {"calibrations": self._learnings.told(names)}

    def reasons(self) -> Sequence[Reason]:
        """Say which bundles do not run although they lie there, as of the last look."""
        standing = self._stands()
        if self._explained is not standing:
            since_ns = {(reason.code, reason.component): reason.since_mono_ns for reason in self._reasons}
            self._explained, self._reasons = standing, model_reasons(standing, since_ns, self._clock.monotonic_ns())
        return self._reasons

    def _stands(self) -> Standing:
        """Look at the folders again only after a look for a model, or a reload."""
        age = self._supply.looks, self._planner.plans
        if self._standing is None or self._standing[0] != age:
            self._standing = (age, self._supply.installed())
        return self._standing[1]

    def _once(self, name: str, age: int, body: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Build a document again only when what it tells may have changed: digests and folders cost time."""
        told = self._told.get(name)
        if told is None or told[0] != age:
            told = self._told[name] = (age, body())
        return told[1]

    def _inventory(self) -> dict[str, Any]:
        config, free = self._planner.config, free_mb(self._box)
        return {
            "schema": "edged.inventory/1",
            "hardware": to_document(self._box.now, self._box.profile.name, self._box.runtimes),
            "profile": self._box.profile.name,
            "groups": list(config.device.groups),
            "memory_free_mb": None if free is None else round(free),
            "versions": versions(self._box),
            "pipelines": [
                {
                    "name": pipeline.name,
                    "source": pipeline.source,
                    "model": pipeline.model,
                    "governor": self._teller.standing(pipeline.name),
                }
                for pipeline in config.pipeline
            ],
            "models": self._ladders(config),
        }

    def _models(self) -> dict[str, Any]:
        return {"schema": "edged.models/1", "models": [self._described(one) for one in self._stands().models]}

    def _described(self, one: Installed) -> dict[str, Any]:
        return {**described(one), "conduct": self.conduct(one.model)}

    def _ladders(self, config: Config) -> list[dict[str, Any]]:
        catalogue = find_bundles(model_folders(config)).bundles
        asked: dict[tuple[str, str | None, Objective], list[str]] = {}
        for pipeline in config.pipeline:
            if pipeline.model in catalogue:
                asked.setdefault((pipeline.model, pipeline.pin, pipeline.objective), []).append(pipeline.name)
        return [
            {**levels.ladder(self._supply.ladder(catalogue[model][0], pin, objective), objective), "pipelines": names}
            for (model, pin, objective), names in sorted(asked.items(), key=lambda item: item[1])
        ]


def versions(box: Box) -> dict[str, str]:
    """Give the version of edged, of its Python and of the runtimes' packages."""
    found = {"edged": version("edged"), "python": platform.python_version()}
    return found | {runtime.distribution: runtime.version for runtime in box.runtimes}
