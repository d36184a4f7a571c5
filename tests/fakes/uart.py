"""A UART's wire, bit by bit: what a receiver makes of what a transmitter sends at another rate, or with other bits.

The receiver is the usual one: a falling edge begins a character, each bit is sampled in its middle, a stop bit that is low is a framing
error, and behind one the line has to be high before the next edge counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgectl.serial.heard import Heard, Setting
from edged.domain.tensor import Array

OVERSAMPLED = 16
"""Steps a bit of the transmitter's: what real receivers sample with."""


@dataclass(frozen=True)
class Received:
    data: bytes
    faults: int


def parity_bit(byte: int, setting: Setting) -> list[int]:
    if setting.parity == "none":
        return []
    odd = byte.bit_count() % 2
    return [odd if setting.parity == "even" else 1 - odd]


def sent(data: bytes, setting: Setting, idle_bits: Callable[[int], int] = lambda _: 0) -> Array:
    """Give the line's levels, (n,) uint8 at 16 steps a bit; ``idle_bits`` says how long it rests behind each byte."""
    bits = [1] * 12
    for at, byte in enumerate(data):
        bits += [0, *((byte >> place) & 1 for place in range(setting.data_bits)), *parity_bit(byte, setting), 1]
        bits += [1] * idle_bits(at)
    return np.repeat(np.array([*bits, *[1] * 12], np.uint8), OVERSAMPLED)


def received(levels: Array, sent_baud: int, setting: Setting) -> Received:
    """Sample the line as a receiver with this setting does."""
    step = OVERSAMPLED * sent_baud / setting.baud
    bits = setting.data_bits + (setting.parity != "none")
    offsets = [int((place + 0.5) * step) for place in range(1, bits + 2)]
    line = levels.tobytes()
    found, faults, at = bytearray(), 0, 0
    while (begin := line.find(b"\1\0", at) + 1) and begin + offsets[-1] < len(line):
        *values, stop = (line[begin + offset] for offset in offsets)
        byte = sum(bit << place for place, bit in enumerate(values[: setting.data_bits]))
        wrong = setting.parity != "none" and values[-1:] != parity_bit(byte, setting)
        found.append(byte)
        faults += (not stop) or wrong
        at = begin + offsets[-1]
    return Received(bytes(found), faults)


class Wire:
    """A line that a sensor speaks on, as ``edgectl.serial.search`` listens to it; ``asked`` says at which settings."""

    def __init__(self, data: bytes, setting: Setting, *, counts: bool = True, rest_bits: int = 0) -> None:
        self.asked: list[Setting] = []
        self._baud = setting.baud
        self._levels = sent(data, setting, lambda at: rest_bits if data[at : at + 1] == b"\n" else 0)
        self._counts = counts

    def listen(self, setting: Setting, patience_s: float, seconds: float) -> Heard:  # noqa: ARG002 - as the port's own
        self.asked.append(setting)
        steps = round(min(seconds, 1e3) * self._baud * OVERSAMPLED)
        levels = self._levels[:steps]
        heard = received(levels, self._baud, setting)
        took_s = len(levels) / OVERSAMPLED / self._baud
        return Heard(setting, heard.data, took_s, took_s, heard.faults if self._counts else None)
