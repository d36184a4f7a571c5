from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edged.hardware.clock import SystemClock
from edged.sources.gstreamer import PROGRAM, open_source


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"needs {PROGRAM}, of gstreamer1.0-tools")
def test_its_process_goes_before_the_daemon_when_memory_runs_out() -> None:
    source = open_source(url="videotestsrc is-live=true ! video/x-raw,width=64,height=48", clock=SystemClock())
    score = Path(f"/proc/{source._child.pid}/oom_score_adj").read_text()
    source.close()
    assert int(score) > int(Path("/proc/self/oom_score_adj").read_text())
