"""What the box does less of when it suffers, and when it does it again: one step at a time. Pure, with the time passed in.

Every second ``decide`` is given the pressure and what stands; it gives at most one step. Down after ``PATIENCE_S`` of pressure, at once
when it is critical; up after ``CALM_S`` of calm, twice as long each time that a step up did not last. What counts for a step up are the
signs that it bears upon: want of memory does not keep a motion gate strict. While one of them is merely near its limit, which it may be
for months, the wait is ``NEAR_TIMES`` as long. Within a kind of step the lowest priority goes first and the highest comes back first, so
that it is the last to suffer.
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
NEAR_TIMES = 20.0
"""Near a limit nobody knows whether a step up passes it but by trying: after ten minutes, and more rarely each time that it did."""
PROVEN_S = 60.0
"""A step up that pressure undoes sooner has failed, and the next one waits twice as long; near a limit ``NEAR_TIMES`` that."""
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
class Unrest:
    """A sign that was not calm: as it was last, and the last seconds at which it was near its limit and past it."""

    sign: Pressure
    near_s: float
    pressed_s: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the governor remembers between two rounds; times are monotonic seconds."""

    taken: Taken = field(default_factory=lambda: MappingProxyType({}))
    pressed_since_s: float | None = None
    unrest: Mapping[str, Unrest] = field(default_factory=lambda: MappingProxyType({}))
    """Signs that were not calm lately, by their names."""
    stepped_down_s: float | None = None
    stepped_up_s: float | None = None
    """When the last step up was taken, until it is proven or undone."""
    calm_needed_s: float = CALM_S
    proof_s: float = PROVEN_S
    """How long the last step up has to last."""
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
        if step is not None:
            return _stepped_down(noted, step, now_s), step
        noted = _given_up(noted, felt)
    step = _up(noted, felt, pipelines, now_s)
    return (noted, None) if step is None else (_stepped_up(noted, step, now_s), step)


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
    """Note since when it is pressed, what is not calm, and whether the last step up has proven itself."""
    is_pressed = pressure.level >= PRESSED
    since_s = standing.pressed_since_s
    noted = replace(
        standing,
        pressed_since_s=(now_s if since_s is None else since_s) if is_pressed else None,
        unrest=_unrest(standing.unrest, pressure, now_s),
    )
    up_s = standing.stepped_up_s
    if up_s is None or now_s - up_s < standing.proof_s or is_pressed:
        return noted
    return replace(noted, stepped_up_s=None, calm_needed_s=CALM_S)


def _unrest(before: Mapping[str, Unrest], pressure: Pressure, now_s: float) -> Mapping[str, Unrest]:
    """Note what is felt now; what was calm for longer than any step waits for is forgotten."""
    kept = {name: one for name, one in before.items() if now_s - one.near_s <= MAX_CALM_S}
    for sign in pressure.signs:
        known = before.get(sign.cause)
        pressed_s = now_s if sign.level >= PRESSED else known.pressed_s if known else None
        kept[sign.cause] = Unrest(sign, now_s, pressed_s)
    return MappingProxyType(kept)


def _is_due_down(standing: Standing, pressure: Pressure, now_s: float) -> bool:
    if standing.pressed_since_s is None:
        return False
    if pressure.level >= CRITICAL:
        return True
    # Where much is at stake, nobody waits for a heat sink.
    settle_s = SETTLE_S if pressure.level >= HARD else pressure.settle_s
    settled = standing.stepped_down_s is None or now_s - standing.stepped_down_s >= settle_s
    return settled and now_s - standing.pressed_since_s >= PATIENCE_S


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


def _up(standing: Standing, pressure: Pressure, pipelines: Sequence[Pipeline], now_s: float) -> Step | None:
    """Find the step that gives back the most of those that may be given back: what went last comes back first."""
    steps = [
        (KINDS.index(kind), before, one.priority, -order, Step(one.name, kind, before, before - 1, pressure))
        for order, one in enumerate(pipelines)
        for kind in KINDS
        if (before := standing.taken.get((one.name, kind), 0))
        and (one.name, kind) not in standing.barred
        and _is_due_up(standing, kind, one, pipelines, now_s)
    ]
    return max(steps, key=lambda row: row[:4])[4] if steps else None


def _is_due_up(standing: Standing, kind: Kind, one: Pipeline, pipelines: Sequence[Pipeline], now_s: float) -> bool:
    """Whether all that this step bears upon has been calm for long enough, or near its limit for much longer."""
    needed_s = standing.calm_needed_s
    stepped_s = max(standing.stepped_down_s or 0.0, standing.stepped_up_s or 0.0)
    felt = [unrest for unrest in standing.unrest.values() if _bears_upon(kind, one, unrest.sign, pipelines)]
    # A calm begins with its first round, not with the last one before it.
    if all(now_s - unrest.near_s > needed_s for unrest in felt):
        return now_s - stepped_s >= needed_s
    needed_s *= NEAR_TIMES
    is_eased = all(now_s - unrest.pressed_s > needed_s for unrest in felt if unrest.pressed_s is not None)
    return is_eased and now_s - stepped_s >= needed_s


def _bears_upon(kind: Kind, one: Pipeline, sign: Pressure, pipelines: Sequence[Pipeline]) -> bool:
    """Whether a step of this kind may have helped against a sign, and its way back may bring that on again."""
    late = next((other.priority for other in pipelines if other.name == sign.pipeline), None)
    return kind in sign.helps and (late is None or one.name == sign.pipeline or one.priority < late)


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
    """Note it. Where something is near its limit, the step has to last for longer before it counts as proven."""
    is_near = any(now_s - unrest.near_s <= standing.calm_needed_s for unrest in standing.unrest.values())
    proof_s = PROVEN_S * (NEAR_TIMES if is_near else 1.0)
    return replace(standing, taken=_with(standing.taken, step, step.after), stepped_up_s=now_s, proof_s=proof_s)


def _with(taken: Taken, step: Step, steps: int) -> Taken:
    changed = {**taken, (step.pipeline, step.kind): steps}
    return MappingProxyType({key: count for key, count in changed.items() if count})
