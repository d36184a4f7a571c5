"""What a pipeline makes of its model's answers before the rules see them: further models on what it found, and numbers for objects."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from edged.assembly.models import Opened, answering
from edged.config import schema
from edged.domain.errors import EngineLostError
from edged.domain.frame import Frame
from edged.domain.result import Output
from edged.pipeline.cascade import Cascade
from edged.pipeline.loop import Refinement
from edged.pipeline.track import Tracker


class FurtherModel:
    """A cascade and the model that it owns. One thread calls it; ``swap`` may be called from another.

    ``lost`` is told when it is this model's engine that was lost, and not the first one's.
    """

    def __init__(self, cascade: Cascade, opened: Opened, lost: Callable[[Opened], None]) -> None:
        self.opened = opened
        self._cascade, self._lost = cascade, lost
        self._lock = threading.Lock()
        self._next: Opened | None = None
        self._is_closed = False

    def __call__(self, output: Output, frame: Frame) -> Output:
        """Look closer."""
        if self._next is not None:
            self._exchange()
        try:
            return self._cascade(output, frame)
        except EngineLostError:
            self._lost(self.opened)
            raise

    def swap(self, opened: Opened) -> None:
        """Look closer with this one from the next frame on, and free the old one then."""
        with self._lock:
            passed_by, self._next = (opened, None) if self._is_closed else (self._next, opened)
        if passed_by is not None:
            passed_by.model.engine.close()

    def close(self) -> None:
        """Free the model, and the one that was to follow it."""
        with self._lock:
            self._is_closed = True
            left_over, self._next = self._next, None
        self.opened.model.engine.close()
        if left_over is not None:
            left_over.model.engine.close()

    def _exchange(self) -> None:
        with self._lock:
            old, self.opened, self._next = self.opened, self._next or self.opened, None
        self._cascade = replace(self._cascade, answer=answering(self.opened.model))
        old.model.engine.close()


class Followed:
    """A tracker as a refinement."""

    def __init__(self) -> None:
        self._tracker = Tracker()

    def __call__(self, output: Output, frame: Frame) -> Output:
        """Number the objects."""
        return self._tracker.follow(output, frame.stamp.source_s)

    def close(self) -> None:
        """Nothing is held."""


def refinements(
    settings: schema.Pipeline,
    followed: Followed,
    open_model: Callable[[str], Opened],
    lost: Callable[[Opened], None] = lambda _opened: None,
) -> tuple[Refinement, ...]:
    """Build what the pipeline asks for: objects are numbered first, so that a further model's answer lies with its object.

    ``followed`` outlives a model that is built anew: numbers are never given twice. Raises what ``open_model`` raises; the models that
    were opened before are freed then. ``lost`` is told whose engine was lost.
    """
    found: list[Refinement] = [followed] if settings.track else []
    with ExitStack() as unless_complete:
        for cascade in settings.then:
            opened = open_model(cascade.model)
            look = Cascade(
                cascade.model,
                answering(opened.model),
                cascade.on.label,
                cascade.on.min_score,
                cascade.margin,
                cascade.at_most,
            )
            found.append(FurtherModel(look, opened, lost))
            unless_complete.callback(found[-1].close)
        unless_complete.pop_all()
    return tuple(found)
