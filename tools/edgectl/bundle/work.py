"""What ``bundle quantize`` works on, and what it says of each file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgectl.bundle.judge import Verdict
from edgectl.bundle.samples import Sample
from edged.domain.bundle import Bundle

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table at the end.

    ``state`` is reference; written or refused, of what was made; present or faulty, of what was there; accepted or refused, of what
    was to be judged.
    """

    id: str
    runtime: str
    precision: str
    state: str
    verdict: Verdict
    kept: tuple[str, ...] = ()
    tries: int = 1

    def document(self) -> dict[str, Any]:
        """Give the same for ``--json``."""
        found = self.verdict
        return {
            "id": self.id,
            "runtime": self.runtime,
            "precision": self.precision,
            "state": self.state,
            "agreement": found.parity.agreement if found.parity else None,
            "figures": {figure.name: figure.value for figure in found.parity.figures} if found.parity else {},
            "accuracy": {"metric": found.score.metric, "value": found.score.value} if found.score else None,
            "latency_ms": round(found.latency_ms, 3),
            "bytes": found.size_bytes,
            "kept_in_float": list(self.kept),
            "tries": self.tries,
            "fault": found.fault,
        }


@dataclass(frozen=True, slots=True)
class Work:
    """What the flow stands on. ``on`` names the samples in the manifest; ``compiler`` is the Edge TPU's, or None."""

    bundle: Bundle
    samples: tuple[Sample, ...]
    on: str
    compiler: str | None
    tell: Tell


def accuracy_of(work: Work, verdict: Verdict) -> dict[str, Any] | None:
    """Give the manifest's figure, where the samples told the truth: agreement with the reference is not accuracy."""
    score = verdict.score
    return {"metric": score.metric, "on": work.on, "value": round(score.value, 4)} if score else None
