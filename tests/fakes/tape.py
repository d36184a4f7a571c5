"""Recordings as a box makes them, without the box: real frames through a real loop with a real recorder at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from edged.assembly.clip_ring import Ring
from edged.assembly.lines import rule
from edged.assembly.models import Opened
from edged.assembly.recorder import Recorder, Tools
from edged.assembly.replaying import Inputs
from edged.assembly.roll import Around, Subject
from edged.assembly.tap import Tap
from edged.config.schema import Pipeline
from edged.config.share import shipped
from edged.domain.frame import Frame, Stamp
from edged.domain.tensor import Array
from edged.fleet.topics import Stamper
from edged.pipeline.loop import Loop
from edged.pipeline.rules import Rules
from fakes.clock import FakeClock

CONVEYOR = shipped("models") / "parts" / "demo" / "conveyor.mp4"
FPS = 12
BOLTS: Mapping[str, Any] = {
    "name": "gate",
    "source": "belt",
    "model": "parts",
    "rule": [{"name": "bolt", "when": {"label": "bolt", "min_score": 0.6}, "for_s": 0.25, "gap_s": 0.5}],
}


def conveyor(count: int, first: int = 0) -> list[Frame]:
    """Give pictures of the conveyor that the bundle ships."""
    video = cv2.VideoCapture(str(CONVEYOR))
    frames = []
    for index in range(first + count):
        is_read, picture = video.read()
        assert is_read
        if index >= first:
            frames.append(stamped(picture, index, FPS))
    video.release()
    return frames


def stamped(data: Array, index: int, rate_hz: float) -> Frame:
    """Give a frame of so many a second."""
    at_ns = int(index / rate_hz * 1e9)
    return Frame(data, Stamp(index, 1_000_000_000_000 + at_ns, 1_800_000_000_000_000_000 + at_ns, index / rate_hz))


def recorder_on(folder: Path, clock: FakeClock, *, lossless: bool = True, max_bytes: int = 1 << 28) -> Recorder:
    """Give a recorder that steps when it is told to."""
    ring = Ring(folder, max_bytes, 7, clock)
    return Recorder(Tools(ring, Stamper("boot-1", clock), lambda: {"load_1m": 0.5}, lossless), clock)


def subject(
    settings: Pipeline, recorder: Recorder, source: Mapping[str, Any] | None = None, state: Path = Path("/absent")
) -> Subject:
    """Give what a manifest says of a pipeline."""
    told = settings.model_dump(mode="json", exclude_unset=True)
    about = {
        "device": "press-07",
        "boot_id": "boot-1",
        "edged": "0",
        "pipeline": settings.name,
        "config": {"pipeline": told, "source": source or {"name": settings.source, "kind": "camera"}},
    }
    return Subject(settings.name, about, state / "calibration" / f"{settings.name}.npz", recorder.tell)


def record(
    folder: Path,
    frames: Iterable[Frame],
    opened: Opened,
    settings: Mapping[str, Any] = BOLTS,
    *,
    lossless: bool = True,
    asked_s: float = 1000.0,
    state: Path = Path("/absent"),
) -> Path:
    """Run frames through a model as a box does, and give the one recording of all of it."""
    clock, pipeline = FakeClock(), Pipeline.model_validate(dict(settings))
    recorder = recorder_on(folder, clock, lossless=lossless)
    tap = recorder.tap(subject(pipeline, recorder, state=state), Around(0.0, 1000.0, 1 << 24))
    tap.ask(asked_s)
    run(recorder, tap, frames, opened, pipeline, clock)
    (made,) = folder.glob("*.zip")
    return made


def run(
    recorder: Recorder, tap: Tap, frames: Iterable[Frame], opened: Opened, pipeline: Pipeline, clock: FakeClock
) -> None:
    """Step a loop and its recorder through frames, to the end."""

    def heard() -> Iterable[Frame]:
        for frame in frames:
            tap.frame(frame)
            yield frame
            drain(recorder)
            clock.advance(0.1)

    rules = Rules([rule(pipeline.name, one) for one in pipeline.rule])
    loop = Loop(pipeline.name, Inputs(iter(heard())), opened.model, rules, (tap,), clock)
    while loop.step():
        pass
    drain(recorder)
    recorder.finish()


def drain(recorder: Recorder) -> None:
    """Have it take all that waits."""
    while ", 0 waiting" not in repr(recorder):
        recorder.step(0.0)


def names(folder: Path) -> Sequence[str]:
    """Name the recordings, without the time at which each began."""
    return [file.stem.split("Z-", 1)[1] for file in sorted(folder.glob("*.zip"))]
