"""From ``[record]`` to a recorder and the taps of its pipelines. Imported only where the configuration asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edged.assembly.calibrations import FOLDER as CALIBRATIONS
from edged.assembly.clip_ring import FOLDER, Ring
from edged.assembly.recorder import Recorder, Tools
from edged.assembly.roll import Around, Subject
from edged.assembly.sensors import box_readings
from edged.assembly.tap import Tap
from edged.config import schema
from edged.config.record import Record
from edged.daemon import Wanted
from edged.domain.ports import Clock
from edged.fleet.topics import Stamper
from edged.pipeline.inlet import Inlet

PART = "recording"
SOURCE_KEYS = ("name", "kind", "fps", "masks", "columns", "rate_hz", "grid")
"""What is told of a source: addresses and names of users stay on the box."""
RULE_KEYS = {"rule": {"__all__": {"action"}}}
"""What is not told of a pipeline: an action is a package that another machine may lack."""


class Recording:
    """Asked by the lines for taps and by the planner for the part."""

    def __init__(self, config: schema.Config, stamper: Stamper, clock: Clock, root: Path = Path("/")) -> None:
        """``config`` is the one that edged was started with: ``[record]`` holds until a restart."""
        self._config, self._stamper = config, stamper
        self._settings = config.record or Record()
        ring = Ring(recordings_folder(config), self._settings.max_bytes, self._settings.keep_days, clock)
        tools = Tools(ring, stamper, partial(box_readings, root), self._settings.quality == "lossless")
        self._recorder = Recorder(tools, clock, self._settings.pipelines)

    def __repr__(self) -> str:
        return f"<Recording {self._recorder!r}>"

    def tap(self, pipeline: schema.Pipeline, source: schema.Source, inlet: Inlet) -> Tap | None:
        """Listen at a pipeline's inlet, and give the sink that listens to its results; None when it is not to be recorded."""
        settings = self._settings
        if settings.pipelines and pipeline.name not in settings.pipelines:
            return None
        longest_s = max((rule.for_s for rule in pipeline.rule), default=0.0)
        each_bytes = settings.memory_bytes // max(1, len(settings.pipelines or self._config.pipeline))
        around = Around(settings.before_s + longest_s, settings.after_s, each_bytes)
        calibration = self._config.state.directory / CALIBRATIONS / f"{pipeline.name}.npz"
        subject = Subject(pipeline.name, self._about(pipeline, source), calibration, self._recorder.tell)
        tap = self._recorder.tap(subject, around)
        inlet.heard = tap.frame
        return tap

    def parts(self, config: schema.Config) -> tuple[Wanted, ...]:
        """Give what records, where there is anything to record."""
        return (Wanted(PART, None, lambda: self._recorder),) if config.pipeline else ()

    def _about(self, pipeline: schema.Pipeline, source: schema.Source) -> Mapping[str, Any]:
        told = source.model_dump(mode="json")
        return {
            "device": self._config.device.id,
            "boot_id": self._stamper.boot_id,
            "edged": version("edged"),
            "pipeline": pipeline.name,
            "config": {
                "pipeline": pipeline.model_dump(mode="json", exclude_unset=True, exclude=RULE_KEYS),
                "source": {key: told[key] for key in SOURCE_KEYS if key in told},
            },
        }


def recordings_folder(config: schema.Config) -> Path:
    """Give where a box keeps its recordings, whether it makes any or not."""
    named = config.record.directory if config.record is not None else None
    return named or config.state.directory / FOLDER
