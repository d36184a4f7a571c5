"""How a box or a part of it is, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Grade = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is not well: a stable ``code``, the ``component``, what happened, since when, and the next step.

    ``since_mono_ns`` is the monotonic clock. ``fatal`` means that the component does no work at all, ``informs`` that nothing is wrong:
    it is worth knowing, and passes by itself.
    """

    code: str
    component: str
    message: str
    since_mono_ns: int
    remedy: str = ""
    fatal: bool = False
    informs: bool = False


def grade(reasons: Sequence[Reason], working: int) -> Grade:
    """Give ``failed`` when something is wrong and no part works, ``degraded`` when something is wrong, else ``ok``."""
    if all(reason.informs for reason in reasons):
        return "ok"
    return "degraded" if working else "failed"
