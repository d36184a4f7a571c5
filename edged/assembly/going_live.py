"""Has the pipelines run what is live now: each opens it beside the old one and swaps between two frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edged.control.remote import far_digest
from edged.domain.bundle import Bundle
from edged.domain.errors import EdgedError
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.loop import Loop

OPENS_WITHIN_S = 90.0
"""A model that takes longer to open and to run once is none that a pipeline could come up on after a failure, either."""
LOOK_S = 0.05
KEPT = "model-kept"
"""The keeper's code for a model that was looked for and did not open."""


class InterruptedWaitError(EdgedError):
    """edged ends meanwhile: nothing can be said of the model."""

    code = "stopping"


@dataclass(frozen=True, slots=True)
class GoingLive:
    """``lines`` gives what runs, ``model_of`` a pipeline's model by the pipeline's name, ``sleep`` waits and says whether edged ends."""

    lines: Callable[[], Sequence[Line]]
    model_of: Callable[[str], str | None]
    sleep: Callable[[float], bool]

    def look(self) -> None:
        """Let every pipeline look for what it shall run now; returns at once."""
        for line in self.lines():
            line.reload()

    def activate(self, bundle: Bundle) -> str | None:
        """Wait until every pipeline that ran this model runs this release; gives why one of them does not.

        A pipeline that did not run before is none that the release broke. Raises InterruptedWaitError.
        """
        concerned = [one for line in self.lines() for one in line.pipelines if self._is_concerned(one, bundle)]
        noted = {one.name: one.worker.note for one in concerned}
        self.look()
        for _ in range(int(OPENS_WITHIN_S / LOOK_S)):
            concerned = [one for one in concerned if not _runs(one, bundle)]
            failed = _failed(concerned, {name: note for name, note in noted.items() if note is not None})
            if failed or not concerned:
                return failed
            if self.sleep(LOOK_S):
                message = "cannot wait for the pipelines: edged ends, expected it to go on"
                raise InterruptedWaitError(message)
        names = ", ".join(one.name for one in concerned)
        return f"{names} did not take it within {OPENS_WITHIN_S:.0f} s"

    def _is_concerned(self, pipeline: Pipeline, bundle: Bundle) -> bool:
        return self.model_of(pipeline.name) == bundle.manifest.name and isinstance(pipeline.worker.steps, Loop)


def digests_of(bundle: Bundle) -> frozenset[str]:
    """Give the digests of a release's variants, as what runs names them; a server that runs it too stands for one of them."""
    return frozenset({f"sha256:{one.sha256}" for one in bundle.manifest.variant} | {far_digest(bundle.manifest.name)})


def _runs(pipeline: Pipeline, bundle: Bundle) -> bool:
    steps = pipeline.worker.steps
    if not isinstance(steps, Loop):
        return pipeline.worker.state in {"ended", "stopped"}
    ref = steps.newest.ref
    return ref.version == bundle.manifest.version and ref.digest in digests_of(bundle)


def _failed(pipelines: Sequence[Pipeline], noted: dict[str, object]) -> str | None:
    for one in pipelines:
        note = one.worker.note
        if note is not None and note.code == KEPT and note is not noted.get(one.name):
            return f"{one.name} {note.message}"
        if one.worker.state == "failed" and one.worker.reason is not None:
            return f"{one.name}: {one.worker.reason.message}"
    return None
