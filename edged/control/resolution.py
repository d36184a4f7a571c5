"""How well figures are known: what lies closer together, no second measurement can tell apart. Pure."""

from __future__ import annotations

from collections.abc import Mapping

SHARE = 0.05
"""The medians of two measurements of one file differ by some per cent on a box that does something else as well."""
LEAST_MS = 0.05
"""What a call may wait for a processor unnoticed (``benchmark.MAX_WAITED_NS``): networks that take microseconds are all equally fast."""
LEAST_MB = 0.5
"""Two children that load the same file differ by less: pages, and what the allocator keeps."""

LEAST: Mapping[str, float] = {
    "accuracy": 0.0,
    "rate": LEAST_MS,
    "latency": LEAST_MS,
    "energy": LEAST_MS,
    "memory": LEAST_MB,
}
"""By the names of ``ladder.FIGURES``; levels of accuracy are exact."""


def reach(name: str, value: float) -> float:
    """Give the largest figure that is as good as ``value``."""
    return value if name == "accuracy" else value + max(LEAST[name], SHARE * value)
