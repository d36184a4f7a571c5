"""A source around a source of samples: its samples on evenly spaced instants."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from edged.domain.frame import Frame, Samples, Stamp
from edged.domain.ports import Source
from edged.sources.grid import Grid, Times, Values


class GriddedSource:
    """Blocks of the instants that were settled together, stamped as the samples that settled them.

    ``drops`` are the inner source's, and ``late``: samples of instants that had been given already.
    """

    def __init__(self, source: Source, grid: Grid) -> None:
        self._source = source
        self._grid = grid
        self._samples = 0
        self._newest: Stamp | None = None

    @property
    def drops(self) -> Counter[str]:
        """What was left out, by cause."""
        drops: Counter[str] = Counter(getattr(self._source, "drops", {}))
        if self._grid.late:
            drops["late"] += self._grid.late
        return drops

    def read(self) -> Frame | Samples | None:
        """Read on until an instant is settled; the inner source's errors are passed on."""
        while isinstance(item := self._source.read(), Samples):
            self._newest = item.stamp
            if (settled := self._grid.push(item.times_s, item.values)) is not None:
                return self._block(*settled, item.stamp)
        if item is None and self._newest is not None and (left := self._grid.finish()) is not None:
            return self._block(*left, self._newest)
        return item

    def close(self) -> None:
        """Close the inner source."""
        self._source.close()

    def __repr__(self) -> str:
        """Say what lies on which grid."""
        return f"<GriddedSource {self._samples} instants, {self._grid!r} of {self._source!r}>"

    def _block(self, times_s: Times, values: Values, stamp: Stamp) -> Samples:
        self._samples += len(times_s)
        return Samples(values, times_s, replace(stamp, index=self._samples - 1, source_s=float(times_s[-1])))


def gridded(source: Source, *, step_s: float, late_s: float, bridge_s: float) -> Source:
    """Lay a source's samples on a grid; see ``Grid``. Raises ConfigError for one that cannot be."""
    return GriddedSource(source, Grid(step_s, late_s, bridge_s))
