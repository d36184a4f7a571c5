"""What a rollout does next: a pure decision over its file, its stages, and what the boxes retain.

It keeps no truth of its own. Started anew, on another machine, it decides the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from edgectl.fleet.plan import Gates, Plan

MINUTE_S = 60.0


class Outcome(str, Enum):
    """How far one box has come."""

    QUEUED = "queued"
    SENT = "sent"
    UNDER_WAY = "under-way"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ROLLED_BACK = "rolled-back"
    TIMED_OUT = "timed-out"
    REJECTED = "rejected"
    """It does not apply to this box: no failure, and no success."""
    CANCELLED = "cancelled"
    """Another order took its place."""
    REVOKED = "revoked"
    """It was ordered back; however that ends, it is no success of this rollout."""


FAILURES = frozenset({Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.TIMED_OUT})
OUT_OF_IT = frozenset({Outcome.REJECTED, Outcome.CANCELLED, Outcome.REVOKED})
_REPORTED = {
    "committed": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "rolled-back": Outcome.ROLLED_BACK,
    "rejected": Outcome.REJECTED,
    "refused": Outcome.FAILED,
    "cancelled": Outcome.CANCELLED,
    "superseded": Outcome.CANCELLED,
}
"""What a box says of its order, and what that is here; everything else is under way."""


class Status(str, Enum):
    """How the rollout stands."""

    RUNNING = "running"
    SOAKING = "soaking"
    PAUSED = "paused"
    ABORTED = "aborted"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Box:
    """What one box retains, as far as this rollout is concerned. Times are Unix seconds."""

    device: str
    profile: str
    is_online: bool
    ordered_s: float | None = None
    """When this rollout's order was given, as the retained order says; None: it was not, or another took its place."""
    is_revoked: bool = False
    """Whether this rollout gave the order to go back."""
    reported: str = ""
    """The state of this rollout's order on the box; empty while it has not taken note of it."""
    since_s: float | None = None
    """When it came into that state."""
    online_s: float | None = None
    """Since when it is online, or offline."""
    p95_ratio: float | None = None
    """In service, against before the change."""
    error_share: float | None = None
    drifts: bool = False
    """Whether a pipeline that runs the model tells drift, since this rollout's order was given."""

    def outcome(self, now_s: float, timeout_s: float) -> Outcome:
        """Tell how far it has come."""
        if self.ordered_s is None:
            return Outcome.QUEUED
        if self.is_revoked:
            return Outcome.REVOKED
        told = _REPORTED.get(self.reported)
        if told is not None:
            return told
        # A box that comes back from a weekend has had no time yet.
        if self.is_online and now_s - max(self.ordered_s, self.online_s or 0.0) > timeout_s:
            return Outcome.TIMED_OUT
        return Outcome.UNDER_WAY if self.reported else Outcome.SENT

    def misses(self, gates: Gates) -> bool:
        """Whether its figures are worse than allowed, whatever it says of its success."""
        is_slow = self.p95_ratio is not None and self.p95_ratio > gates.p95_ratio
        is_failing = self.error_share is not None and self.error_share > gates.error_share
        return is_slow or is_failing or (gates.drift and self.drifts)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now: orders to give, orders to take back, and how it stands (``stage`` counts from 0)."""

    status: Status
    stage: int
    reason: str = ""
    send: tuple[str, ...] = ()
    revoke: tuple[str, ...] = ()


def decide(
    plan: Plan, stages: Sequence[Sequence[str]], boxes: Mapping[str, Box], now_s: float, told: Status | None = None
) -> Decision:
    """Decide. ``told`` is what the fleet manager asked for: paused or aborted; None: to go on.

    Whoever was asked to pause sends nothing and takes nothing back; an abort takes back what is not committed.
    """
    outcomes = {name: box.outcome(now_s, plan.timeout_s) for name, box in boxes.items()}
    failed = _too_many(plan, outcomes)
    if told is Status.PAUSED:
        return Decision(Status.PAUSED, _reached(stages, outcomes), failed or "it was paused by hand")
    # A box that was ordered back says so for whoever asks anew: what was aborted once is not begun again.
    if told is Status.ABORTED or failed or Outcome.REVOKED in outcomes.values():
        back = tuple(name for stage in stages for name in stage if _is_to_revoke(boxes[name], outcomes[name]))
        return Decision(Status.ABORTED, _reached(stages, outcomes), failed or "it was aborted", revoke=back)
    for index, names in enumerate(stages):
        held = _held(plan, index, names, boxes, outcomes, now_s)
        if held is not None:
            return held
    return Decision(Status.FINISHED, len(stages) - 1)


def _too_many(plan: Plan, outcomes: Mapping[str, Outcome]) -> str:
    """Say why it is over, or nothing. Strictly more than allowed: exactly at the threshold nothing happens."""
    failures = sum(one in FAILURES for one in outcomes.values())
    finished = failures + sum(one is Outcome.SUCCEEDED for one in outcomes.values())
    allowed = max(float(plan.abort.at_least), plan.abort.share * finished)
    if finished < plan.abort.min_finished or failures <= allowed:
        return ""
    return f"{failures} of {finished} boxes failed, expected at most {allowed:g}"


def _is_to_revoke(box: Box, outcome: Outcome) -> bool:
    return (
        box.ordered_s is not None
        and not box.is_revoked
        and outcome is not Outcome.SUCCEEDED
        and outcome not in OUT_OF_IT
    )


def _reached(stages: Sequence[Sequence[str]], outcomes: Mapping[str, Outcome]) -> int:
    begun = [index for index, names in enumerate(stages) if any(outcomes[name] is not Outcome.QUEUED for name in names)]
    return max(begun, default=0)


def _held(
    plan: Plan,
    index: int,
    names: Sequence[str],
    boxes: Mapping[str, Box],
    outcomes: Mapping[str, Outcome],
    now_s: float,
) -> Decision | None:
    """Say what keeps this stage from being over; None when it is."""
    queued = tuple(name for name in names if outcomes[name] is Outcome.QUEUED)
    if queued:
        return Decision(Status.RUNNING, index, send=queued[: _allowance(plan, boxes, now_s)])
    open_ = [name for name in names if outcomes[name] in {Outcome.SENT, Outcome.UNDER_WAY}]
    away = [name for name in open_ if not boxes[name].is_online]
    if len(away) > plan.gates.max_unknown * len(names):
        return Decision(Status.PAUSED, index, f"{len(away)} of {len(names)} boxes are offline: it waits for them")
    if len(open_) > len(away):
        return Decision(Status.RUNNING, index, f"{len(open_) - len(away)} boxes are under way")
    judged = [name for name in names if outcomes[name] is Outcome.SUCCEEDED or outcomes[name] in FAILURES]
    if names and Outcome.SUCCEEDED not in outcomes.values():
        return Decision(Status.PAUSED, index, "no box has shown yet that it works: it applies to none so far")
    return _gate(plan, index, [boxes[name] for name in judged], lambda box: outcomes[box.device], now_s)


def _allowance(plan: Plan, boxes: Mapping[str, Box], now_s: float) -> int:
    lately = sum(box.ordered_s is not None and now_s - box.ordered_s < MINUTE_S for box in boxes.values())
    return max(0, plan.per_minute - lately)


def _gate(
    plan: Plan, index: int, judged: Sequence[Box], outcome: Callable[[Box], Outcome], now_s: float
) -> Decision | None:
    if not judged:
        return None
    good = [box for box in judged if outcome(box) is Outcome.SUCCEEDED and not box.misses(plan.gates)]
    if len(good) < plan.gates.success * len(judged):
        slow = sum(outcome(box) is Outcome.SUCCEEDED for box in judged) - len(good)
        words = f"{len(good)} of {len(judged)} boxes are well, expected {plan.gates.success:.0%}"
        return Decision(Status.PAUSED, index, words + (f"; {slow} succeeded with worse figures" if slow else ""))
    # A box whose clock is wrong must not make the soak endless.
    last_s = max(min(now_s, max(box.since_s or 0.0, box.ordered_s or 0.0)) for box in good)
    left_s = last_s + plan.stage[index].soak_s - now_s
    return Decision(Status.SOAKING, index, f"{left_s:.0f} s of its soak are left") if left_s > 0 else None
