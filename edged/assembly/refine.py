"""What a pipeline makes of its model's answers before the rules see them: further models on what it found, and numbers for objects."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from edged.assembly.models import Opened, answering
from edged.config import schema
from edged.domain.frame import Frame
from edged.domain.result import Output
from edged.pipeline.cascade import Cascade
from edged.pipeline.loop import Refinement
from edged.pipeline.track import Tracker


@dataclass(frozen=True, slots=True)
class FurtherModel:
    """A cascade and the model that it owns."""

    cascade: Cascade
    opened: Opened

    def __call__(self, output: Output, frame: Frame) -> Output:
        """Look closer."""
        return self.cascade(output, frame)

    def close(self) -> None:
        """Free the model."""
        self.opened.model.engine.close()


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
    settings: schema.Pipeline, followed: Followed, open_model: Callable[[str], Opened]
) -> tuple[Refinement, ...]:
    """Build what the pipeline asks for: objects are numbered first, so that a further model's answer lies with its object.

    ``followed`` outlives a model that is built anew: numbers are never given twice. Raises what ``open_model`` raises; the models that
    were opened before are freed then.
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
            found.append(FurtherModel(look, opened))
            unless_complete.callback(found[-1].close)
        unless_complete.pop_all()
    return tuple(found)
