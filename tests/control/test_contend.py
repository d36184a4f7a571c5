from __future__ import annotations

from typing import Any

from edged.control.contend import contenders
from edged.domain.bundle import Variant
from edged.domain.figures import Figures
from edged.domain.variant import Rung
from fakes.box import bundle, variant


def rung(name: str, p50_ms: float, *, cpu_ms: float | None = None, memory: float = 20.0, level: int = 0) -> Rung:
    found: Variant = bundle(variant(name)).manifest.variant[0]
    row = Figures(1, 30, p50_ms, p50_ms * 2, p50_ms if cpu_ms is None else cpu_ms, 5.0, memory)
    return Rung(found, "cpu", 1, "possible", "", "meets", row, level)


def close(*rungs: Any) -> set[str]:
    return {name for name, _, _ in contenders(rungs)}


def test_what_is_slower_by_less_than_half_is_measured_again_with_the_first() -> None:
    assert close(rung("a", 2.0), rung("b", 2.9), rung("c", 3.0)) == {"a", "b"}


def test_what_is_more_accurate_smaller_or_cheaper_is_left_behind_by_nobody() -> None:
    assert close(rung("a", 2.0, level=1), rung("b", 9.0)) == {"a", "b"}
    assert close(rung("a", 2.0), rung("b", 9.0, memory=18.0)) == {"a", "b"}
    assert close(rung("a", 2.0), rung("b", 9.0, cpu_ms=2.5)) == {"a", "b"}


def test_of_networks_that_take_microseconds_only_memory_leaves_one_behind() -> None:
    assert close(rung("a", 0.002), rung("b", 0.02), rung("c", 0.003, memory=30.0)) == {"a", "b"}


def test_what_nobody_measured_is_no_contender() -> None:
    assert contenders([Rung(bundle(variant("a")).manifest.variant[0], "cpu", 1, "chosen", "")]) == frozenset()
