"""Couriers whose child runs in this process, on a repository in memory: the same code but for the pipes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.assembly.courier import Courier, CourierSettings
from edged.assembly.update_child import answer
from edged.fleet.fetch import Transport
from edged.update.desired import Audience, Desired
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile
from fakes.clock import FakeClock
from fakes.repository_simulator import Simulator

DEVICE = Audience("device", "press-07")
LINE = Audience("group", "line-a")


@dataclass
class InProcess:
    """Stands in for ``CourierChild``."""

    order: dict[str, Any]
    transport: Transport
    pushed: list[Any] = field(default_factory=list)

    def push(self, message: Any) -> None:
        self.pushed.append(message)

    def converse(self, hear: Callable[[dict[str, Any]], bool], cancelled: Callable[[], bool]) -> None:
        assert not cancelled()
        answer(self.order, _Told(self, hear), lambda: self.transport)

    def end(self) -> None:
        pass


@dataclass
class _Told:
    child: InProcess
    hear_it: Callable[[dict[str, Any]], bool]

    def tell(self, message: Any) -> None:
        self.hear_it(message)

    def hear(self, timeout_s: float | None = None) -> Any:  # noqa: ARG002 - as the port says
        return self.child.pushed.pop(0)


@dataclass
class Box:
    """A box with its state directory, its clock and its repository. ``courier`` begins anew, as after a restart."""

    state: Path
    simulator: Simulator = field(default_factory=Simulator)
    clock: FakeClock = field(default_factory=FakeClock)
    groups: tuple[str, ...] = ("line-a",)
    profile: str = "raspberry-pi-5"
    trust: bytes = b""

    def courier(self) -> Courier:
        root = self.state / "root.json"
        if not root.exists():
            self.state.mkdir(parents=True, exist_ok=True)
            root.write_bytes(self.trust or self.simulator.provisioned)
        settings = CourierSettings("memory", root, self.state, DEVICE.name, self.groups, self.profile)
        return Courier(
            settings,
            TrustFile(self.state, LocalDisk()),
            self.clock,
            start=lambda order: InProcess(order, self.simulator),
        )

    def judge(self, envelope: bytes, audience: Audience = DEVICE) -> Desired:
        return self.courier().judge(envelope, audience)
