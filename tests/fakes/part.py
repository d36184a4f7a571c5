"""A part of the daemon, and the office that speaks for it, to order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edged.domain.health import Grade, Reason


@dataclass(eq=False)
class FakePart:
    name: str = "dock"
    heartbeat_ns: int = 1 << 62
    ended: bool = False
    working: bool = True
    ills: list[Reason] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    stops_in_time: bool = True

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")

    def join(self, timeout_s: float) -> bool:
        self.calls.append("join")
        assert timeout_s >= 0
        return self.stops_in_time

    def reload(self) -> None:
        self.calls.append("reload")

    def reasons(self) -> Sequence[Reason]:
        return self.ills


@dataclass
class FakeOffice:
    heartbeats: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    said: list[tuple[Grade, tuple[str, ...]]] = field(default_factory=list)
    is_delivered: bool = True

    def start(self) -> None:
        self.calls.append("start")

    def report(self, grade: Grade, reasons: Sequence[Reason], parts: Sequence[object]) -> None:
        self.parts = parts
        self.said.append((grade, tuple(reason.code for reason in reasons)))

    def reasons(self) -> Sequence[Reason]:
        return ()

    def delivered(self) -> bool:
        return self.is_delivered

    def close(self, timeout_s: float) -> None:
        self.calls.append(f"close within {timeout_s:g} s")


@dataclass
class FakeNotifier:
    sent: list[dict[str, str]] = field(default_factory=list)

    def notify(self, fields: dict[str, str]) -> None:
        self.sent.append(dict(fields))
