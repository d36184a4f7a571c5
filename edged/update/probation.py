"""Probation: whether a model that has just gone live behaves at least as well on this box as the one before it did.

Pure: two stretches of conduct and the time in, a verdict out. The first gate that fails decides; the fleet reads its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import sqrt

LEAST_RESULTS = 20
"""Fewer results say nothing of a share or a p95."""
TIMED_RESULTS = 100
"""Or as few as an order asks for: the p95 of fewer tells what else the box did in those seconds."""
SHARE = 0.95
SURE_Z = 3.0
"""One false alarm in 740 looks at a model that fails as often as the one before it."""
FREE_SHARE = 0.01
"""A failed frame in a hundred costs no model its place, however good the one before was."""
FREE_CRASHES = 1
"""An accelerator that is unplugged, or hangs as it does every few hours, is no fault of the model that it ran."""
SLOWER = 1.5
"""Of the p95 before: less lies within what other load on the box does to either of the two."""
HEAVIER, HEAVIER_MB = 1.25, 64.0
"""Of the memory before, and besides: runtimes keep arenas that differ by some tens of MB from one load to the next."""
OTHER_SHARE = 0.35
"""Of the frames that tell something else than before. Coarse on purpose: a model that finds more is no fault, one that sees nothing is."""
SILENT_S = 300.0
"""Brokers restart and links flap; five minutes without one, of a box that had one, is what a bad model may do to it."""
DOWN_S = 120.0
"""What fails is built anew after a minute at most: after two it has failed several times in a row."""
LONGEST_S = 4 * 3600.0
"""Half a shift: where so little came until then, more waiting proves nothing, and a later order must not wait for ever."""


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a model behaved over a stretch, over all of its pipelines; None is not known."""

    results: int = 0
    """Answers and failures; a frame that nobody could have judged is none."""
    failures: int = 0
    """Frames without an answer by the model's or its engine's fault; what a camera did not give is none."""
    suspects: int = 0
    """Answers that the live self-test says not to believe."""
    crashes: int = 0
    """Of its engine. Crashed starts of the daemon are counted where they are found: at the start."""
    p95_ms: float | None = None
    """Capture to result."""
    p95_least_ms: float | None = None
    """What the p95 surely is at least (``sure_share``)."""
    memory_mb: float | None = None
    """Of the daemon and its children."""
    is_overheated: bool = False
    """Throttled, or above the hard limit."""
    told: Mapping[str, int] = field(default_factory=dict)
    """Frames by what they told: the best label, ``anomaly`` or ``normal``, ``nothing``."""
    unrest: float = 0.0
    """The largest share of frames by which two parts of the stretch differed: what the scene itself does."""
    silent_s: float | None = None
    """Since the broker was last there; None when it never was."""
    down_s: Mapping[str, float] = field(default_factory=dict)
    """Of the pipelines that ran the version before and are down now: for how long."""
    ever: int = 0
    """Results since it went live, where that is longer ago than the stretch began."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked of a candidate. ``latency_ms`` is the pipelines' objective, which excuses a slower model; ``is_used`` by a pipeline."""

    probation_s: float = 900.0
    min_results: int = 100
    latency_ms: float | None = None
    is_used: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """``watch`` on, ``commit``, or ``roll-back`` for ``reason``; a commit has one where too little was seen to prove anything."""

    what: str
    reason: str = ""


WATCH, COMMIT = Verdict("watch"), Verdict("commit")


def judge(before: Conduct | None, now: Conduct, terms: Terms, elapsed_s: float) -> Verdict:
    """Judge a candidate ``elapsed_s`` after it went live; ``before`` is its predecessor's conduct, None when there is none.

    A candidate that had too little to answer is watched on, ``LONGEST_S`` at most: silence is no proof, and no fault.
    """
    base = before or Conduct()
    for gate in _GATES:
        reason = gate(base, now, terms)
        if reason:
            return Verdict("roll-back", reason)
    return WATCH if elapsed_s < terms.probation_s or now.down_s else _at_the_end(now, terms, elapsed_s)


def _at_the_end(now: Conduct, terms: Terms, elapsed_s: float) -> Verdict:
    results = max(now.results, now.ever)
    if results >= terms.min_results:
        return COMMIT
    if not terms.is_used:
        return Verdict("commit", "no pipeline runs it")
    if elapsed_s < LONGEST_S:
        return WATCH
    if now.failures and now.failures == now.results:
        return Verdict("roll-back", f"gave no answer to any of {now.results} frames, expected some")
    return Verdict("commit", f"{results} of {terms.min_results} results came within {elapsed_s:.0f} s: too few to tell")


def _crashes(before: Conduct, now: Conduct, _terms: Terms) -> str:
    allowed = max(FREE_CRASHES, before.crashes)
    return f"crashed {now.crashes} times in probation, expected at most {allowed}" if now.crashes > allowed else ""


def _failures(before: Conduct, now: Conduct, _terms: Terms) -> str:
    allowed = _exceeded(before.failures, before.results, now.failures, now.results)
    if allowed is None:
        return ""
    return f"gave no answer to {now.failures} of {now.results} frames, expected at most {allowed:.1%}"


def _suspects(before: Conduct, now: Conduct, _terms: Terms) -> str:
    allowed = _exceeded(before.suspects, before.results, now.suspects, now.results)
    if allowed is None:
        return ""
    return f"{now.suspects} of {now.results} answers are suspect, expected at most {allowed:.1%}"


def _exceeded(before: int, before_of: int, now: int, now_of: int) -> float | None:
    """Give the share that was allowed, where ``now`` is surely more; None otherwise."""
    if now_of < LEAST_RESULTS:
        return None
    allowed = max(FREE_SHARE, before / before_of if before_of else 0.0)
    return allowed if surely_above(now, now_of) > allowed else None


def _down(_before: Conduct, now: Conduct, _terms: Terms) -> str:
    name, longest_s = max(now.down_s.items(), key=lambda one: one[1], default=("", 0.0))
    if longest_s < DOWN_S:
        return ""
    return f"{name} has been down for {longest_s:.0f} s, expected it to run as before"


def _latency(before: Conduct, now: Conduct, terms: Terms) -> str:
    least = max(LEAST_RESULTS, min(terms.min_results, TIMED_RESULTS))
    if now.results < least or now.p95_ms is None or now.p95_least_ms is None or before.p95_ms is None:
        return ""
    allowed_ms = max(SLOWER * before.p95_ms, terms.latency_ms or 0.0)
    if now.p95_least_ms <= allowed_ms:
        return ""
    return f"p95 {now.p95_ms:.1f} ms in service, expected at most {allowed_ms:.1f} ms (before: {before.p95_ms:.1f} ms)"


def _memory(before: Conduct, now: Conduct, _terms: Terms) -> str:
    if now.memory_mb is None or before.memory_mb is None:
        return ""
    allowed_mb = HEAVIER * before.memory_mb + HEAVIER_MB
    if now.memory_mb <= allowed_mb:
        return ""
    return (
        f"{now.memory_mb:.0f} MB in service, expected at most {allowed_mb:.0f} MB (before: {before.memory_mb:.0f} MB)"
    )


def _heat(before: Conduct, now: Conduct, _terms: Terms) -> str:
    is_new = now.is_overheated and not before.is_overheated
    return "the box overheats since it went live, expected it as cool as before" if is_new else ""


def _answers(before: Conduct, now: Conduct, _terms: Terms) -> str:
    if sum(now.told.values()) < LEAST_RESULTS or sum(before.told.values()) < LEAST_RESULTS:
        return ""
    allowed = max(OTHER_SHARE, 2 * before.unrest)
    observed = difference(before.told, now.told)
    if observed <= allowed:
        return ""
    return f"{observed:.0%} of the frames tell something else than before, expected at most {allowed:.0%}"


def _broker(before: Conduct, now: Conduct, _terms: Terms) -> str:
    # Only what worked before can have been broken by the model (balena's rule of the VPN).
    was_there = before.silent_s is not None and before.silent_s < SILENT_S
    if not was_there or now.silent_s is None or now.silent_s < SILENT_S:
        return ""
    return f"no broker for {now.silent_s:.0f} s since it went live, expected one as before"


_GATES: tuple[Callable[[Conduct, Conduct, Terms], str], ...] = (
    _crashes,
    _failures,
    _suspects,
    _down,
    _latency,
    _memory,
    _heat,
    _answers,
    _broker,
)


def surely_above(hits: int, tries: int) -> float:
    """Give the share that ``hits`` of ``tries`` surely exceeds: Wilson's lower bound (1927) at ``SURE_Z``; 0 for no tries."""
    if not tries:
        return 0.0
    share, square = hits / tries, SURE_Z**2
    middle = share + square / (2 * tries)
    spread = SURE_Z * sqrt(share * (1 - share) / tries + square / (4 * tries**2))
    return min(share, max(0.0, (middle - spread) / (1 + square / tries)))


def sure_share(tries: int) -> float:
    """Give the quantile of ``tries`` values that the true p95 surely is not below: the score test (Wilson 1927); 0 for few."""
    above = 1 - SHARE
    return max(0.0, SHARE - SURE_Z * sqrt(above * SHARE / tries)) if tries else 0.0


def difference(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Give the share of frames by which two counts differ: total variation distance, 0 for the same mix, 1 for nothing in common.

    0 when one of the two is empty: nothing is known then.
    """
    ones, others = sum(one.values()), sum(other.values())
    if not ones or not others:
        return 0.0
    return sum(abs(one.get(key, 0) / ones - other.get(key, 0) / others) for key in {*one, *other}) / 2
