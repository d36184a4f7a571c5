"""Where a number stands in a JSON document: ``a.b[0].c``. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edged.domain.errors import ConfigError

_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]{1,6})\]")


@dataclass(frozen=True, slots=True)
class Path:
    """Keys and indexes from a document's top to a value. A leading ``$`` or ``$.`` means the top, as in JSONPath."""

    steps: tuple[str | int, ...]

    @classmethod
    def parse(cls, text: str) -> Path:
        """Read the dotted form. Raises ConfigError when it is none."""
        rest = text.removeprefix("$").removeprefix(".")
        steps: list[str | int] = []
        at = 0
        while at < len(rest):
            if steps and rest[at] == ".":
                at += 1
            found = _STEP.match(rest, at)
            if found is None or (steps and found[1] is not None and rest[at - 1] != "."):
                message = (
                    f"cannot read path {text!r}: stuck at {rest[at:]!r}, expected keys and indexes such as data[0].x"
                )
                raise ConfigError(message)
            steps.append(found[1] if found[1] is not None else int(found[2]))
            at = found.end()
        return cls(tuple(steps))

    def find(self, document: Any) -> Any:
        """Give the value, or None when there is none at this path."""
        value = document
        for step in self.steps:
            if isinstance(step, str) and isinstance(value, dict):
                value = value.get(step)
            elif isinstance(step, int) and isinstance(value, list) and step < len(value):
                value = value[step]
            else:
                return None
        return value


def numbers_at(document: Any, paths: Sequence[Path]) -> list[float] | None:
    """Give the numbers at the paths, or None when one is missing or no number (true and false are none)."""
    numbers: list[float] = []
    for path in paths:
        value = path.find(document)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        try:
            numbers.append(float(value))
        except OverflowError:  # JSON's whole numbers have no bound
            return None
    return numbers
