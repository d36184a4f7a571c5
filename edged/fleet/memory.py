"""Where documents live while the disk takes nothing: bounded, oldest of the lowest priority out first."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edged.fleet.ready import PRIORITIES, Key, Row

MAX_BYTES = 4 * 1024 * 1024
"""Two hours of one result a second, on a box that has 1 GB for everything."""


class MemoryLane:
    """Rows that are in no file, by key. ``release`` asks whether a row may go (not when it is on its way)."""

    def __init__(self, release: Callable[[Row], bool], *, max_bytes: int = MAX_BYTES) -> None:
        self._release, self._max_bytes = release, max_bytes
        self._rows: tuple[dict[Key, Row], ...] = tuple({} for _ in range(PRIORITIES))
        self._bytes = 0

    def __len__(self) -> int:
        return sum(map(len, self._rows))

    def __contains__(self, key: Key) -> bool:
        return key in self._rows[key[0]]

    def add(self, row: Row) -> list[Row]:
        """Keep a row; gives those that had to go for it, which may be the row itself."""
        self._rows[row.priority][row.key] = row
        self._bytes += len(row.payload)
        gone: list[Row] = []
        while self._bytes > self._max_bytes:
            victim = self._victim()
            if victim is None:
                break
            self.pop(victim.key)
            gone.append(victim)
        return gone

    def keep(self, rows: Iterable[Row]) -> None:
        """Keep rows whatever their size: they are in memory already."""
        for row in rows:
            if row.key not in self:
                self._rows[row.priority][row.key] = row
                self._bytes += len(row.payload)

    def pop(self, key: Key) -> Row | None:
        """Forget a row; None when it is not here."""
        row = self._rows[key[0]].pop(key, None)
        if row is not None:
            self._bytes -= len(row.payload)
        return row

    def rows(self) -> list[Row]:
        """Give every row, the most urgent first, in the order of their ids."""
        return [row for rows in self._rows for _, row in sorted(rows.items())]

    def after(self, priority: int, id_: int) -> list[Row]:
        """Give the rows of one priority behind an id."""
        return [row for key, row in sorted(self._rows[priority].items()) if key[1] > id_]

    def clear(self) -> None:
        """Forget everything: it is on the disk."""
        for rows in self._rows:
            rows.clear()
        self._bytes = 0

    def _victim(self) -> Row | None:
        for rows in reversed(self._rows):
            for row in rows.values():
                if self._release(row):
                    return row
        return None
