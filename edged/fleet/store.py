"""The outbox's file: SQLite in WAL mode, one connection, one thread.

A priority is a table of its own, so that its oldest rows are found without an index (one page less to write per
document). The key is AUTOINCREMENT: a plain rowid starts again when the queue drains, and reused ids lost half the
messages of a prototype.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edged.fleet.losses import Gap
from edged.fleet.ready import PRIORITIES, Key, Row

PAGE_BYTES = 4096
MAX_WAL_PAGES = 1000
"""SQLite's own checkpoint interval, about 4 MB; smaller files get a smaller one."""
SPARE_PAGES = 48
"""Always left free: one document of 128 KiB (33 pages) and the tree's own pages."""
DISK_RESERVE_BYTES = 1024 * 1024
"""Left free on the file system besides the WAL: when a disk is really full, SQLite cannot even delete."""
MIN_BYTES = 1024 * 1024
LOCK_S = 0.2
"""Nobody shares the file, so that a lock is another daemon's: waiting longer would not help."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS stream (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE IF NOT EXISTS gap (stream TEXT, reason TEXT, first_seq INTEGER, last_seq INTEGER, count INTEGER,"
        " PRIMARY KEY (stream, reason)) WITHOUT ROWID"
    ),
    "CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    *(
        f"CREATE TABLE IF NOT EXISTS queue{n} (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "stream TEXT NOT NULL, seq INTEGER NOT NULL, qos INTEGER NOT NULL, retain INTEGER NOT NULL, payload BLOB NOT NULL)"
        for n in range(PRIORITIES)
    ),
)
# The table names are numbers made above, never input.
_INSERT = tuple(f"INSERT OR REPLACE INTO queue{n} VALUES (?, ?, ?, ?, ?, ?)" for n in range(PRIORITIES))  # noqa: S608
_LOAD = tuple(f"SELECT * FROM queue{n} WHERE id > ? ORDER BY id LIMIT ?" for n in range(PRIORITIES))  # noqa: S608
_LOAD_BUT = tuple(
    f"SELECT * FROM queue{n} WHERE id > ? AND stream NOT IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"  # noqa: S608
    for n in range(PRIORITIES)
)
_OLDEST = tuple(f"SELECT id, stream, seq FROM queue{n} ORDER BY id LIMIT ?" for n in range(PRIORITIES))  # noqa: S608
_OLDEST_OF = tuple(
    f"SELECT id, stream, seq FROM queue{n} WHERE stream IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"  # noqa: S608
    for n in range(PRIORITIES)
)
_BOUNDS = tuple(f"SELECT min(id), max(id) FROM queue{n}" for n in range(PRIORITIES))  # noqa: S608
_DELETE = tuple(f"DELETE FROM queue{n} WHERE id BETWEEN ? AND ?" for n in range(PRIORITIES))  # noqa: S608
_NUMBER = "INSERT INTO stream VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET seq = excluded.seq"


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that one transaction does: rows that come, keys that go, numbers, all gaps that stand and the base (None: as before).

    ``base`` is the number that a stream without one begins above.
    """

    rows: Sequence[Row] = ()
    settled: Iterable[Key] = ()
    numbers: Mapping[str, int] | None = None
    gaps: Sequence[Gap] | None = None
    base: int | None = None


class Store:
    """One open file. Every method may raise sqlite3.Error; the file is then as before the call."""

    def __init__(self, path: Path, *, max_bytes: int, read_only: bool = False) -> None:
        """Open or make the file; ``read_only`` reads what another run left where nothing can be written."""
        self.path = path
        self.read_only = read_only
        pages = max(max_bytes, MIN_BYTES) // PAGE_BYTES
        self._wal_pages = min(MAX_WAL_PAGES, pages // 8)
        # The WAL may reach twice its checkpoint interval: the interval, and what one transaction adds before the
        # checkpoint.
        self.max_pages = pages - 2 * self._wal_pages
        # On a read-only file system SQLite can make neither a lock nor a WAL, and reads only what it is told never
        # changes.
        uri = f"{path.absolute().as_uri()}?{'mode=ro&immutable=1' if read_only else 'mode=rwc'}"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCK_S)
        try:
            self._cursor = self._connection.cursor()
            self._execute = self._cursor.execute
            self._prepare()
        except sqlite3.Error:
            self.close()
            raise

    def _prepare(self) -> None:
        # EXCLUSIVE keeps a second daemon out and needs no shared-memory file; it must be set before WAL is first used.
        self._execute("PRAGMA locking_mode = EXCLUSIVE")
        if self.read_only:
            self._execute("SELECT count(*) FROM stream").fetchall()
            return
        self._execute(f"PRAGMA page_size = {PAGE_BYTES}")
        self._execute("PRAGMA journal_mode = WAL").fetchall()
        self._execute("PRAGMA synchronous = NORMAL")
        self._execute("PRAGMA cache_size = -1024")
        self._execute(f"PRAGMA wal_autocheckpoint = {self._wal_pages}").fetchall()
        self._execute(f"PRAGMA journal_size_limit = {self._wal_pages * PAGE_BYTES}").fetchall()
        self._execute(f"PRAGMA max_page_count = {self.max_pages}").fetchall()
        self._execute("BEGIN EXCLUSIVE")
        for statement in _SCHEMA:
            self._execute(statement)
        self._execute("INSERT INTO fact VALUES ('opened', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1")
        self._execute("COMMIT")

    def put(self, row: Row) -> None:
        """Commit one row and its stream's number."""
        execute = self._execute
        execute("BEGIN IMMEDIATE")
        try:
            execute(_INSERT[row.priority], (row.id, row.stream, row.seq, row.qos, row.retain, row.payload))
            execute(_NUMBER, (row.stream, row.seq))
            execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            raise

    def apply(self, change: Change) -> None:
        """Commit a change as a whole."""
        execute = self._execute
        execute("BEGIN IMMEDIATE")
        try:
            for priority, first, last in runs(change.settled):
                execute(_DELETE[priority], (first, last))
            for row in change.rows:
                execute(_INSERT[row.priority], (row.id, row.stream, row.seq, row.qos, row.retain, row.payload))
            for number in (change.numbers or {}).items():
                execute(_NUMBER, number)
            if change.gaps is not None:
                execute("DELETE FROM gap")
            for gap in change.gaps or ():
                execute(
                    "INSERT INTO gap VALUES (?, ?, ?, ?, ?)",
                    (gap.stream, gap.reason, gap.first_seq, gap.last_seq, gap.count),
                )
            if change.base is not None:
                self.set_fact("base", change.base)
            execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            raise

    def load(self, priority: int, after: int, limit: int, without: Sequence[str] = ()) -> list[Row]:
        """Read rows of one priority behind an id, oldest first, but for those of some streams."""
        if without:
            found = self._execute(_LOAD_BUT[priority], (after, json.dumps(without), limit)).fetchall()
        else:
            found = self._execute(_LOAD[priority], (after, limit)).fetchall()
        return [
            Row(priority, id_, stream, seq, qos, bool(retain), payload)
            for id_, stream, seq, qos, retain, payload in found
        ]

    def oldest(self, priority: int, limit: int, streams: Sequence[str] = ()) -> list[tuple[int, str, int]]:
        """Read (id, stream, seq) of the oldest rows of one priority, or of some streams in it."""
        if not streams:
            return self._execute(_OLDEST[priority], (limit,)).fetchall()
        return self._execute(_OLDEST_OF[priority], (json.dumps(streams), limit)).fetchall()

    def numbers(self) -> dict[str, int]:
        """Read the last number of every stream."""
        return dict(self._execute("SELECT name, seq FROM stream").fetchall())

    def gaps(self) -> list[Gap]:
        """Read the gaps that were not yet declared."""
        found = self._execute("SELECT stream, reason, first_seq, last_seq, count FROM gap").fetchall()
        return [Gap(*values) for values in found]

    def fact(self, name: str) -> int:
        """Read a number that belongs to the file as a whole; 0 when it was never set."""
        found = self._execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return int(found[0]) if found else 0

    def set_fact(self, name: str, value: int) -> None:
        """Keep a number that belongs to the file as a whole."""
        self._execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def bounds(self, priority: int) -> tuple[int, int, int]:
        """Read (first id, last id, highest id ever); the first two are 0 when the queue is empty."""
        first, last = self._execute(_BOUNDS[priority]).fetchone()
        found = self._execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (f"queue{priority}",)).fetchone()
        return first or 0, last or 0, found[0] if found else 0

    def free_pages(self) -> int:
        """How many pages may still be filled, by the file's own bound and by what the file system has left."""
        used = self._execute("PRAGMA page_count").fetchone()[0]
        free = self._execute("PRAGMA freelist_count").fetchone()[0]
        return int(min(self.max_pages, used + self._disk_pages()) - used + free)

    def check_disk(self, size: int = 0) -> None:
        """Raise sqlite3.OperationalError, as SQLite does, when ``size`` bytes find no room and it is the file system that lacks it."""
        own = self.max_pages - self._execute("PRAGMA page_count").fetchone()[0]
        if (self.free_pages() - SPARE_PAGES) * PAGE_BYTES <= size and self._disk_pages() < own:
            message = "database or disk is full"
            raise sqlite3.OperationalError(message)

    def disk_bytes(self) -> int:
        """Size of the file and its WAL."""
        return sum(_size(Path(f"{self.path}{suffix}")) for suffix in ("", "-wal"))

    def close(self) -> None:
        """Write the WAL back and close; a disk that refuses this loses nothing, the WAL stays."""
        with contextlib.suppress(sqlite3.Error):
            # First the cursor: a statement that is still open would keep the file locked behind the closed connection.
            self._cursor.close()
            self._connection.close()

    def _disk_pages(self) -> int:
        disk = os.statvfs(self.path.parent)
        left = disk.f_bavail * disk.f_frsize - DISK_RESERVE_BYTES - self._wal_growth()
        return int(max(left, 0) // PAGE_BYTES)

    def _wal_growth(self) -> int:
        return max(0, 2 * self._wal_pages * PAGE_BYTES - _size(Path(f"{self.path}-wal")))

    def _roll_back(self) -> None:
        # The transaction may be gone already: SQLite rolls back by itself on a full disk.
        with contextlib.suppress(sqlite3.Error):
            self._execute("ROLLBACK")


def cost(row: Row) -> int:
    """Bytes that a row takes in the file: its own and the tree's (long payloads fill whole overflow pages)."""
    size = len(row.payload) + len(row.stream) + 32
    return size if size < 1024 else (size // 4096 + 2) * 4096  # noqa: PLR2004  (a quarter of a page, 4096 bytes)


def runs(keys: Iterable[Key]) -> list[tuple[int, int, int]]:
    """Join keys to (priority, first id, last id): acknowledgements mostly come in unbroken order."""
    joined: list[tuple[int, int, int]] = []
    for priority, id_ in sorted(keys):
        if joined and joined[-1][0] == priority and joined[-1][2] == id_ - 1:
            joined[-1] = (priority, joined[-1][1], id_)
        else:
            joined.append((priority, id_, id_))
    return joined


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
