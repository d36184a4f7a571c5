"""Shadow mode: whether a candidate that runs beside the live release, on one frame in so many, answers as that one does.

Pure: what was compared and the time in, a ruling out. It is there for releases that shall answer alike (another format, a smaller network,
a newer runtime); one that shall answer otherwise is ordered without, or with the agreement that is expected of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

LEAST_FRAMES = 20
"""Fewer say nothing of a share."""
LONGEST_S = 4 * 3600.0
"""As in the probation, and for its reason: where so little came until then, a later order must not wait for ever."""
MOST_FAILURES = 3
"""In a row: a candidate that gives no answer where the live release does, so often, is no accident of one frame."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Compared:
    """What was seen of the two so far."""

    frames: int = 0
    agreed: int = 0
    failures_in_a_row: int = 0
    """The latest frames, all of them, that the live release alone could answer."""
    last: str = ""
    """How they differed the last time."""
    lost: str = ""
    """Why the candidate can run no more."""

    def with_answer(self, difference: str | None) -> Compared:
        """Add a frame that both answered; ``difference`` says how the candidate's answer differs, None: they agree."""
        added = replace(self, frames=self.frames + 1, failures_in_a_row=0)
        return replace(added, agreed=self.agreed + 1) if difference is None else replace(added, last=difference)

    def without_answer(self, why: str) -> Compared:
        """Add a frame that the live release alone could answer."""
        return replace(self, frames=self.frames + 1, failures_in_a_row=self.failures_in_a_row + 1, last=why)

    def without_engine(self, why: str) -> Compared:
        """Note that the candidate's engine was lost: it crashed, hung, or failed for good."""
        return replace(self, lost=why)


@dataclass(frozen=True, slots=True)
class Demands:
    """What is asked: so many frames, and the share of them on which the two agree."""

    frames: int = 100
    agreement: float = 0.9


@dataclass(frozen=True, slots=True)
class Ruling:
    """``compare`` on, ``go-on`` to going live, ``refuse`` the order, or ``condemn`` the release; with the reason for people."""

    what: Literal["compare", "go-on", "refuse", "condemn"]
    reason: str = ""


GO_ON = Ruling("go-on")


def rule(seen: Compared, demands: Demands, elapsed_s: float) -> Ruling:
    """Rule on a candidate that has run beside the live release for ``elapsed_s``.

    Refused as soon as more frames differ than may of all that are asked for; exactly as many as may is fine.
    """
    if seen.lost or seen.failures_in_a_row >= MOST_FAILURES:
        return Ruling("condemn", f"in shadow it gave no answer: {seen.lost or seen.last}")
    is_over = seen.frames >= demands.frames or elapsed_s >= LONGEST_S
    if is_over and seen.frames < min(LEAST_FRAMES, demands.frames):
        return Ruling("go-on", f"{told(seen)} within {elapsed_s:.0f} s in shadow: too few to tell")
    asked = seen.frames if is_over else demands.frames
    if seen.frames - seen.agreed > (1 - demands.agreement) * asked + _ROUNDING:
        return Ruling(
            "refuse", f"{told(seen)} in shadow, expected {demands.agreement:.1%}; the last that did not: {seen.last}"
        )
    return Ruling("go-on" if is_over else "compare", f"{told(seen)} in shadow")


def told(seen: Compared) -> str:
    """Say for people how far the two agree."""
    return f"{seen.agreed} of {seen.frames} frames agree"
