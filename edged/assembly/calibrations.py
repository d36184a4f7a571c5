"""What the box's pipelines have learned of their machines: kept with its state, told to the fleet.

calibration/<pipeline>.npz   the features of the normal windows, and when and from what they were taken

The features are kept, and not what was learned from them: another variant or a newer model that looks at its windows in the same way learns
its own threshold from the same minute, and nobody has to run the machine for it again.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from edged.domain.bundle import WindowInput
from edged.domain.tensor import Array
from edged.telemetry import logs
from edged.update.disk import Disk, LocalDisk
from edged.update.records import folder_on_disk, replace_file

FOLDER = "calibration"
NOT_LOOKED_AT = {"mean", "std", "clip"}
"""What of an input changes none of its features."""

_LOG = logging.getLogger("edged.calibrations")


@dataclass(frozen=True, slots=True)
class Kept:
    """A while of normal running. ``features`` is (n, rows, columns) float32; ``fits`` says which models can learn from it."""

    features: Array
    fits: str
    seconds: float
    windows: int
    at_ms: int
    """Unix time in ms of its end."""


class Records:
    """One file a pipeline."""

    def __init__(self, state: Path, disk: Disk | None = None) -> None:
        self._folder = state / FOLDER
        self._disk = disk or LocalDisk()

    def read(self, pipeline: str) -> Kept | None:
        """Give what was kept; None when there is nothing, or nothing that can be read."""
        file = self._file(pipeline)
        try:
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
                about = json.loads(str(stored["about"]))
                return Kept(stored["features"], about["fits"], about["seconds"], about["windows"], about["at_ms"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, BadZipFile, zlib.error) as error:
            logs.event(_LOG, "calibration.forgotten", level=logging.ERROR, file=file, error=error)
            return None

    def write(self, pipeline: str, kept: Kept) -> None:
        """Put it in place of the one before, durably. Raises DeviceError when the disk refuses."""
        about = {"fits": kept.fits, "seconds": kept.seconds, "windows": kept.windows, "at_ms": kept.at_ms}
        content = io.BytesIO()
        np.savez(content, features=kept.features, about=np.array(json.dumps(about)))
        folder_on_disk(self._disk, self._folder)
        replace_file(self._disk, self._file(pipeline), content.getvalue())

    def remove(self, pipeline: str) -> None:
        """Forget it, durably; one that is absent is no fault. Raises DeviceError when the disk refuses."""
        if self._file(pipeline).exists():
            self._disk.remove(self._file(pipeline))
            self._disk.sync(self._folder)

    def _file(self, pipeline: str) -> Path:
        return self._folder / f"{pipeline}.npz"


def fitting(model_input: WindowInput, source: Mapping[str, Any]) -> str:
    """Give the name of what a window's features depend on: the source's columns and rate, and how the model looks at its windows."""
    looks = {"input": model_input.model_dump(mode="json", exclude=NOT_LOOKED_AT), "source": dict(source)}
    return hashlib.sha256(json.dumps(looks, sort_keys=True).encode()).hexdigest()
