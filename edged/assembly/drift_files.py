"""What a pipeline's watch for drift keeps with the box's state.

drift/<pipeline>.npz          the reference that was learned on site; it stands over the bundle's
drift/<pipeline>.ndjson       the figures of the last days, one line a sample: what a reference is learned from
drift/<pipeline>.1.ndjson     those before them
drift/<pipeline>.state.json   where the watch stands, to go on after a restart
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edged.domain.errors import BundleError, DeviceError
from edged.pipeline.drift_learning import Row
from edged.pipeline.reference import MAX_BYTES, Reference, from_bytes, to_bytes
from edged.pipeline.traits import Traits
from edged.telemetry import logs
from edged.update.disk import Disk, LocalDisk
from edged.update.records import folder_on_disk, replace_file

FOLDER = "drift"
MAX_HISTORY_BYTES = 4_194_304
"""With the file before it some nine days of a sample every 10 s."""
DIGITS = 6

_LOG = logging.getLogger("edged.drift")


class DriftFiles:
    """One pipeline's files. Each is written by one process at a time: the reference by ``edgectl``, the others by the daemon."""

    def __init__(self, state: Path, pipeline: str, disk: Disk | None = None) -> None:
        self.folder = state / FOLDER
        self.reference = self.folder / f"{pipeline}.npz"
        self.history = self.folder / f"{pipeline}.ndjson"
        self.older = self.folder / f"{pipeline}.1.ndjson"
        self.state = self.folder / f"{pipeline}.state.json"
        self._disk = disk or LocalDisk()

    def age(self) -> int:
        """Give a number that is another one whenever another reference lies there; 0 when none does."""
        try:
            return self.reference.stat().st_mtime_ns
        except OSError:
            return 0

    def write_reference(self, reference: Reference) -> None:
        """Put it in place of the one before, durably. Raises DeviceError when the disk refuses."""
        folder_on_disk(self._disk, self.folder)
        replace_file(self._disk, self.reference, to_bytes(reference))

    def append(self, rows: Iterable[tuple[Row, str]]) -> None:
        """Put rows, each with the model that ran, behind the history. Not synced: a minute of figures may be lost.

        Raises DeviceError when the disk refuses.
        """
        folder_on_disk(self._disk, self.folder)
        if self.history.exists() and self.history.stat().st_size > MAX_HISTORY_BYTES:
            self._disk.rename(self.history, self.older)
        lines = "".join(_line(row, model) for row, model in rows)
        self._disk.write(self.history, [lines.encode()], append=True)

    def rows(self) -> Iterator[tuple[Row, str]]:
        """Give the history, oldest first; lines that a power cut tore are passed over."""
        for file in (self.older, self.history):
            try:
                content = file.read_bytes()
            except OSError:
                continue
            for line in content.splitlines():
                row = _row(line)
                if row is not None:
                    yield row

    def read_state(self, reference: Reference) -> Mapping[str, Any]:
        """Give where the watch stood, if it was held against this reference."""
        try:
            told = json.loads(self.state.read_bytes())
            return dict(told["features"]) if told["reference"] == digest(reference) else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}

    def write_state(self, reference: Reference, features: Mapping[str, Any]) -> None:
        """Write where the watch stands, durably. Raises DeviceError when the disk refuses."""
        folder_on_disk(self._disk, self.folder)
        content = json.dumps({"reference": digest(reference), "features": features})
        replace_file(self._disk, self.state, content.encode())


def read_reference(file: Path) -> Reference | None:
    """Read a reference; None when there is no file. Raises BundleError for one that is damaged."""
    try:
        with file.open("rb") as stream:
            return from_bytes(stream.read(MAX_BYTES + 1), str(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"cannot read {file}: {error.strerror}, expected a drift reference"
        raise BundleError(message, code="drift-reference") from error


def keep(what: str, write: Any) -> bool:
    """Write as well as the disk allows; whether it took it."""
    try:
        write()
    except DeviceError as error:
        logs.event(_LOG, "drift.unkept", level=logging.WARNING, what=what, error=error)
        return False
    return True


def digest(reference: Reference) -> str:
    """Name a reference by its content."""
    told = [
        (one.name, one.interval_s, one.window, one.mean, one.scale, one.shares.tolist()) for one in reference.features
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _line(row: Row, model: str) -> str:
    figures = {
        name: value if isinstance(value, str) else float(f"{value:.{DIGITS}g}") for name, value in row.traits.items()
    }
    line = {"at_s": round(row.wall_s, 3), "source_s": round(row.source_s, 3), "model": model, "figures": figures}
    return json.dumps(line, separators=(",", ":")) + "\n"


def _row(line: bytes) -> tuple[Row, str] | None:
    try:
        told = json.loads(line)
        traits: Traits = {str(name): _value(value) for name, value in told["figures"].items()}
        row = Row(float(told["at_s"]), float(told["source_s"]), traits), str(told["model"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    numbers = (row[0].wall_s, row[0].source_s, *(value for value in traits.values() if not isinstance(value, str)))
    return row if all(math.isfinite(number) for number in numbers) else None


def _value(value: Any) -> float | str:
    return value if isinstance(value, str) else float(value)
