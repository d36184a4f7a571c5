"""A second of the flight recorder: what ``/metrics`` tells, as one number a column.

Of a histogram its count and sum are kept, and of a frame's age and whole time what 95 % of the last ten seconds' frames stayed below,
which nobody can tell from counts afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from edged.assembly.scraping import ROWS, Scene
from edged.telemetry.exposition import series
from edged.telemetry.metrics import Histogram
from edged.telemetry.recent import Recent

SHARE = 0.95
P95 = {
    "age": 'edged_age_p95_seconds{pipeline="%s"}',
    "total": 'edged_frame_p95_seconds{pipeline="%s"}',
}
"""The columns of each stage whose share is kept."""
MAX_NAMES = 1000
_MS_PER_S = 1000.0

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Sampler:
    """Called once a second on one thread. ``scene`` gives the box of now."""

    scene: Callable[[], Scene]
    _names: dict[str, dict[Labels, str]] = field(default_factory=dict)
    """What each column is called: putting three hundred names together takes longer than all the looking."""
    _recent: dict[str, tuple[Histogram, Recent]] = field(default_factory=dict)

    def __call__(self) -> dict[str, float]:
        """Give the figures of now by column; what is not known is left out."""
        scene = self.scene()
        found: dict[str, float] = {}
        for row in ROWS:
            for one in row.look(scene):
                value = one.value
                if isinstance(value, Histogram):
                    found[self._named(f"{row.name}_count", one.labels)] = value.count
                    found[self._named(f"{row.name}_sum", one.labels)] = value.sum_ms / _MS_PER_S
                elif value is not None:
                    found[self._named(row.name, one.labels)] = value
        found.update(self._shares(scene))
        return found

    def _named(self, name: str, labels: Labels) -> str:
        names = self._names.setdefault(name, {})
        found = names.get(labels)
        if found is None:
            if len(names) > MAX_NAMES:
                # Pipelines and models come and go with reloads.
                names.clear()
            found = names[labels] = series(name, labels)
        return found

    def _shares(self, scene: Scene) -> Iterator[tuple[str, float]]:
        recent: dict[str, tuple[Histogram, Recent]] = {}
        for _, pipeline in scene.pipelines:
            for stage, template in P95.items():
                name, histogram = template % pipeline.name, pipeline.metrics.stages[stage]
                known = self._recent.get(name)
                # A pipeline that was set up anew counts from zero.
                recent[name] = known if known is not None and known[0] is histogram else (histogram, Recent(histogram))
                share_ms = recent[name][1].quantile(SHARE)
                if share_ms is not None:
                    yield name, share_ms / _MS_PER_S
        self._recent = recent
