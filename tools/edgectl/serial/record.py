"""Keeps what a sensor sent as a file that a ``csv`` source reads: to try a model on at the desk."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from edgectl.serial.look import Read
from edged.domain.errors import ConfigError

TIMES = ("t", "time_s", "seconds")
"""What the column of the time is called: the first that is no channel's name."""


def write(file: Path, read: Read, names: Sequence[str]) -> None:
    """Write the newest samples with their times, in seconds from the first one on. Raises ConfigError when it cannot be written."""
    time = next(name for name in TIMES if name not in names)
    try:
        with file.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream, lineterminator="\n")
            table.writerow((time, *names))
            for at_s, row in zip(read.times_s - read.times_s[:1], read.values.tolist(), strict=True):
                # Nine digits are all that float32 has.
                table.writerow((f"{at_s:.6f}", *(f"{value:.9g}" for value in row)))
    except OSError as error:
        message = f"cannot write {file}: {error.strerror}, expected a file that may be written"
        raise ConfigError(message) from error
