"""What the box does less of when it suffers, and when it does it again: one step at a time. Pure, with the time passed in.

Every second ``decide`` is given the pressure and what stands; it gives at most one step. Down after ``PATIENCE_S`` of pressure, at once
when it is critical; up after ``CALM_S`` of calm, twice as long each time that a step up did not last. Within a kind of step the lowest
priority goes first and the highest comes back first, so that it is the last to suffer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from edged.control.pressure import LATENESS, SETTLE_S, Pressure
from edged.control.steps import CALM, CRITICAL, FROM_LEVEL, HARD, KINDS, PRESSED, Kind

PATIENCE_S = 2.0
"""Pressure that is over sooner was a burst."""
CALM_S = 30.0
MAX_CALM_S = 600.0
PROVEN_S = 60.0
"""A step up that pressure undoes sooner has failed, and the next one waits twice as long."""
BARRED_S = 600.0
"""A step that could not be done (a variant that does not open) is not tried again sooner."""
WORSE = 1.25
"""Lateness that no step helped is let be until it is worse by this factor."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a pipeline can do less of: for each kind, how many steps it has (0: none)."""

    name: str
    priority: int
    reach: Mapping[Kind, int]
    accelerator: str = "cpu"
    """What its model runs on."""


Taken = Mapping[tuple[str, Kind], int]
"""How many steps of a kind a pipeline has taken; absent is none."""


@dataclass(frozen=True, slots=True)
class Step:
    """One change: ``pipeline`` goes from ``before`` to ``after`` steps of ``kind``. ``why`` is the pressure that asked for it."""

    pipeline: str
    kind: Kind
    before: int
    after: int
    why: Pressure

    @property
    def is_down(self) -> bool:
        """Whether it does less."""
        return self.after > self.before


@dataclass(frozen=True, slots=True)
class Standing:
    """What the governor remembers between two rounds; times are monotonic seconds."""

    taken: Taken = field(default_factory=lambda: MappingProxyType({}))
    pressed_since_s: float | None = None
    calm_since_s: float | None = None
    stepped_down_s: float | None = None
    stepped_up_s: float | None = None
    """When the last step up was taken, until it is proven or undone."""
    calm_needed_s: float = CALM_S
    barred: Mapping[tuple[str, Kind], float] = field(default_factory=lambda: MappingProxyType({}))
    """Until when steps of a kind are left alone, since one could not be done."""
    futile: tuple[str, float] | None = None
    """A cause of lateness, and its figure when every step that helps was taken and it was late all the same."""


def decide(
    standing: Standing, pressure: Pressure, pipelines: Sequence[Pipeline], now_s: float
) -> tuple[Standing, Step | None]:
    """Give what stands from now on, and the one step that is to be taken, if any."""
    standing = _forgetting(standing, pipelines, now_s)
    futile = _still_futile(standing.futile, pressure)
    is_hopeless = futile is not None and futile[0] == pressure.cause
    felt = (pressure.behind or replace(pressure, level=CALM)) if is_hopeless else pressure
    noted = _noted(replace(standing, futile=futile), felt, now_s)
    if _is_due_down(noted, felt, now_s):
        step = _down(noted, felt, pipelines)
        return (_given_up(noted, felt), None) if step is None else (_stepped_down(noted, step, now_s), step)
    if _is_due_up(noted, now_s):
        step = _up(noted, felt, pipelines)
        return (noted, None) if step is None else (_stepped_up(noted, step, now_s), step)
    return noted, None


def failed(standing: Standing, step: Step, now_s: float) -> Standing:
    """Take back a step that could not be done: a variant that does not open. Another kind is tried meanwhile."""
    return replace(
        standing,
        taken=_with(standing.taken, step, step.before),
        stepped_up_s=None,
        barred=MappingProxyType({**standing.barred, (step.pipeline, step.kind): now_s + BARRED_S}),
    )


def _forgetting(standing: Standing, pipelines: Iterable[Pipeline], now_s: float) -> Standing:
    """Drop what stands of pipelines that are gone, or that reach less far than before, and what was barred long enough."""
    reach = {(one.name, kind): steps for one in pipelines for kind, steps in one.reach.items()}
    kept = {key: min(steps, reach[key]) for key, steps in standing.taken.items() if reach.get(key)}
    barred = {key: until_s for key, until_s in standing.barred.items() if until_s > now_s}
    return replace(standing, taken=MappingProxyType(kept), barred=MappingProxyType(barred))


def _still_futile(futile: tuple[str, float] | None, pressure: Pressure) -> tuple[str, float] | None:
    """Whether lateness is still no reason to do less: it is neither over nor much worse than when nothing helped."""
    if futile is None:
        return None
    cause, figure = futile
    if pressure.cause == cause:
        return None if (pressure.figure or 0.0) > WORSE * figure else futile
    return None if pressure.level == CALM else futile


def _given_up(standing: Standing, pressure: Pressure) -> Standing:
    """Note that a pipeline is late whatever is done: an objective that nothing meets must not keep everything down for ever."""
    if pressure.cause not in LATENESS or pressure.figure is None:
        return standing
    return replace(standing, futile=(pressure.cause, pressure.figure), pressed_since_s=None)


def _noted(standing: Standing, pressure: Pressure, now_s: float) -> Standing:
    """Note since when it is pressed or calm, and whether the last step up has proven itself."""
    is_pressed = pressure.level >= PRESSED
    noted = replace(
        standing,
        pressed_since_s=_since(standing.pressed_since_s, is_pressed, now_s),
        calm_since_s=_since(standing.calm_since_s, pressure.level == CALM, now_s),
    )
    up_s = standing.stepped_up_s
    if up_s is None or now_s - up_s < PROVEN_S or is_pressed:
        return noted
    return replace(noted, stepped_up_s=None, calm_needed_s=CALM_S)


def _since(since_s: float | None, holds: bool, now_s: float) -> float | None:  # noqa: FBT001 - named at its two calls
    if not holds:
        return None
    return now_s if since_s is None else since_s


def _is_due_down(standing: Standing, pressure: Pressure, now_s: float) -> bool:
    if standing.pressed_since_s is None:
        return False
    if pressure.level >= CRITICAL:
        return True
    # Where much is at stake, nobody waits for a heat sink.
    settle_s = SETTLE_S if pressure.level >= HARD else pressure.settle_s
    settled = standing.stepped_down_s is None or now_s - standing.stepped_down_s >= settle_s
    return settled and now_s - standing.pressed_since_s >= PATIENCE_S


def _is_due_up(standing: Standing, now_s: float) -> bool:
    if not standing.taken or standing.calm_since_s is None:
        return False
    latest = max(standing.calm_since_s, standing.stepped_down_s or 0.0, standing.stepped_up_s or 0.0)
    return now_s - latest >= standing.calm_needed_s


def _down(standing: Standing, pressure: Pressure, pipelines: Sequence[Pipeline]) -> Step | None:
    """Find the step that costs the least: by kind, then by how far it goes, then by priority."""
    spared = max(pipelines, key=lambda one: one.priority, default=None)
    late = next((one.priority for one in pipelines if one.name == pressure.pipeline), None)
    steps = [
        (KINDS.index(kind), before, one.priority, -order, Step(one.name, kind, before, before + 1, pressure))
        for order, one in enumerate(pipelines)
        for kind in KINDS
        if (before := standing.taken.get((one.name, kind), 0)) < one.reach.get(kind, 0)
        and (one.name, kind) not in standing.barred
        and _relieves(kind, one, pressure)
        and (late is None or one.name == pressure.pipeline or one.priority < late)
        and not (kind == "pause" and one is spared)
    ]
    return min(steps, key=lambda row: row[:4])[4] if steps else None


def _relieves(kind: Kind, pipeline: Pipeline, pressure: Pressure) -> bool:
    """Whether a step of this kind helps, and the pressure is worth it. Work leaves a device only for that device's own sake."""
    if kind not in pressure.helps or pressure.level < FROM_LEVEL[kind]:
        return False
    return kind != "device" or (pressure.cause == "accelerator-temperature") == (pipeline.accelerator != "cpu")


def _up(standing: Standing, pressure: Pressure, pipelines: Sequence[Pipeline]) -> Step | None:
    """Find the step that gives back the most: what went last comes back first."""
    steps = [
        (KINDS.index(kind), before, one.priority, -order, Step(one.name, kind, before, before - 1, pressure))
        for order, one in enumerate(pipelines)
        for kind in KINDS
        if (before := standing.taken.get((one.name, kind), 0)) and (one.name, kind) not in standing.barred
    ]
    return max(steps, key=lambda row: row[:4])[4] if steps else None


def _stepped_down(standing: Standing, step: Step, now_s: float) -> Standing:
    failed_up = standing.stepped_up_s is not None
    calm_s = min(MAX_CALM_S, 2 * standing.calm_needed_s) if failed_up else standing.calm_needed_s
    return replace(
        standing,
        taken=_with(standing.taken, step, step.after),
        stepped_down_s=now_s,
        stepped_up_s=None,
        calm_needed_s=calm_s,
    )


def _stepped_up(standing: Standing, step: Step, now_s: float) -> Standing:
    return replace(standing, taken=_with(standing.taken, step, step.after), stepped_up_s=now_s)


def _with(taken: Taken, step: Step, steps: int) -> Taken:
    changed = {**taken, (step.pipeline, step.kind): steps}
    return MappingProxyType({key: count for key, count in changed.items() if count})
