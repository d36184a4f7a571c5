"""Has the pipelines run what is live now: each opens it beside the old one and swaps between two frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from edged.control.remote import far_digest
from edged.domain.bundle import Bundle
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop
from edged.update.records import Release

OPENS_WITHIN_NS = 90_000_000_000
"""A model that takes longer to open and to run once is none that a pipeline could come up on after a failure, either."""
KEPT = "model-kept"
"""The keeper's code for a model that was looked for and did not open."""


class OpeningError(EdgedError):
    """A pipeline still opens it: nothing can be said of the model yet."""

    code = "opening"


@dataclass(frozen=True, slots=True)
class _Opening:
    """A release that pipelines open: whom it concerns, what each had to say before, and when they must have it."""

    release: Release
    bundle: Bundle
    pipelines: Sequence[Pipeline]
    noted: Mapping[str, Reason | None]
    until_ns: int


class GoingLive:
    """Called by the agent's thread alone, which it never holds up."""

    def __init__(
        self, lines: Callable[[], Sequence[Line]], model_of: Callable[[str], str | None], clock: Clock
    ) -> None:
        """``lines`` gives what runs, ``model_of`` a pipeline's model by the pipeline's name."""
        self._lines, self._model_of, self._clock = lines, model_of, clock
        self._opening: dict[str, _Opening] = {}

    def __repr__(self) -> str:
        return f"<GoingLive {', '.join(self._opening) or 'nothing'}>"

    def look(self) -> None:
        """Let every pipeline look for what it shall run now."""
        for line in self._lines():
            line.reload()

    def is_opening(self, model: str, release: Release) -> bool:
        """Whether this was begun, and has not come to its end."""
        return model in self._opening and self._opening[model].release == release

    def begin(self, release: Release, bundle: Bundle) -> None:
        """Have every pipeline that runs this model run this release, which is stored as ``bundle``.

        One that did not run before is none that the release could break.
        """
        concerned = [one for line in self._lines() for one in line.pipelines if self._is_concerned(one, bundle)]
        noted = {one.name: one.worker.note for one in concerned}
        until_ns = self._clock.monotonic_ns() + OPENS_WITHIN_NS
        self._opening[bundle.manifest.name] = _Opening(release, bundle, concerned, noted, until_ns)
        self.look()

    def end(self, model: str) -> str | None:
        """Give why one of the pipelines does not run what was begun, None when all do. Raises OpeningError before either is so."""
        opening = self._opening[model]
        left = [one for one in opening.pipelines if not _runs(one, opening.bundle)]
        failed = _failed(left, opening.noted)
        names = ", ".join(one.name for one in left)
        if left and failed is None:
            if self._clock.monotonic_ns() < opening.until_ns:
                message = f"cannot tell of {model} {opening.bundle.manifest.version} yet: {names} opens it"
                raise OpeningError(message)
            failed = f"{names} did not take it within {OPENS_WITHIN_NS / 1e9:.0f} s"
        del self._opening[model]
        return failed

    def _is_concerned(self, pipeline: Pipeline, bundle: Bundle) -> bool:
        return self._model_of(pipeline.name) == bundle.manifest.name and isinstance(pipeline.worker.steps, Loop)


def digests_of(bundle: Bundle) -> frozenset[str]:
    """Give the digests of a release's variants, as what runs names them; a server that runs it too stands for one of them."""
    return frozenset({f"sha256:{one.sha256}" for one in bundle.manifest.variant} | {far_digest(bundle.manifest.name)})


def _runs(pipeline: Pipeline, bundle: Bundle) -> bool:
    steps = pipeline.worker.steps
    if not isinstance(steps, Loop):
        return pipeline.worker.state in {"ended", "stopped"}
    ref = steps.newest.ref
    return ref.version == bundle.manifest.version and ref.digest in digests_of(bundle)


def _failed(pipelines: Sequence[Pipeline], noted: Mapping[str, Reason | None]) -> str | None:
    for one in pipelines:
        note = one.worker.note
        if note is not None and note.code == KEPT and note is not noted.get(one.name):
            return f"{one.name} {note.message}"
        if one.worker.state == "failed" and one.worker.reason is not None:
            return f"{one.name}: {one.worker.reason.message}"
    return None
