"""How much a box suffers, and from what: signals in, a level with its cause out. Pure.

Level 0 is calm, 1 is near a limit, from 2 on the governor does less, 4 is critical. Thresholds: reference measurements of adaptive
systems agree on stepping before the trip point ("Play It Cool", 2022); each is a row of ``SIGNS``, and docs/reference/governor.md
is generated from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edged.control.steps import ALL, CALM, CRITICAL, FREEING, HARD, HASTENING, NEAR, PRESSED, Kind

MARGIN_C = 5.0
"""So far below the kernel's own limit the governor begins; a profile's limit is where it begins."""
SCALE_MB = 4096.0
"""Of a larger memory a share means less and less want: 7 % of 64 GiB is plenty."""

HARD_REACH_C = 5.0
"""So close to where the box stops itself nobody waits."""
STEEPEST_C = 15.0
"""In a second, at most: full load on every core lifts a bare die by some 10 °C in its first second, and by less under a sink."""

SETTLE_S = 4.0
"""A step down needs so long to show in a latency, which looks back."""
SLOW_S = 10.0
"""And so long in a temperature: silicon follows within seconds, a heat sink does not."""

Heat = tuple[float, float | None, float | None]
"""A temperature, where the kernel begins to slow, and where it stops the box."""


@dataclass(frozen=True, slots=True)
class Service:
    """How one pipeline served in the last seconds. None is unknown, or not asked for."""

    pipeline: str
    priority: int
    p95_ms: float | None = None
    """From capture to result."""
    objective_ms: float | None = None
    """What is asked for; None also where what runs was measured to take longer on a box that is well."""
    age_s: float | None = None
    """How old its frames were when the work on them began (p95)."""

    @property
    def lateness(self) -> float | None:
        """The latency as a share of its objective."""
        return self.p95_ms / self.objective_ms if self.p95_ms is not None and self.objective_ms else None


@dataclass(frozen=True, slots=True)
class Signals:
    """What the box feels in one round. Absent is None, never zero."""

    headroom_c: float | None = None
    """Degrees to the soft limit of processor or GPU, the nearest of all; below 0 it is passed."""
    critical_c: float | None = None
    """Degrees to the hard limit, where the box stops itself."""
    accelerator_headroom_c: float | None = None
    throttled: bool | None = None
    under_voltage: bool | None = None
    cpu_some_percent: float | None = None
    """Share of the last 10 s in which some task waited for a processor (PSI)."""
    memory_full_percent: float | None = None
    """Share of the last 10 s in which all tasks waited for memory (PSI)."""
    memory_free_percent: float | None = None
    """What is available of what there is: the smaller share of the box's and of the control group's."""
    swapped_mb_s: float | None = None
    """MiB a second that were read back from swap."""
    services: tuple[Service, ...] = ()


@dataclass(frozen=True, slots=True)
class Pressure:
    """The highest level that any sign gives; ``cause`` is that sign's name, ``figure`` its value, and ``words`` say both.

    ``helps`` are the kinds of step that relieve it; ``pipeline`` is the one that suffers, where it is one.
    """

    level: int
    cause: str = ""
    words: str = ""
    figure: float | None = None
    helps: frozenset[Kind] = ALL
    pipeline: str | None = None
    settle_s: float = SETTLE_S
    """What a step down needs to show."""
    behind: Pressure | None = None
    """Of lateness: the highest of what the box itself suffers from, which counts once nothing helps against the lateness."""
    felt: tuple[Pressure, ...] = ()
    """What each sign that is not calm gives; empty where this is the only one."""

    @property
    def signs(self) -> tuple[Pressure, ...]:
        """Everything that is not calm."""
        return self.felt or ((self,) if self.level > CALM else ())


@dataclass(frozen=True, slots=True)
class Sign:
    """One kind of signal: what it reads, and from which value on it counts as which level (rising, or falling where it is falling)."""

    name: str
    reads: Callable[[Signals], float | None]
    bounds: tuple[tuple[float, int], ...]
    """Value and level, mildest first."""
    text: str
    is_falling: bool = False
    """Whether less is worse."""
    helps: frozenset[Kind] = ALL
    settle_s: float = SETTLE_S
    whose: Callable[[Signals], str | None] = lambda _signals: None
    """The pipeline that it is about."""

    def level_of(self, value: float) -> int:
        """Give the highest level whose bound is met."""
        return max((level for bound, level in self.bounds if self._meets(value, bound)), default=CALM)

    def _meets(self, value: float, bound: float) -> bool:
        return value <= bound if self.is_falling else value >= bound


def latest(signals: Signals) -> Service | None:
    """Give the pipeline whose latency is the largest share of its objective; None where none has both."""
    late = [one for one in signals.services if one.lateness is not None]
    return max(late, key=lambda one: one.lateness or 0.0, default=None)


def oldest(signals: Signals) -> Service | None:
    """Give the pipeline whose frames waited longest."""
    return max((one for one in signals.services if one.age_s is not None), key=lambda one: one.age_s or 0, default=None)


SIGNS: tuple[Sign, ...] = (
    Sign(
        "temperature-hard",
        lambda signals: signals.critical_c,
        ((HARD_REACH_C, CRITICAL),),
        "{:.1f} °C below the limit where the box stops itself",
        is_falling=True,
    ),
    Sign(
        "temperature",
        lambda signals: signals.headroom_c,
        ((10.0, NEAR), (5.0, PRESSED), (0.0, HARD)),
        "{:.1f} °C below the soft limit",
        is_falling=True,
        settle_s=SLOW_S,
    ),
    Sign(
        "accelerator-temperature",
        lambda signals: signals.accelerator_headroom_c,
        ((10.0, NEAR), (5.0, PRESSED), (0.0, HARD)),
        "the accelerator is {:.1f} °C below its limit",
        is_falling=True,
        settle_s=SLOW_S,
    ),
    Sign(
        "throttled",
        lambda signals: signals.throttled,
        ((1.0, PRESSED),),
        "the box holds its processor back",
        settle_s=SLOW_S,
    ),
    Sign(
        "under-voltage",
        lambda signals: signals.under_voltage,
        ((1.0, PRESSED),),
        "the supply gives too little",
        settle_s=SLOW_S,
    ),
    Sign(
        "memory",
        lambda signals: signals.memory_free_percent,
        ((12.0, NEAR), (8.0, PRESSED), (4.0, HARD), (2.0, CRITICAL)),
        "{:.1f} % of the memory is left",
        is_falling=True,
        helps=FREEING,
    ),
    Sign(
        "memory-pressure",
        lambda signals: signals.memory_full_percent,
        ((2.0, NEAR), (10.0, PRESSED), (30.0, HARD)),
        "everything waited for memory {:.0f} % of the time",
        helps=FREEING,
    ),
    Sign(
        "swap",
        lambda signals: signals.swapped_mb_s,
        ((2.0, NEAR), (20.0, PRESSED)),
        "{:.0f} MiB/s come back from swap",
        helps=FREEING,
    ),
    Sign(
        "latency",
        lambda signals: late.lateness if (late := latest(signals)) else None,
        ((1.0, NEAR), (1.1, PRESSED), (2.0, HARD)),
        "takes {:.2f} times its objective",
        helps=HASTENING,
        whose=lambda signals: late.pipeline if (late := latest(signals)) else None,
    ),
    Sign(
        "age",
        lambda signals: old.age_s if (old := oldest(signals)) else None,
        ((0.5, NEAR), (2.0, PRESSED)),
        "its frames are {:.1f} s old when their turn comes",
        helps=HASTENING,
        whose=lambda signals: old.pipeline if (old := oldest(signals)) else None,
    ),
    # Busy processors alone are no trouble: nobody waits for a result in vain. To do more then would be rash.
    Sign("cpu-pressure", lambda signals: signals.cpu_some_percent, ((60.0, NEAR),), "tasks wait {:.0f} % of the time"),
)
"""The first of several with the highest level names the cause."""
LATENESS = frozenset({"latency", "age"})
"""Signs of which only the pipelines' owners suffer, not the box."""


def pressure(signals: Signals) -> Pressure:
    """Judge one round of signals."""
    worst = _worst(signals, SIGNS)
    if worst.cause not in LATENESS:
        return worst
    return replace(worst, behind=_worst(signals, (sign for sign in SIGNS if sign.name not in LATENESS)))


def plausible(now: Signals, before: Signals | None) -> Signals:
    """Give the signals without heat that only a broken sensor can show: from one second to the next, and without the kernel's own word.

    What falls within the hard limit's reach is acted upon at once, so that it takes two readings in a row, or a rise that silicon can do.
    """
    hot = now.critical_c is not None and now.critical_c <= HARD_REACH_C
    if not hot or now.critical_c is None or now.throttled:
        return now
    if before is not None and before.critical_c is not None and before.critical_c - now.critical_c <= STEEPEST_C:
        return now
    held = before if before is not None else Signals()
    return replace(now, critical_c=held.critical_c, headroom_c=held.headroom_c)


def _worst(signals: Signals, signs: Iterable[Sign]) -> Pressure:
    felt = [one for sign in signs if (one := _read(sign, signals)) is not None]
    worst = max(felt, key=lambda one: one.level, default=Pressure(CALM))
    return replace(worst, felt=tuple(felt))


def _read(sign: Sign, signals: Signals) -> Pressure | None:
    value = sign.reads(signals)
    level = CALM if value is None else sign.level_of(value)
    if value is None or level == CALM:
        return None
    whose, words = sign.whose(signals), sign.text.format(value)
    said = f"{whose} {words}" if whose else words
    return Pressure(level, sign.name, said, value, sign.helps, whose, sign.settle_s)


def headroom(
    heats: Iterable[Heat], soft_c: float | None = None, hard_c: float | None = None
) -> tuple[float | None, float | None]:
    """Give the degrees to the nearest soft limit and to the nearest hard one; None where none is known.

    Args:
        heats: the sensors' readings with the kernel's limits.
        soft_c: the profile's limit, which stands over the kernel's: the governor begins there and not ``MARGIN_C`` below.
        hard_c: likewise, where it does the least.
    """
    soft, hard = [], []
    for temp_c, kernel_soft_c, kernel_hard_c in heats:
        soft.append(_below(temp_c, soft_c, kernel_soft_c))
        hard.append(_below(temp_c, hard_c, kernel_hard_c))
    return _nearest(soft), _nearest(hard)


def memory_free_percent(available_mb: float | None, total_mb: float | None) -> float | None:
    """Give what is available in percent of what there is, or of ``SCALE_MB`` where there is more."""
    if available_mb is None or not total_mb:
        return None
    return min(100.0, 100.0 * available_mb / min(total_mb, SCALE_MB))


def _below(temp_c: float, own_c: float | None, kernel_c: float | None) -> float | None:
    if own_c is not None:
        return own_c + MARGIN_C - temp_c
    return None if kernel_c is None else kernel_c - temp_c


def _nearest(rooms: Iterable[float | None]) -> float | None:
    return min((room for room in rooms if room is not None), default=None)
