"""A long run in short form; ``make soak`` runs ten times as many frames."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fakes.wheel import CHECKOUT

pytestmark = pytest.mark.slow

FRAMES = int(os.environ.get("EDGED_SOAK_FRAMES", "100000"))
SEED = 20261120
GROWTH_MB = 1.0


def test_the_daemon_holds_no_more_memory_and_no_more_files_the_longer_it_runs() -> None:
    program = CHECKOUT / "benchmarks" / "soak.py"

    ran = subprocess.run(
        [sys.executable, program, str(FRAMES), str(SEED)], cwd="/", capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr
    soaked = json.loads(ran.stdout.splitlines()[-1])
    assert soaked["frames"] >= FRAMES
    assert soaked["growth_mb"] < GROWTH_MB
    assert soaked["files"][0] == soaked["files"][1]
