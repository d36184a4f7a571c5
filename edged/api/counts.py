"""What a served model has done, in the protocol's statistics: how often, and how long each part took. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True, slots=True)
class Took:
    """One request: nanoseconds that it waited, and that each part of its answer took."""

    queue_ns: int
    input_ns: int = 0
    infer_ns: int = 0
    output_ns: int = 0

    @property
    def whole_ns(self) -> int:
        """From its arrival to its answer."""
        return self.queue_ns + self.input_ns + self.infer_ns + self.output_ns


@dataclass(slots=True)
class Counts:
    """Requests of one model since it was loaded. ``refused`` counts by the refusal's kind what never came to the engine."""

    _parts: dict[str, list[int]] = field(default_factory=lambda: {part: [0, 0] for part in PARTS})
    _refused: dict[str, int] = field(default_factory=dict)
    _runs: int = 0
    _batches: dict[int, list[int]] = field(default_factory=dict)
    _last_ms: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, took: Took, at_ms: int, *, runs: int = 1) -> None:
        """Count an answer; ``at_ms`` is Unix time. ``runs`` is 0 for one that another's run brought along."""
        spent = {
            "success": took.whole_ns,
            "queue": took.queue_ns,
            "compute_input": took.input_ns,
            "compute_infer": took.infer_ns,
            "compute_output": took.output_ns,
        }
        with self._lock:
            self._runs += runs
            self._last_ms = at_ms
            self._add(spent)

    def ran(self, items: int, took_ns: int) -> None:
        """Count a run by the items that it answered."""
        with self._lock:
            counted = self._batches.setdefault(items, [0, 0])
            counted[0] += 1
            counted[1] += took_ns

    def failed(self, took: Took) -> None:
        """Count one that the engine, or a decoder, could not answer."""
        with self._lock:
            self._add({"fail": took.whole_ns})

    def refused(self, kind: str) -> None:
        """Count one that was turned away."""
        with self._lock:
            self._refused[kind] = self._refused.get(kind, 0) + 1

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many were turned away, by kind."""
        with self._lock:
            return dict(self._refused)

    def document(self) -> dict[str, object]:
        """Give what the protocol's statistics say of a model, without its name."""
        with self._lock:
            told = {part: {"count": counted, "ns": ns} for part, (counted, ns) in self._parts.items()}
            none = {"count": 0, "ns": 0}
            return {
                "last_inference": self._last_ms,
                "inference_count": told["success"]["count"],
                "execution_count": self._runs,
                "inference_stats": {**told, "cache_hit": none, "cache_miss": none},
                "batch_stats": [
                    {
                        "batch_size": size,
                        "compute_input": none,
                        "compute_infer": {"count": runs, "ns": ns},
                        "compute_output": none,
                    }
                    for size, (runs, ns) in sorted(self._batches.items())
                ],
            }

    def _add(self, spent: Mapping[str, int]) -> None:
        for part, ns in spent.items():
            counted = self._parts[part]
            counted[0] += 1
            counted[1] += ns
