"""What a daemon that runs still holds of what its start took."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, write_config
from fakes.recording import write_video
from fakes.sensor import picture_bundle, pipeline
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

LIBRARIES_MB = 40.0
"""Resident pages of files, on a camera: 65 MB before they are given back, some 25 MB after."""


def test_a_camera_that_runs_holds_no_pages_of_files_that_only_its_start_looked_at(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    pytest.importorskip("cv2")
    picture_bundle(tmp_path / "models" / "still")
    video = write_video(tmp_path / "dock.mp4", frames=50)
    source = f'[[source]]\nname = "dock"\nkind = "file"\npath = "{video}"\npace = "recorded"\nloop = true\n'
    daemon = run(write_config(tmp_path, broker.port, source + pipeline("a", source="dock", model="still")))
    held_mb: list[float] = []
    until(lambda: held_mb.append(_of_files_mb(daemon.pid)) or fleet.of("result/a"), "a result", every_s=0.05)  # type: ignore[func-returns-value] # for the or
    assert max(held_mb) > LIBRARIES_MB
    until(lambda: _of_files_mb(daemon.pid) < LIBRARIES_MB, "pages given back")
    heard = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) > heard + 20, "results go on")


def _of_files_mb(pid: int) -> float:
    """Give the resident pages that are a file's own."""
    told = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return (int(told["Rss"].split()[0]) - int(told["Anonymous"].split()[0])) * 1024 / 1e6
