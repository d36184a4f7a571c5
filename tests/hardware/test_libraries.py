"""What libraries read as they are loaded: they begin no threads that nobody asked for, in the daemon and in its children."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edged.assembly.own_child import start_child

COUNT = "import os, numpy, cv2; print(len(os.listdir('/proc/self/task')), flush=True)"
DAEMON = f"from edged.cli import main; main(['hardware', '--json']); {COUNT}"


@pytest.fixture(autouse=True)
def _nobody_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)


@pytest.mark.slow
def test_algebra_begins_no_threads_in_a_child() -> None:
    with start_child(COUNT, stdin=subprocess.DEVNULL, log=sys.stderr.buffer) as child:
        told, _ = child.communicate(timeout=60)

    assert told == b"1\n"


@pytest.mark.slow
def test_algebra_begins_no_threads_behind_the_front_door() -> None:
    told = subprocess.run([sys.executable, "-c", DAEMON], capture_output=True, timeout=60, check=True).stdout

    assert told.splitlines()[-1] == b"1"
