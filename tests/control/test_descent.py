"""The ladder is gone down by what was measured to be lighter, and up again the same way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edged.control.descent import Less, descend, reach
from edged.domain.bundle import Variant
from edged.domain.figures import Figures
from edged.domain.variant import Identity, Rung


def rung(name: str, cpu_ms: float | None = None, *, on: str = "cpu", threads: int = 1, memory_mb: float = 50.0) -> Rung:
    variant = Variant(id=name, file=f"{name}.onnx", sha256="0" * 64, runtime="onnx", precision="fp32", layout="nchw")
    figures = None if cpu_ms is None else Figures(threads, 100, cpu_ms, cpu_ms, cpu_ms, 5.0, memory_mb)
    return Rung(variant, on, threads, "possible", "", "meets" if figures else "unmeasured", figures)


LADDER = (
    rung("large", 40.0, threads=2),
    rung("large", 38.0),
    rung("medium", 39.0),
    rung("small", 20.0),
    rung("large", 5.0, on="cuda"),
    rung("tiny", 8.0),
    rung("unknown"),
)


def target(less: Less, rungs: tuple[Rung, ...] = LADDER) -> Identity:
    return descend(rungs, less)[0].identity


def test_there_are_as_many_steps_as_the_ladder_has() -> None:
    assert reach(LADDER) == {"threads": 1, "variant": 2, "device": 1}
    assert reach(()) == {}


@pytest.mark.parametrize(
    ("less", "identity"),
    [
        (Less(), ("large", "cpu", 2)),
        (Less(threads=1), ("large", "cpu", 1)),
        (Less(threads=1, variant=1), ("small", "cpu", 1)),
        (Less(variant=2), ("tiny", "cpu", 1)),
        (Less(variant=9), ("tiny", "cpu", 1)),
        (Less(variant=2, device=1), ("large", "cuda", 1)),
    ],
)
def test_each_step_leads_to_a_lighter_rung(less: Less, identity: Identity) -> None:
    assert target(less) == identity


def test_what_is_hardly_lighter_needs_more_memory_or_was_not_measured_is_no_step() -> None:
    rungs = (rung("large", 40.0), rung("medium", 39.0), rung("greedy", 10.0, memory_mb=90.0), rung("unknown"))

    assert reach(rungs)["variant"] == 0
    assert target(Less(variant=1), rungs) == ("large", "cpu", 1)


def test_what_another_makes_needless_is_no_step() -> None:
    needless = replace(rung("medium", 30.0), standing="dominated")

    assert target(Less(variant=1), (rung("large", 40.0), needless, rung("small", 20.0))) == ("small", "cpu", 1)


def test_behind_the_wanted_rung_stands_the_whole_ladder() -> None:
    tried = descend(LADDER, Less(variant=1))

    assert len(tried) == len(LADDER)
    assert tried[1:3] == LADDER[:2]
    assert descend((), Less(variant=1)) == ()


def test_no_steps_is_nothing_less() -> None:
    assert not Less()
    assert Less(device=1)
