"""Privacy masks: parts of the picture that are blackened before anything else sees it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from edged.domain.frame import Frame, Samples
from edged.domain.ports import Source
from edged.domain.tensor import Array


def masked(source: Source, polygons: Sequence[Sequence[tuple[float, float]]]) -> Source:
    """Give a source whose pictures are black inside ``polygons`` (corners as fractions of width and height, 0..1)."""
    return MaskedSource(source, polygons) if polygons else source


class MaskedSource:
    """A source around a source. Pictures are painted in place: the inner source made them for this reader alone."""

    def __init__(self, source: Source, polygons: Sequence[Sequence[tuple[float, float]]]) -> None:
        self._source = source
        self._polygons = tuple(np.asarray(polygon, np.float64) for polygon in polygons)
        self._size = (0, 0)
        self._corners: list[Array] = []

    @property
    def drops(self) -> dict[str, int]:
        """What the inner source dropped, by cause."""
        return dict(getattr(self._source, "drops", {}))

    def read(self) -> Frame | Samples | None:
        """Give what the inner source gives, blackened; its errors are passed on."""
        item = self._source.read()
        if isinstance(item, Frame):
            # One at a time: of polygons filled together, fillPoly leaves out what an even number of them cover.
            for corners in self._corners_for(item.data):
                cv2.fillPoly(item.data, [corners], (0, 0, 0))
        return item

    def close(self) -> None:
        """Close the inner source."""
        self._source.close()

    def __repr__(self) -> str:
        """Say what is masked."""
        return f"<MaskedSource {len(self._polygons)} polygons over {self._source!r}>"

    def _corners_for(self, picture: Array) -> list[Array]:
        height, width = picture.shape[:2]
        if (width, height) != self._size:
            self._corners = [np.rint(polygon * (width, height)).astype(np.int32) for polygon in self._polygons]
            self._size = (width, height)
        return self._corners
