"""How large a source's pictures have to be for all who read them."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from edged.domain.bundle import ImageInput
from edged.pipeline.geometry import place


class Needs:
    """What each pipeline on a source needs of its pictures. Pipelines tell, the source asks, each in its own thread.

    Nothing else depends on a picture's size: masks, zones and boxes are fractions of it. Until every pipeline has told,
    a picture keeps its size.
    """

    def __init__(self, pipelines: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._missing = frozenset(pipelines)
        self._inputs: dict[str, ImageInput | None] = {}
        self._answers: dict[tuple[int, int], float] = {}

    def __repr__(self) -> str:
        return f"<Needs {self._inputs}, not told yet {sorted(self._missing)}>"

    def tell(self, pipeline: str, image: ImageInput | None) -> None:
        """Say what a pipeline's model takes; None for pictures as they are."""
        with self._lock:
            self._missing -= {pipeline}
            self._inputs[pipeline] = image
            self._answers = {}

    def excuse(self, pipeline: str) -> None:
        """Say that a pipeline reads nothing for now."""
        with self._lock:
            self._missing -= {pipeline}
            self._inputs.pop(pipeline, None)
            self._answers = {}

    def reduction(self, width: int, height: int) -> float:
        """Give how many times smaller than this a picture may be with no reader having to enlarge it; at least 1."""
        with self._lock:
            known = self._answers.get((width, height))
            if known is None:
                known = self._answers[width, height] = self._reduction(width, height)
        return known

    def _reduction(self, width: int, height: int) -> float:
        if self._missing or not self._inputs or None in self._inputs.values():
            return 1.0
        return max(1.0, min(_reduction(image, width, height) for image in self._inputs.values() if image is not None))


def _reduction(image: ImageInput, width: int, height: int) -> float:
    at = place(image, (height, width))
    return min(at.crop_width / at.width, at.crop_height / at.height)
