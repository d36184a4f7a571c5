"""A look through a camera from opening to files: what comes is measured, kept, and prepared for a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from edgectl.bundle import terminal
from edgectl.camera.look import Seen, watch
from edgectl.camera.record import Recording
from edgectl.camera.sees import View, model_of, view
from edgectl.camera.target import with_observed
from edgectl.entry import as_json, entry
from edged.assembly.lines import opener
from edged.config.schema import CameraSource, Config
from edged.domain.errors import ConfigError, DeviceError
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Array
from edged.hardware.clock import SystemClock
from edged.sources.address import parse

MS_PER_S = 1000


@dataclass(frozen=True, slots=True)
class Files:
    """Where to write what is seen."""

    grab: Path | None
    record: Path | None
    tensor: Path | None


@dataclass(frozen=True, slots=True)
class Told:
    """All that a look gave. ``view`` is what the model would see, where one was named."""

    source: CameraSource
    suggested: CameraSource
    seen: Seen
    opened_ms: float
    view: View | None
    written: tuple[Path, ...]

    @property
    def shown(self) -> str:
        """Name the camera without what may be secret: an address's query carries tokens."""
        return parse(self.source.url).shown

    @property
    def entry(self) -> str:
        """The configuration's entry."""
        return entry(self.suggested)

    def document(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "schema": "edged.camera.look/1",
            "camera": self.shown,
            "opened_ms": round(self.opened_ms, 1),
            **self.seen.told(),
            "tensor": None if self.view is None else self.view.told(),
            "files": [str(file) for file in self.written],
            **as_json(self.suggested),
        }


def looked(source: CameraSource, seconds: float, files: Files, model: str, config: Config, *, quiet: bool) -> Told:
    """Open the camera as the daemon does, and look.

    Raises:
        ConfigError: a file cannot be written, or the model takes no pictures.
        DeviceError: the camera does not open, or no picture came.
    """
    bundle = model_of(model, config) if model else None
    _refuse_unwritable(files.grab, files.tensor)
    clock = SystemClock()
    with terminal.progress(quiet=quiet) as tell, ExitStack() as stack:
        each = _recorder(files.record, source.fps, stack)
        tell(f"opens {source.name}")
        began_s = time.monotonic()
        opened = opener(source, clock)()
        stack.callback(opened.close)
        first: list[float] = []

        def take(frame: Frame) -> bool:
            first[:] = first or [(time.monotonic() - began_s) * MS_PER_S]
            return each(frame)

        tell(f"looks for {seconds:g} s")
        seen = watch(opened, clock, seconds, source.fps, take)
    if seen.picture is None:
        message = f"cannot look at {source.name}: {seen.lost or 'no picture came'}, expected pictures"
        raise DeviceError(message, remedy="" if seen.lost else "look at its cable and power")
    height, width = seen.picture.shape[:2]
    suggested = with_observed(source, width, height)
    shown = None if bundle is None else view(bundle, Frame(seen.picture, Stamp(0, 0, 0, 0.0)), config)
    return Told(source, suggested, seen, first[0], shown, _kept(seen.picture, shown, files))


def _recorder(file: Path | None, fps: float | None, stack: ExitStack) -> Callable[[Frame], bool]:
    if file is None:
        return lambda _frame: True
    recording = Recording(file, fps)
    stack.callback(recording.close)
    return recording.write


def _kept(picture: Array, shown: View | None, files: Files) -> tuple[Path, ...]:
    """Write the last picture, and what a model sees of it; gives every file that was written."""
    written = [file for file in (files.record,) if file is not None]
    for file, what in ((files.grab, picture), (files.tensor, None if shown is None else shown.picture)):
        if file is not None and what is not None:
            _write(file, what)
            written.append(file)
    return tuple(written)


def _refuse_unwritable(*files: Path | None) -> None:
    """Say before anything is measured what could not be kept afterwards."""
    for file in files:
        if file is not None and not (file.absolute().parent.is_dir() and cv2.haveImageWriter(str(file))):
            raise _unwritable(file)


def _write(file: Path, picture: Array) -> None:
    if not cv2.imwrite(str(file), picture):
        raise _unwritable(file)


def _unwritable(file: Path) -> ConfigError:
    message = f"cannot write {file}, expected a folder that is there and may be written, and a name in .jpg or .png"
    return ConfigError(message)
