"""From ``[record]`` to taps: what is listened to, and what of a configuration never leaves the box."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edged.assembly.clip import read_clip
from edged.assembly.recording import PART, Recording, recordings_folder
from edged.assembly.tap import Tap
from edged.config.schema import Config
from edged.fleet.topics import Stamper
from edged.pipeline.inlet import Inlet
from edged.pipeline.mailbox import Mailbox
from fakes.clock import FakeClock
from fakes.tape import drain, stamped

RULES = [{"name": "a", "when": {"label": "x"}, "for_s": 3.0}, {"name": "b", "when": {"label": "y"}, "for_s": 0.5}]


def config(state: Path, **record: Any) -> Config:
    camera = {
        "name": "dock",
        "kind": "camera",
        "url": "rtsp://10.0.0.7/stream?token=hunter2",
        "username": "viewer",
        "password_file": "/etc/edged/dock.password",
        "fps": 15.0,
        "masks": [[[0.0, 0.0], [0.3, 0.0], [0.3, 0.2]]],
    }
    return Config.model_validate(
        {
            "device": {"id": "press-07"},
            "state": {"directory": str(state)},
            "source": [camera],
            "pipeline": [
                {"name": "gate", "source": "dock", "model": "parts", "rule": RULES},
                {"name": "other", "source": "dock", "model": "parts"},
            ],
            "record": record,
        }
    )


class Stand:
    def __init__(self, state: Path, **record: Any) -> None:
        self.config = config(state, **record)
        self.clock = FakeClock()
        self.recording = Recording(self.config, Stamper("boot-1", self.clock), self.clock)
        self.inlet = Inlet(Mailbox("gate"), self.clock)

    def tap(self, pipeline: int = 0) -> Tap | None:
        return self.recording.tap(self.config.pipeline[pipeline], self.config.source[0], self.inlet)


def test_what_the_pipeline_takes_is_heard_and_written_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "gate.npz").write_bytes(b"learned")
    stand = Stand(tmp_path)
    tap = stand.tap()
    assert tap is not None
    (part,) = stand.recording.parts(stand.config)
    recorder: Any = part.build()
    tap.ask(5.0)
    stand.inlet._mailbox.put(stamped(np.zeros((8, 8, 3), np.uint8), 0, 10.0))
    assert stand.inlet.take(0.1) is not None
    drain(recorder)
    recorder.finish()

    (file,) = (tmp_path / "recordings").glob("*.zip")
    clip = read_clip(file)
    assert clip.manifest["config"]["source"] == {
        "name": "dock",
        "kind": "camera",
        "fps": 15.0,
        "masks": [[[0.0, 0.0], [0.3, 0.0], [0.3, 0.2]]],
    }
    assert clip.manifest["config"]["pipeline"]["rule"][1]["for_s"] == 0.5
    assert not {"hunter2", "viewer", "password", "10.0.0.7"} & set(json.dumps(dict(clip.manifest)).split('"'))
    assert "hunter2" not in json.dumps(dict(clip.manifest))
    assert (clip.calibration(), len(clip.inputs)) == (b"learned", 1)
    assert (tmp_path / "recordings").stat().st_mode & 0o007 == 0


def test_the_longest_wait_of_a_rule_belongs_to_the_time_before(tmp_path: Path) -> None:
    stand = Stand(tmp_path, before_s=2.0, after_s=7.0, memory_bytes=4_000_000)
    gate, other = stand.tap(0), stand.tap(1)
    assert gate is not None
    assert other is not None
    assert (gate.around.before_s, gate.around.after_s, gate.around.memory_bytes) == (5.0, 7.0, 2_000_000)
    assert other.around.before_s == 2.0


def test_only_what_is_named_is_recorded(tmp_path: Path) -> None:
    stand = Stand(tmp_path, pipelines=["other"])
    assert stand.tap(0) is None
    assert stand.inlet.heard is None
    tap = stand.tap(1)
    assert tap is not None
    assert tap.around.memory_bytes == 33_554_432


def test_without_pipelines_there_is_no_part_that_would_keep_nothing_alive(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    assert [part.name for part in stand.recording.parts(stand.config)] == [PART]
    assert stand.recording.parts(stand.config.model_copy(update={"pipeline": ()})) == ()
    assert "<Recording <Recorder " in repr(stand.recording)


@pytest.mark.parametrize(
    ("record", "expected"), [({}, "state/recordings"), ({"directory": "/big/clips"}, "/big/clips")]
)
def test_recordings_lie_below_the_state_or_where_they_are_wanted(
    tmp_path: Path, record: dict[str, str], expected: str
) -> None:
    assert recordings_folder(config(tmp_path / "state", **record)) == tmp_path / expected


def test_a_part_of_the_daemon_that_asks_for_nothing(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    recorder: Any = stand.recording.parts(stand.config)[0].build()
    recorder.reload()
    recorder.stop()
    assert (recorder.ended, recorder.working) == (True, False)
    assert recorder.heartbeat_ns > 1 << 60


def test_a_box_that_records_nothing_loads_nothing_of_it() -> None:
    program = "import sys, edged.assembly.wiring; print(*(name for name in sys.modules if 'record' in name or 'clip' in name))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    assert {name for name in said.stdout.split() if name.startswith("edged.")} == {
        "edged.config.record",
        "edged.update.records",
    }
