"""The day's budget of ``mqtt.budget_mb_per_day``, with its note in the state directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edged.assembly.notes import read_note, write_note
from edged.domain.health import Reason
from edged.domain.ports import Clock, Outbox
from edged.fleet.budget import Budget, Spent
from edged.fleet.metered import MeteredOutbox

NOTE = "budget.json"
MB = 1_000_000
NOTED_EVERY_NS = 60_000_000_000
"""What a kill may make forgotten: a minute of a day's budget."""


class Allowance:
    """Stands before an outbox when there is a limit, and says how the day goes."""

    def __init__(self, mb_per_day: float | None, outbox: Outbox, state: Path, clock: Clock) -> None:
        self._clock = clock
        self._file = state / NOTE
        self._noted_ns = clock.monotonic_ns()
        self._limit_mb = mb_per_day
        self._budget = None if mb_per_day is None else Budget(mb_per_day * MB, clock, _spent(self._file))
        self._metered = None if self._budget is None else MeteredOutbox(outbox, self._budget)
        self.outbox = outbox if self._metered is None else self._metered
        """Where everything is put that the budget is about."""

    def spend(self, stream: str, size: int) -> None:
        """Count what goes out beside the outbox, in bytes without topic and headers."""
        if self._metered is not None:
            self._metered.spend(stream, size)

    @property
    def thinned(self) -> Mapping[str, int]:
        """Documents that were held back, by stream."""
        return {} if self._budget is None else dict(self._budget.thinned)

    def figures(self) -> dict[str, int] | None:
        """Give what telemetry carries; None without a limit."""
        return None if self._budget is None else self._budget.figures()

    def reasons(self, since_ns: Mapping[tuple[str, str], int]) -> list[Reason]:
        """Say that results are held back, if so. ``since_ns`` is since when, by code and component."""
        if self._budget is None or not self._budget.is_thinning:
            return []
        figures = self._budget.figures()
        message = (
            f"holds back results, then telemetry: {figures['used_bytes'] / MB:.1f} of {self._limit_mb:g} MB are spent, "
            f"{figures['left_s'] / 3600:.1f} h of the day are left, {figures['thinned']} documents were held back"
        )
        remedy = 'raise mqtt.budget_mb_per_day, or report less: results = "changes" in the pipelines\' report'
        return [Reason("budget", "mqtt", message, since_ns.get(("budget", "mqtt"), self._clock.monotonic_ns()), remedy)]

    def keep(self, *, now: bool = False) -> None:
        """Note what was spent, at most once a minute or ``now``."""
        due = self._clock.monotonic_ns() - self._noted_ns >= NOTED_EVERY_NS
        if self._budget is not None and (due or now):
            self._noted_ns = self._clock.monotonic_ns()
            write_note(self._file, self._budget.spent.to_json())


def _spent(file: Path) -> Spent:
    try:
        return Spent.from_json(read_note(file) or b"")
    except ValueError:
        return Spent()
