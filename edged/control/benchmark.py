"""What is measured next, for how long, and what the samples say: pure, values in, values out.

A candidate is one file on one accelerator with a number of threads. It is measured once for its file's digest, the runtime's version and
the profile; what crashed, hung or did not open is remembered like a figure, so that it is not tried again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, inf

from edged.domain.figures import Figures, Measured, Subject

MAX_WAITED_SHARE = 0.1
MAX_WAITED_NS = 50_000
"""A call is undisturbed when its threads waited for a processor no longer than the larger of both: threads that wake each other wait some
microseconds by themselves, which is much of a call of 100 µs."""
MIN_CLEAN_RUNS = 10
"""With fewer undisturbed calls the box is too busy to measure."""
MIN_CLEAN_SHARE = 0.5
"""Of calls on several threads so many must be undisturbed: with few processors free, those are left in which one did all the work."""
PEAK_SHARE = 0.99
FEW_THREADS = 4
MEMORY_FACTOR, MEMORY_MB = 4, 96
"""What a child may take, roughly: runtimes keep a model's weights up to three times while they load, and 96 MiB are Python, NumPy, OpenCV
and a runtime (measured: 70 to 90)."""
FIRST_RETRY_S, LONGEST_RETRY_S = 60.0, 3600.0
SESSIONS = 3
"""How often a contender is measured: of three, the middle one is not the one from a bad moment."""
_NS_PER_MS = 1_000_000
_MIB = 1_048_576


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a file. ``place`` is its rung's on the ladder, 0 the chosen one."""

    variant: str
    subject: Subject
    threads: int
    place: int
    size_bytes: int
    is_usual: bool = True
    """Whether it would run with so many threads as long as nobody has measured it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What cannot be measured here and must not run: a crash, a hang, a file that the runtime refuses."""

    subject: Subject
    threads: int | None
    """None: with any number of threads."""
    reason: str
    at: str
    """When, RFC 3339 in UTC; a label only."""

    def covers(self, subject: Subject, threads: int) -> bool:
        """Whether this candidate is refused with it."""
        return self.subject == subject and self.threads in {None, threads}


@dataclass(frozen=True, slots=True)
class Later:
    """No figures this time, for a reason that lies in the box and may pass."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """Never to be tried again: the file crashes, hangs or is refused by its runtime."""

    reason: str
    any_threads: bool = True
    """Whether it would do so with any number of threads."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a candidate runs: at least ``min_runs`` calls and then until ``measure_s`` or ``max_runs``; time is that of its calls."""

    warmup_runs: int = 3
    min_runs: int = 30
    max_runs: int = 300
    measure_s: float = 1.0
    patience: float = 20.0
    """Of a network so slow that ``min_runs`` take this many times ``measure_s``, fewer runs have to do."""
    burst_ms: float = 100.0
    """A burst ends with the first call past it: after each the pace is asked."""
    deadline_s: float = 60.0
    """For loading, and for each burst, while nothing makes the child wait."""
    starved_s: float = inf
    """So long it may wait for a processor in one of those."""

    def is_enough(self, samples: Sequence[Sample]) -> bool:
        """Whether these samples do."""
        spent_s = sum(sample.wall_ns for sample in samples) / 1e9
        if len(samples) >= self.max_runs or spent_s >= self.patience * self.measure_s:
            return True
        clean = sum(sample.is_clean for sample in samples)
        return clean >= self.min_runs and spent_s >= self.measure_s


@dataclass(frozen=True, slots=True)
class Sample:
    """One call: by the wall clock, processor time over all threads, and how long threads waited for a processor."""

    wall_ns: int
    cpu_ns: int
    waited_ns: int

    @property
    def is_clean(self) -> bool:
        """Whether the box let it run."""
        return self.waited_ns <= max(MAX_WAITED_NS, MAX_WAITED_SHARE * self.wall_ns)


@dataclass(frozen=True, slots=True)
class Feel:
    """How the box felt before or after a run; None is unknown."""

    throttled: bool | None = None
    under_voltage: bool | None = None
    memory_free_mb: int | None = None
    """What is available, or what control groups still allow where that is less."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a child measured."""

    samples: tuple[Sample, ...]
    load_ms: float
    peak_memory_mb: float


Outcome = Run | Unfit | Later


def thread_counts(allowed: float | None) -> tuple[int, ...]:
    """Give the numbers of threads worth measuring on so many processors: each up to four, then half of them and all."""
    most = max(1, int(allowed or 1))
    few = range(1, min(most, FEW_THREADS) + 1)
    return tuple(sorted({*few, max(1, most // 2), most}))


def to_measure(
    candidates: Iterable[Candidate], measured: Iterable[Measured], refused: Collection[Refused]
) -> tuple[Candidate, ...]:
    """List what has no figures and is not refused: the chosen rung as it runs first, then small files before large ones."""
    known = {(one.subject, row.threads) for one in measured for row in one.figures}
    missing = [
        candidate
        for candidate in candidates
        if (candidate.subject, candidate.threads) not in known
        and not any(one.covers(candidate.subject, candidate.threads) for one in refused)
    ]
    return tuple(sorted(missing, key=_urgency))


def to_repeat(candidates: Iterable[Candidate], counts: Mapping[tuple[Subject, int], int]) -> tuple[Candidate, ...]:
    """List those of ``candidates`` that were measured less often than contenders are, the one measured least often first.

    ``counts`` says how often. In turns: a minute in which the box is slow is nobody's.
    """
    rare = [one for one in candidates if 0 < counts.get((one.subject, one.threads), 0) < SESSIONS]
    return tuple(sorted(rare, key=lambda one: (counts[one.subject, one.threads], *_urgency(one))))


def sessions(measured: Iterable[Measured]) -> Counter[tuple[Subject, int]]:
    """Count how often each subject was measured with each number of threads."""
    return Counter((one.subject, row.threads) for one in measured for row in one.figures)


def hindrance(feel: Feel, size_bytes: int = 0) -> str:
    """Say why a box that feels like this cannot measure a file of so many bytes now; empty when it can."""
    if feel.throttled:
        return "the box is throttled"
    if feel.under_voltage:
        return "the supply voltage is too low"
    need_mb = MEMORY_MB + MEMORY_FACTOR * size_bytes // _MIB
    if feel.memory_free_mb is not None and feel.memory_free_mb < need_mb:
        return f"{feel.memory_free_mb} MiB of memory are free, expected {need_mb} for a measurement"
    return ""


def judge(run: Run, threads: int, after: Feel) -> Figures | Later:
    """Give the figures, or why they must not be kept."""
    if after.throttled or after.under_voltage:
        return Later(f"{hindrance(after)} since it began")
    clean = sum(sample.is_clean for sample in run.samples)
    wanted = max(MIN_CLEAN_RUNS, MIN_CLEAN_SHARE * len(run.samples) if threads > 1 else 0)
    if clean < min(wanted, len(run.samples)) or not run.samples:
        return Later(f"the box is busy: {clean} of {len(run.samples)} calls had the processors that they asked for")
    return summary(run, threads)


def summary(run: Run, threads: int) -> Figures:
    """Give the figures of the undisturbed calls; where there are none, of all. Raises ValueError without any call."""
    samples = [sample for sample in run.samples if sample.is_clean] or list(run.samples)
    if not samples:
        message = "cannot sum up a run of no calls, expected at least one"
        raise ValueError(message)
    walls = [sample.wall_ns / _NS_PER_MS for sample in samples]
    return Figures(
        threads=threads,
        runs=len(samples),
        p50_ms=round(quantile(walls, 0.5), 4),
        p99_ms=round(quantile(walls, PEAK_SHARE), 4),
        cpu_ms=round(quantile([sample.cpu_ns / _NS_PER_MS for sample in samples], 0.5), 4),
        load_ms=round(run.load_ms, 2),
        peak_memory_mb=round(run.peak_memory_mb, 2),
    )


def disturbed_share(samples: Sequence[Sample]) -> float:
    """Give the share of calls that had to wait for a processor; 0 without calls."""
    return sum(not sample.is_clean for sample in samples) / max(1, len(samples))


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value that ``share`` of all are at or below (nearest rank: the smallest such value)."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def merged(measured: Iterable[Measured], new: Measured) -> tuple[Measured, ...]:
    """Put new figures among those that are kept: of a number of threads the last ``SESSIONS`` measurements stay, in their order."""
    known = tuple(measured)
    others = [one for one in known if one.subject != new.subject]
    rows = [*(row for one in known if one.subject == new.subject for row in one.figures), *new.figures]
    counts = sorted({row.threads for row in rows})
    figures = tuple(row for count in counts for row in [row for row in rows if row.threads == count][-SESSIONS:])
    return (*others, Measured(new.subject, figures, new.origin, new.at))


def retry_after_s(tries: int) -> float:
    """Give how long to leave a candidate alone that could not be measured so many times: a minute, doubled up to an hour."""
    return float(min(LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** min(tries - 1, 16)))


def overdue(waited_s: float, wall_s: float, effort: Effort, doing: str) -> Unfit | Later | None:
    """Say what it means that there is no answer yet: a hang, or a box that gives the child no processor; None while there is time."""
    if waited_s < effort.starved_s and wall_s < effort.deadline_s:
        return None
    if waited_s >= min(effort.starved_s, wall_s / 2):
        return Later(f"the box is busy: {doing} waited {waited_s:.0f} of {wall_s:.0f} s for a processor")
    return Unfit(f"{doing} did not end within {effort.deadline_s:g} s", any_threads=False)


def _urgency(candidate: Candidate) -> tuple[bool, int, int, bool, int]:
    return candidate.place != 0, candidate.size_bytes, candidate.place, not candidate.is_usual, candidate.threads
