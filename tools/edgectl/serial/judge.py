"""What a line sends, and at which setting it is heard right: bytes in, a score out. Pure.

At a wrong baud a UART samples its bits in the wrong places: text turns into bytes of which a third is printable, stop bits are missing,
and no checksum fits. So what makes the most sense, with the fewest faulty characters, was heard at the right baud.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from edgectl.serial.binary import Frames, read_frames
from edgectl.serial.heard import Heard, Parity
from edgectl.serial.text import Lines, lines_of, read_lines

Kind = Literal["lines", "frames", "text", "noise", "silence"]

ENOUGH_FRAMES = 5
"""So many lines or records in a row are no chance."""
SURE = 0.9
TEXT_SHARE = 0.97
"""Of printable bytes in text."""
TEXT_WORTH, NOISE_WORTH = 0.85, 0.3
"""What is readable to people alone is worth less than samples, and more than what is readable by chance."""
CLEAR_MARGIN = 0.15
"""Between the best and the next one."""
PARITY_SHARE = 0.98
HIGH_SHARE = 0.05
"""Text of 8 bits has hardly any byte with its highest bit set; with a parity in it, half of them have."""
ASCII, HIGH = 0x7F, 0x80
PRINTABLE = frozenset(range(32, 127)) | {9, 10, 13}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was made of what was heard. ``score`` is 0..1; ``form`` are the samples, if they are any that edged reads."""

    heard: Heard
    kind: Kind
    score: float
    form: Lines | Frames | None = None

    @property
    def is_sure(self) -> bool:
        """Whether no other setting has to be tried."""
        return self.form is not None and self.score >= SURE and self.form.count >= ENOUGH_FRAMES

    @property
    def baud(self) -> int:
        """Give the setting's baud."""
        return self.heard.setting.baud


@dataclass(frozen=True, slots=True)
class Choice:
    """The best of what was tried. ``is_clear``: nothing else makes nearly as much sense."""

    best: Finding
    is_clear: bool


def judge(heard: Heard) -> Finding:
    """Say what the bytes of one setting are."""
    if not heard.data:
        return Finding(heard, "silence", 0.0)
    heard = with_parity(heard)
    form = read_lines(heard.data, heard.seconds) if printable_share(heard.data) > TEXT_SHARE / 2 else None
    if form is None or form.share < SURE:
        framed = read_frames(heard.data, heard.seconds)
        if framed is not None and (form is None or framed.share > form.share):
            return Finding(heard, "frames", _worth(framed.share, framed.count, heard), framed)
    if form is None:
        return _plain(heard)
    return Finding(heard, "lines", _worth(form.share * printable_share(heard.data), form.count, heard), form)


def choose(findings: Sequence[Finding]) -> Choice:
    """Take the finding that makes the most sense; of equal ones the first, which is the more usual setting."""
    best = max(findings, key=lambda one: one.score)
    others = [one.score for one in findings if one.baud != best.baud]
    return Choice(best, best.score - max(others, default=0.0) > CLEAR_MARGIN)


def with_parity(heard: Heard) -> Heard:
    """Take a parity out of bytes of 7 bits that were heard as 8: text in which the highest bit always fits the others."""
    setting, data = heard.setting, heard.data
    if setting.data_bits != 8 or setting.parity != "none" or _high_share(data) < HIGH_SHARE:
        return heard
    ones = [byte.bit_count() % 2 for byte in data]
    odd = sum(ones) / len(ones)
    parity: Parity | None = "odd" if odd > PARITY_SHARE else "even" if odd < 1 - PARITY_SHARE else None
    low = bytes(byte & ASCII for byte in data)
    if parity is None or printable_share(low) < TEXT_SHARE:
        return heard
    return replace(heard, setting=replace(setting, data_bits=7, parity=parity), data=low)


def printable_share(data: bytes) -> float:
    """Give the share of printable ASCII, 0..1."""
    return sum(byte in PRINTABLE for byte in data) / max(1, len(data))


def _high_share(data: bytes) -> float:
    return sum(byte >= HIGH for byte in data) / max(1, len(data))


def _plain(heard: Heard) -> Finding:
    """Judge what is no samples: text for people, or noise."""
    share = printable_share(heard.data)
    if share >= TEXT_SHARE and len(lines_of(heard.data)) > 1:
        return Finding(heard, "text", _worth(TEXT_WORTH * share, ENOUGH_FRAMES, heard))
    return Finding(heard, "noise", NOISE_WORTH * share * (1 - heard.fault_share))


def _worth(share: float, count: int, heard: Heard) -> float:
    return share * min(1.0, count / ENOUGH_FRAMES) * (1 - heard.fault_share)
