"""Who says what: the user's flags, the file itself, a person at the terminal, and what is usual."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgectl.bundle.inputs import Guess

Ask = Callable[[str, Guess | None], Any]
"""Asks a person for a key, with what would be assumed; None where nobody can be asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A key's value, where it is from (flag, file, asked or assumed), and why."""

    key: str
    value: Any
    origin: str
    why: str


class Interview:
    """Settles one key after the other: the user's flag, then what the file says, then a person's answer, then what is usual."""

    def __init__(self, given: Mapping[str, Any], ask: Ask | None) -> None:
        self._given = given
        self._ask = ask
        self.answers: dict[str, Answer] = {}
        self.missing: list[str] = []

    def settle(self, key: str, guess: Guess | None = None, *, needed: bool = True) -> Any:
        """Give the value of ``key``, or None; a needed one that nobody gives is noted as missing."""
        if self._given.get(key) is not None:
            return self._keep(key, self._given[key], "flag", f"--{key.replace('_', '-')}")
        if guess is not None and guess.is_sure:
            return self._keep(key, guess.value, "file", guess.why)
        if not needed and guess is None:
            return None
        if self._ask is not None:
            return self._keep(key, self._ask(key, guess), "asked", "")
        if guess is not None:
            return self._keep(key, guess.value, "assumed", guess.why)
        self.missing.append(key)
        return None

    def lacks_shape(self) -> bool:
        """Tell whether the input is still unknown, without which no output can be looked at."""
        return not {"width", "height", "length", "channels"}.isdisjoint(self.missing)

    def _keep(self, key: str, value: Any, origin: str, why: str) -> Any:
        self.answers[key] = Answer(key, value, origin, why)
        return value
