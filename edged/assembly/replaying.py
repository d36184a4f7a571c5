"""A recording through the pipeline again: the same loop, rules and models, on the source's own time, on whatever machine.

What remembers begins anew with the recording: a tracker's numbers, a rule's visit, a recurrent model's state. What was still, since the
motion gate held it for that, is still again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edged.assembly.calibrations import FOLDER as CALIBRATIONS
from edged.assembly.calibrations import Records
from edged.assembly.clip import Clip, Key, Row, key_of
from edged.assembly.keeper import windower
from edged.assembly.learning import Learning
from edged.assembly.lines import rule
from edged.assembly.models import Opened
from edged.assembly.refine import Followed, refinements
from edged.config import schema
from edged.domain.errors import ConfigError
from edged.domain.frame import Frame
from edged.domain.ports import Clock
from edged.domain.result import Event, ModelRef, Result
from edged.pipeline.loop import Loop
from edged.pipeline.rewindow import Recorded, rewindowed
from edged.pipeline.rules import Rules
from edged.pipeline.window import Windower

LOOKS = ("name", "columns", "rate_hz")
"""What of a source decides whether something learned fits; as ``Learnings.of`` takes it."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it, in order."""

    model: ModelRef
    results: tuple[Result, ...]
    events: tuple[Event, ...]


@dataclass(slots=True)
class Kept:
    """A sink that keeps everything."""

    results: list[Result] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def result(self, result: Result) -> None:
        """Take one frame's result."""
        self.results.append(result)

    def event(self, event: Event) -> None:
        """Take one event."""
        self.events.append(event)


class Inputs:
    """A loop's inbox with a recording in it."""

    def __init__(self, frames: Iterator[Frame], seen: Callable[[], None] = lambda: None) -> None:
        self._frames, self._seen = frames, seen
        self.ended = False

    def take(self, timeout_s: float) -> Frame | None:
        """Give the next input; None at the end."""
        del timeout_s
        frame = next(self._frames, None)
        self.ended = frame is None
        if frame is not None:
            self._seen()
        return frame

    def more(self) -> Frame | None:
        """Give none before the one in hand is reported: what is replayed shall not depend on how fast this machine is."""
        return None


@dataclass(frozen=True, slots=True)
class AsRecorded:
    """Tells still frames from others as the motion gate did on the box."""

    judged: frozenset[Key]

    def is_still(self, frame: Frame) -> bool:
        """Whether the box gave no result for it."""
        return (frame.stamp.index, frame.stamp.mono_ns) not in self.judged

    def forget(self) -> None:
        """Nothing is remembered."""


def play(
    clip: Clip,
    settings: schema.Pipeline,
    opened: Opened,
    open_further: Callable[[str], Opened],
    state: Path,
    clock: Clock,
    *,
    hop: int | None = None,
    seen: Callable[[], None] = lambda: None,
) -> Played:
    """Run a recording through a model that is opened, and free it.

    Args:
        clip: the recording.
        settings: the pipeline's: rules, tracking, further models.
        opened: the model.
        open_further: opens a cascade's models by name.
        state: an empty folder, for what the pipeline had learned.
        clock: measures latencies.
        hop: samples between two of the recorded windows, where the model takes others than those.
        seen: called before each input.

    Raises ConfigError when the recording cannot be replayed, and what the model raises.
    """
    opened = fitted(clip, settings, opened, state, clock)
    try:
        refine = refinements(settings, Followed(), open_further)
    except BaseException:
        opened.model.engine.close()
        raise
    kept, rules = Kept(), Rules([rule(settings.name, one) for one in settings.rule])
    judged, frames = _frames_for(clip, opened, hop)
    gate = AsRecorded(judged) if judged is not None else None
    loop = Loop(settings.name, Inputs(frames, seen), opened.model, rules, (kept,), clock, refine, gate=gate)
    try:
        while loop.step():
            pass
    finally:
        loop.close()
    told = {(row["rule"], row["phase"], key_of(row)) for row in clip.events}
    # The recording's end is not the source's: an event that went on is closed only where it was closed on the box.
    last = [event for event in rules.finish() if (event.rule, event.phase, key_of_stamp(event)) in told]
    return Played(opened.model.ref, tuple(kept.results), (*kept.events, *last))


def key_of_stamp(event: Event) -> Key:
    """Give the input that an event shows."""
    return event.result.stamp.index, event.result.stamp.mono_ns


def fitted(clip: Clip, settings: schema.Pipeline, opened: Opened, state: Path, clock: Clock) -> Opened:
    """Give the model with what its pipeline had learned on the box, if it learns; ``state`` is written to."""
    if (calibration := clip.calibration()) is not None:
        (state / CALIBRATIONS).mkdir(exist_ok=True)
        (state / CALIBRATIONS / f"{settings.name}.npz").write_bytes(calibration)
    source = clip.manifest["config"]["source"]
    looks: dict[str, Any] = {name: source.get(name) for name in LOOKS}
    looks |= {"grid": source["grid"]} if source.get("grid") else {}
    return Learning(settings.name, looks, settings.calibrate_s, Records(state), clock).fitted(opened)


def replayable(clip: Clip) -> Sequence[Row]:
    """Give the inputs from the first to the last that was judged: before and after, there is no answer to hold one against."""
    judged = judged_keys(clip)
    with_file = [row for row in clip.inputs if row.get("file")]
    places = [place for place, row in enumerate(with_file) if key_of(row) in judged]
    return with_file[places[0] : places[-1] + 1] if places else ()


def judged_keys(clip: Clip) -> frozenset[Key]:
    """Give the inputs that the box gave a result for."""
    return frozenset(key_of(row) for row in clip.results)


def _frames_for(clip: Clip, opened: Opened, hop: int | None) -> tuple[frozenset[Key] | None, Iterator[Frame]]:
    """Give the inputs that were judged, and the frames for this model: as recorded, or windows cut anew where it takes others."""
    rows = replayable(clip)
    if not rows:
        message = f"cannot replay {clip.place}: it holds no input with a result, expected one at least"
        raise ConfigError(message, remedy="record for longer: after_s in [record]")
    cut = windower(opened)
    if (cut is None) != clip.shows_pictures:
        takes, holds = ("pictures", "windows") if cut is None else ("windows", "pictures")
        message = f"cannot replay {clip.place} with {opened.model.ref.name}: it takes {takes}, and the recording holds {holds}"
        raise ConfigError(message, remedy="name a model of the same kind of input")
    frames = (clip.frame(row) for row in rows)
    if cut is None or hop is None:
        return judged_keys(clip), _whole(frames, cut)
    steps_s = np.diff([row["source_s"] for row in rows]) / hop
    return None, rewindowed(frames, Recorded(hop, float(np.median(steps_s)) if len(steps_s) else 0.0), cut)


def _whole(frames: Iterator[Frame], cut: Windower | None) -> Iterator[Frame]:
    for frame in frames:
        if cut is not None and frame.data.shape != cut.shape:
            message = (
                f"cannot replay windows of {frame.data.shape} with a model of {cut.shape}, expected the same shape"
            )
            remedy = (
                "put the bundle that ran on the box where this machine finds it: it tells how windows follow each other"
            )
            raise ConfigError(message, remedy=remedy)
        yield frame
