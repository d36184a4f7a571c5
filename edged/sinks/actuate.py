"""Whether an action is done about an event: its phase, how often, and what has to be so. Decisions only; who calls brings the time.

What ends a lasting action is always done: a limit that is reached must not leave a lamp on, or a belt stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Document = Mapping[str, Any]
MINUTE_NS = 60_000_000_000
RATE_LIMITED, INTERLOCKED = "rate-limited", "interlocked"

Answer = Literal["do", "leave", "refuse"]


class Actuator(Protocol):
    """What has an effect. Owned by one thread."""

    def do(self, document: Document) -> None:
        """Do it about an event; may take seconds. Raises EdgedError with what went wrong."""

    def tick(self) -> float | None:
        """Do what time asks for; gives the seconds until it asks again, None when it does not."""

    def close(self) -> None:
        """Leave the world as it shall be without edged. May be called twice."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``leave``: this phase is none of its business. ``code`` and ``why`` say why it is refused."""

    answer: Answer
    code: str = ""
    why: str = ""


def source_of(document: Document) -> tuple[str, str]:
    """Name the rule that an event is of: its pipeline and its own name."""
    return str(document["pipeline"]), str(document["rule"])


class Guard:
    """Judges one action. Owned by one thread."""

    def __init__(self, on: Collection[str], at_most_per_min: int, *, lasts: bool = False) -> None:
        """``on`` are the phases that begin it.

        With ``lasts`` the end of what began it ends it, and what goes on begins it where the start did not: it was refused,
        or heard before a configuration that says something else.
        """
        self._on = frozenset(on) | ({"ongoing"} if lasts else set())
        self._most, self._lasts = at_most_per_min, lasts
        self._begun: deque[int] = deque()
        self._lasting: set[tuple[str, str]] = set()

    def judge(self, document: Document, now_ns: int, hindrance: Callable[[], str]) -> Verdict:
        """Say whether it is done. ``hindrance`` is asked only when nothing else is in the way; empty is none."""
        phase, source = str(document["phase"]), source_of(document)
        if self._lasts and phase == "end":
            was_begun = source in self._lasting
            self._lasting.discard(source)
            return Verdict("do" if was_begun else "leave")
        if phase not in self._on or (source in self._lasting and phase == "ongoing"):
            return Verdict("leave")
        while self._begun and now_ns - self._begun[0] >= MINUTE_NS:
            self._begun.popleft()
        if len(self._begun) >= self._most:
            why = f"it was begun {len(self._begun)} times within a minute, expected at most {self._most}"
            return Verdict("refuse", RATE_LIMITED, why)
        if found := hindrance():
            return Verdict("refuse", INTERLOCKED, found)
        self._begun.append(now_ns)
        if self._lasts:
            self._lasting.add(source)
        return Verdict("do")
