"""What was measured on this box, kept in ``benchmarks.json`` of the state directory, and what travelled with a bundle.

Several programs may write it: the daemon, and ``edgectl bench`` beside it. Each change is made under a lock to what stands there then.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from edged.control.benchmark import Refused, merged
from edged.control.figures import read_measured, to_document
from edged.domain.bundle import Bundle
from edged.domain.errors import DeviceError
from edged.domain.figures import Measured
from edged.telemetry import logs
from edged.update.disk import Disk, LocalDisk
from edged.update.records import folder_on_disk, replace_file

FILE, LOCK = "benchmarks.json", "benchmarks.lock"
DAMAGED = ".damaged"
MAX_BYTES = 4_194_304
MAX_ENTRIES = 1000
"""Of files and runtime versions: years of updates. The oldest go first."""

_LOG = logging.getLogger("edged.figures")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of candidates on this box."""

    measured: tuple[Measured, ...] = ()
    refused: tuple[Refused, ...] = ()


class FiguresStore:
    """Reads when the file changed, and writes so that a power cut leaves the old or the new one. Thread-safe by the lock."""

    def __init__(self, directory: Path, disk: Disk | None = None) -> None:
        self._directory = directory
        self._disk = disk or LocalDisk()
        self._known = Known()
        self._seen: tuple[int, int] | None = None
        self._guard = threading.RLock()
        self.revision = 0
        """Counts the changes that were seen."""

    def __repr__(self) -> str:
        known = self._known
        return f"<FiguresStore {self._file}: {len(known.measured)} measured, {len(known.refused)} refused>"

    def known(self) -> Known:
        """Give what is known; a file that cannot be understood is set aside, and told."""
        with self._guard:
            try:
                told = self._file.stat()
                if (told.st_mtime_ns, told.st_ino) != self._seen:
                    self._known = self._read()
                    self._seen = told.st_mtime_ns, told.st_ino
                    self.revision += 1
            except OSError:
                # Absent, or out of reach for now: what is known stands, and the next look tries again.
                return self._known
            return self._known

    def keep(self, measured: Measured) -> None:
        """Add figures. On a disk that takes nothing they hold until the end of this process, and that is told."""
        self._change(
            lambda known: Known(
                merged(known.measured, measured),
                tuple(one for one in known.refused if not _refuses(one, measured)),
            )
        )

    def refuse(self, refused: Refused) -> None:
        """Add what must not be tried again."""
        self._change(
            lambda known: Known(
                known.measured, (*(one for one in known.refused if not _same_candidate(one, refused)), refused)
            )
        )

    @property
    def _file(self) -> Path:
        return self._directory / FILE

    def _change(self, change: Callable[[Known], Known]) -> None:
        with self._guard:
            self._change_alone(change)

    def _change_alone(self, change: Callable[[Known], Known]) -> None:
        try:
            with self._locked():
                self._known = bounded(change(self.known()))
                document = to_document(self._known.measured) | {"refused": [asdict(one) for one in self._known.refused]}
                replace_file(self._disk, self._file, json.dumps(document, indent=1).encode())
        except (OSError, DeviceError) as error:
            self._known = bounded(change(self._known))
            logs.event(_LOG, "figures.unkept", level=logging.WARNING, error=error)
        self.revision += 1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        folder_on_disk(self._disk, self._directory)
        lock = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _read(self) -> Known:
        try:
            document = _document(self._file)
            return Known(read_measured(document), _refusals().validate_python(document.get("refused", ())))
        except (ValueError, RecursionError) as error:
            logs.event(_LOG, "figures.damaged", level=logging.WARNING, file=self._file, error=error)
        try:
            self._disk.rename(self._file, self._file.with_name(FILE + DAMAGED))
        except DeviceError as error:
            logs.event(_LOG, "figures.stuck", level=logging.WARNING, error=error)
        return Known()


def brought(bundle: Bundle) -> tuple[Measured, ...]:
    """Give the figures that a bundle carries; of a file that cannot be understood none, and that is told."""
    file = bundle.folder / FILE
    if not file.is_file():
        return ()
    try:
        return tuple(replace(one, origin="bundle") for one in read_measured(_document(file)))
    except (OSError, ValueError, RecursionError) as error:
        logs.event(_LOG, "figures.unusable", level=logging.WARNING, file=file, error=error)
        return ()


def bounded(known: Known) -> Known:
    """Leave the newest where there are too many."""
    measured = sorted(known.measured, key=lambda one: one.at)[-MAX_ENTRIES:]
    refused = sorted(known.refused, key=lambda one: one.at)[-MAX_ENTRIES:]
    return Known(tuple(measured), tuple(refused))


def _document(file: Path) -> Any:
    """Read a JSON object. Raises ValueError when it is none, OSError when the file cannot be read."""
    if file.stat().st_size > MAX_BYTES:
        message = f"it has {file.stat().st_size} bytes, expected at most {MAX_BYTES}"
        raise ValueError(message)
    document = json.loads(file.read_bytes())
    if not isinstance(document, dict):
        message = f"it holds a {type(document).__name__}, expected an object"
        raise ValueError(message)  # noqa: TRY004 - a fault of the file, like the others
    return document


def _refuses(refused: Refused, measured: Measured) -> bool:
    return any(refused.covers(measured.subject, row.threads) for row in measured.figures)


def _same_candidate(one: Refused, other: Refused) -> bool:
    return (one.subject, one.threads) == (other.subject, other.threads)


@cache
def _refusals() -> TypeAdapter[tuple[Refused, ...]]:
    return TypeAdapter(tuple[Refused, ...])
