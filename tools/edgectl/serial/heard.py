"""What a line gave at one setting. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Parity = Literal["none", "even", "odd"]
Bits = Literal[7, 8]


@dataclass(frozen=True, slots=True)
class Setting:
    """How a line is sampled."""

    baud: int
    data_bits: Bits = 8
    parity: Parity = "none"

    def __str__(self) -> str:
        """Write it as manuals do: 115200 8N1."""
        return f"{self.baud} {self.data_bits}{self.parity[0].upper()}1"


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes that came at a setting. ``faults``: frames without a stop bit or with a wrong parity; None where no driver counts them.

    ``seconds`` is from the first byte to the last, ``waited_s`` how long was listened in all.
    """

    setting: Setting
    data: bytes
    seconds: float
    waited_s: float
    faults: int | None = None

    @property
    def fault_share(self) -> float:
        """The share of the characters that were none, 0..1."""
        return min(1.0, (self.faults or 0) / max(1, len(self.data)))
