"""Lets the governor loose on a scenario: its own functions on a made-up clock, and a box that answers to its steps."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.scenario import Reading, Scenario, Worker
from edged.control.governor import Pipeline, Standing, Step, Taken, decide
from edged.control.pressure import Pressure, Service, Signals, headroom, plausible, pressure
from edged.control.steps import KINDS, Kind

COST: dict[Kind, float] = {"gate": 0.75, "rate": 0.5, "threads": 0.9, "variant": 0.6, "device": 0.4, "pause": 0.0}
"""What each step leaves of a pipeline's work; what the shipped models' ladders give, rounded."""
LATENCY: dict[Kind, float] = {"threads": 1.3, "variant": 0.6, "device": 0.5}
"""What each step leaves of its latency."""
MEMORY: dict[Kind, float] = {"variant": 0.6, "device": 0.5, "pause": 0.0}
HALF = 0.5


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a run: what was felt, what was judged, what was done, and what stands then."""

    at_s: int
    temperature_c: float | None
    memory_free_percent: float | None
    latency_ms: dict[str, float]
    pressure: Pressure
    step: Step | None
    rungs: dict[str, int]
    """Steps down by pipeline, over all kinds."""


def simulate(scenario: Scenario) -> list[Second]:
    """Run a scenario from its first second to its last. The same scenario gives the same run."""
    pipelines = [Pipeline(one.name, one.priority, one.reach) for one in scenario.pipeline]
    standing, cooled_c = Standing(), 0.0
    before: Signals | None = None
    seconds = []
    for at_s in range(scenario.seconds):
        taken = standing.taken
        cooled_c += (scenario.heat_c * (1 - _left(scenario, taken, COST)) - cooled_c) / scenario.lag_s
        read = scenario.value("temperature_c", at_s)
        temperature_c = None if read is None else read - cooled_c
        latency_ms = {one.name: _latency(scenario, one, taken, at_s) for one in scenario.pipeline}
        signals = _signals(scenario, taken, at_s, temperature_c, latency_ms)
        felt, before = pressure(plausible(signals, before)), signals
        standing, step = decide(standing, felt, pipelines, float(at_s))
        rungs = {one.name: sum(standing.taken.get((one.name, kind), 0) for kind in KINDS) for one in pipelines}
        seconds.append(Second(at_s, temperature_c, signals.memory_free_percent, latency_ms, felt, step, rungs))
    return seconds


def _signals(
    scenario: Scenario, taken: Taken, at_s: int, temperature_c: float | None, latency_ms: dict[str, float]
) -> Signals:
    heats = [] if temperature_c is None else [(temperature_c, None, None)]
    soft_c, hard_c = headroom(heats, scenario.soft_c, scenario.hard_c)
    accelerator_c = scenario.value("accelerator_c", at_s)
    free = scenario.value("memory_free_percent", at_s)
    freed = scenario.memory_percent * (1 - _left(scenario, taken, MEMORY))
    return Signals(
        headroom_c=soft_c,
        critical_c=hard_c,
        accelerator_headroom_c=None if accelerator_c is None else scenario.soft_c - accelerator_c,
        throttled=_flag(scenario, "throttled", at_s),
        under_voltage=_flag(scenario, "under_voltage", at_s),
        cpu_some_percent=scenario.value("cpu_some_percent", at_s),
        memory_full_percent=scenario.value("memory_full_percent", at_s),
        memory_free_percent=None if free is None else min(100.0, free + freed),
        swapped_mb_s=scenario.value("swapped_mb_s", at_s),
        services=tuple(
            Service(one.name, one.priority, latency_ms[one.name], one.objective_ms)
            for one in scenario.pipeline
            if not taken.get((one.name, "pause"))
        ),
    )


def _flag(scenario: Scenario, reading: Reading, at_s: int) -> bool | None:
    value = scenario.value(reading, at_s)
    return None if value is None else value >= HALF


def _left(scenario: Scenario, taken: Taken, factors: dict[Kind, float]) -> float:
    """Give the share of all pipelines' work or memory that the steps leave, each pipeline counting the same."""
    shares = [_share(one, taken, factors) for one in scenario.pipeline]
    return sum(shares) / len(shares)


def _share(one: Worker, taken: Taken, factors: dict[Kind, float]) -> float:
    share = 1.0
    for kind, factor in factors.items():
        share *= factor ** taken.get((one.name, kind), 0)
    return share


def _latency(scenario: Scenario, one: Worker, taken: Taken, at_s: int) -> float:
    slowness = scenario.value("slowness", at_s)
    return one.latency_ms * (1.0 if slowness is None else slowness) * _share(one, taken, LATENCY)
