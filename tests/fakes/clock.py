"""A clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass

SECOND_NS = 1_000_000_000


@dataclass
class FakeClock:
    """Both clocks start where the test says and move only by ``advance`` (or ``step_wall``)."""

    mono: int = 1_000 * SECOND_NS
    wall: int = 1_800_000_000 * SECOND_NS
    is_synced: bool = True

    def monotonic_ns(self) -> int:
        return self.mono

    def wall_ns(self) -> int:
        return self.wall

    def synced(self) -> bool:
        return self.is_synced

    def advance(self, seconds: float) -> None:
        self.mono += int(seconds * SECOND_NS)
        self.wall += int(seconds * SECOND_NS)

    def step_wall(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND_NS)
