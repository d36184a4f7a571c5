"""What a Modbus device's registers stand for, and with which requests they are read. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edged.domain.errors import ConfigError

Kind = Literal["holding", "input", "coil", "discrete"]
ValueType = Literal["bool", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"]
WordOrder = Literal["big", "little"]

_FORMATS: dict[ValueType, str] = {
    "u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q", "i64": ">q", "f32": ">f", "f64": ">d",
}  # fmt: skip

MAX_COUNTS: dict[Kind, int] = {"holding": 125, "input": 125, "coil": 2000, "discrete": 2000}
"""The most that one request may ask for (Modbus Application Protocol 1.1b3, 6.1 to 6.4)."""


@dataclass(frozen=True, slots=True)
class Register:
    """One number of a device. ``address`` counts from 0, as on the wire; ``value = raw * scale + offset``."""

    name: str
    address: int
    kind: Kind = "holding"
    type: ValueType = "u16"
    word_order: WordOrder = "big"
    scale: float = 1.0
    offset: float = 0.0

    @property
    def count(self) -> int:
        """How many registers, coils or inputs it takes."""
        return 1 if self.type == "bool" else struct.calcsize(_FORMATS[self.type]) // 2


@dataclass(frozen=True, slots=True)
class Request:
    """Neighbours that are read at once."""

    kind: Kind
    address: int
    count: int


Answers = Mapping[tuple[Kind, int], int]
"""What was read: raw words and bits by kind and address."""


def plan(registers: Sequence[Register]) -> tuple[Request, ...]:
    """Give as few requests as read these registers and no other: many devices refuse an address that they do not have.

    Raises:
        ConfigError: a number of words where there are bits, or the reverse.
    """
    for one in registers:
        if (one.type == "bool") != (one.kind in {"coil", "discrete"}):
            message = f"cannot read {one.type} {one.name!r} from {one.kind}, expected bool from coil and discrete, numbers from the others"
            raise ConfigError(message)
    requests: list[Request] = []
    for one in sorted(registers, key=lambda one: (one.kind, one.address, one.count)):
        last = requests[-1] if requests else None
        end = one.address + one.count
        if last and last.kind == one.kind and one.address <= last.address + last.count:
            count = max(last.count, end - last.address)
            if count <= MAX_COUNTS[one.kind]:
                requests[-1] = Request(one.kind, last.address, count)
                continue
        requests.append(Request(one.kind, one.address, one.count))
    return tuple(requests)


def value_of(register: Register, answers: Answers) -> float:
    """Give the number that the words stand for. The high byte comes first in a word (Modbus, 4.2); words as told."""
    words = [answers[register.kind, register.address + i] for i in range(register.count)]
    if register.type == "bool":
        return float(words[0]) * register.scale + register.offset
    if register.word_order == "little":
        words.reverse()
    (raw,) = struct.unpack(_FORMATS[register.type], struct.pack(f">{len(words)}H", *words))
    return float(raw) * register.scale + register.offset
