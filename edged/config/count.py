"""A bound on a number of things, as a rule writes it: ``>= 1``, ``== 0``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

Operator = Literal["<", "<=", "==", "!=", ">=", ">"]

COUNT_PATTERN = r"^\s*(<|<=|==|!=|>=|>)\s*([0-9]{1,6})\s*$"
_COUNT = re.compile(COUNT_PATTERN)

_HOLDS: dict[Operator, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Count:
    """An operator and the number on its right."""

    operator: Operator
    number: int

    def holds(self, found: int) -> bool:
        """Whether ``found`` things keep the bound."""
        return _HOLDS[self.operator](found, self.number)

    def __str__(self) -> str:
        """Give the text that ``parse`` reads."""
        return f"{self.operator} {self.number}"

    @classmethod
    def parse(cls, text: Any) -> Count:
        """Read ``>= 1`` and the like, or hand a Count through; ValueError for anything else."""
        if isinstance(text, Count):
            return text
        match = _COUNT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            message = f"cannot use {text!r} as a count, expected an operator and a number such as '>= 1'"
            raise ValueError(message)
        return cls(cast("Operator", match[1]), int(match[2]))
