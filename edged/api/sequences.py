"""Requests that belong together: what a model that remembers has to know of each sequence between two of its requests. Pure.

As Triton's clients have it: ``sequence_id`` tells sequences of one model apart, ``sequence_start`` begins one with an empty memory,
``sequence_end`` says that no more will come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edged.api.refusal import RefusedError, invalid

MOST_SEQUENCES = 256
"""Of one model at once: each keeps its memory, which is some kilobytes of a small network."""
IDLE_S = 60.0
"""So long nothing came before a sequence is over."""
MOST_NAME_CHARS = 128
"""As Triton's."""
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a sequence."""

    sequence: int | str
    is_first: bool = False
    is_last: bool = False


def step_of(parameters: Mapping[str, Any]) -> Step | None:
    """Read a request's parameters; None where they name no sequence, or number 0 or nothing, which is none. Raises RefusedError."""
    sequence = parameters.get("sequence_id", 0)
    flags = [parameters.get(name, False) for name in ("sequence_start", "sequence_end")]
    is_name = type(sequence) is str and len(sequence) <= MOST_NAME_CHARS
    if not (is_name or (type(sequence) is int and 0 <= sequence < 1 << 64)) or not all(
        type(one) is bool for one in flags
    ):
        message = (
            f"cannot read sequence_id {sequence!r:.40}: expected a number of 64 bits or {MOST_NAME_CHARS} characters, "
            "and true or false for sequence_start and sequence_end"
        )
        raise invalid(message)
    return Step(sequence, *flags) if sequence else None


class Sequences:
    """The memories of one model's sequences. One thread."""

    def __init__(self, most: int = MOST_SEQUENCES, idle_s: float = IDLE_S) -> None:
        self._most, self._idle_ns = most, int(idle_s * _NS_PER_S)
        self._kept: dict[int | str, tuple[Any, int]] = {}

    def __repr__(self) -> str:
        return f"<Sequences: {len(self._kept)} of {self._most}>"

    def recall(self, step: Step, now_ns: int) -> Any:
        """Give what the model remembers of a sequence; None at its beginning.

        Raises RefusedError: ``invalid`` for one that did not begin or was idle for too long, ``overloaded`` when it is one too many.
        """
        self._kept = {name: kept for name, kept in self._kept.items() if now_ns - kept[1] <= self._idle_ns}
        if step.is_first:
            if step.sequence not in self._kept and len(self._kept) >= self._most:
                message = f"cannot begin sequence {step.sequence!r}: {self._most} are under way, expected fewer"
                raise RefusedError(message, "overloaded", remedy="end some, or come again", retry_after_s=1.0)
            # Now, and not when it is answered: where that fails nothing may go on with what was before.
            self._kept.pop(step.sequence, None)
            return None
        if step.sequence not in self._kept:
            idle_s = self._idle_ns // _NS_PER_S
            seen = f"it has not begun, or nothing came for {idle_s} s"
            message = f"cannot go on with sequence {step.sequence!r}: {seen}, expected sequence_start"
            raise invalid(message)
        return self._kept[step.sequence][0]

    def keep(self, step: Step, memory: Any, now_ns: int) -> None:
        """Remember for the next request of a sequence, or forget it all after the last one."""
        if step.is_last:
            self._kept.pop(step.sequence, None)
        else:
            self._kept[step.sequence] = memory, now_ns
