"""Finds a line's setting: listens at one after the other, the usual ones first, until one makes sense. Decides by ``judge``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edgectl.serial.heard import Heard, Parity, Setting
from edgectl.serial.judge import Choice, Finding, choose, judge

BAUDS = (
    115_200,
    9600,
    57_600,
    38_400,
    19_200,
    230_400,
    460_800,
    921_600,
    1_000_000,
    4800,
    2400,
    1200,
    500_000,
    250_000,
    2_000_000,
)
"""The most usual first: rates of microcontrollers, of instruments, of fast adapters, of old devices."""
QUICK_S, SHORT_S, LONG_S = 0.5, 2.0, 10.0
"""How long is listened at a baud: at first, again when that was too little to judge, and at the best ones when none of them was sure."""
ENOUGH_BYTES = 200
"""So many bytes that make no sense are noise, however long is listened."""
BEST = 2
FAULTY = 0.02
"""With more faulty characters than this, the parity is tried."""
PARITIES: tuple[Parity, ...] = ("even", "odd")


class Ear(Protocol):
    """What listens to a line."""

    def listen(self, setting: Setting, patience_s: float, seconds: float) -> Heard:
        """Wait up to ``patience_s`` for the first byte, and gather up to ``seconds`` from there on."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was tried, in order, and the choice."""

    tried: tuple[Finding, ...]
    choice: Choice


def search(ear: Ear, bauds: Sequence[int], patience_s: float, tell: Callable[[str], None] = lambda _: None) -> Found:
    """Listen until a setting makes sense, or all were tried.

    A line on which nothing comes at the first baud is silent at all of them: at a wrong baud, too, bytes come.
    """
    tried: list[Finding] = []
    for baud in bauds:
        tell(f"listens at {baud} baud")
        finding = _heard(ear, Setting(baud), patience_s)
        tried.append(finding)
        if finding.is_sure or finding.kind == "silence":
            break
    if not any(one.is_sure for one in tried) and tried[-1].kind != "silence":
        best = sorted(tried, key=lambda one: one.score, reverse=True)[:BEST]
        for one in best:
            tell(f"listens longer at {one.baud} baud")
            tried.append(judge(ear.listen(Setting(one.baud), patience_s, LONG_S)))
    choice = choose(tried)
    if choice.best.heard.fault_share > FAULTY and choice.best.heard.setting.parity == "none":
        tried += _with_parities(ear, choice.best, patience_s, tell)
        choice = choose(tried)
    return Found(tuple(tried), choice)


def _with_parities(ear: Ear, best: Finding, patience_s: float, tell: Callable[[str], None]) -> list[Finding]:
    found = []
    for parity in PARITIES:
        tell(f"listens at {best.baud} baud with {parity} parity")
        found.append(_heard(ear, Setting(best.baud, 8, parity), patience_s))
    return found


def _heard(ear: Ear, setting: Setting, patience_s: float) -> Finding:
    """Listen shortly, and once more for longer when what came is too little to tell."""
    finding = judge(ear.listen(setting, patience_s, QUICK_S))
    is_noise = finding.kind == "noise" and len(finding.heard.data) >= ENOUGH_BYTES
    if finding.is_sure or is_noise or finding.kind == "silence":
        return finding
    return judge(ear.listen(setting, patience_s, SHORT_S))
