"""Case 29: kill -9 in every state, on a real process and a real disk → the old or the new model, never none, and the order ends well."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from fakes.site import Air, box
from fakes.updating_child import PROGRAM

pytestmark = pytest.mark.slow

COMMITTING = (
    "accepted",
    "checking",
    "downloading",
    "verifying",
    "staged",
    "validating",
    "shadowing",
    "ready",
    "activating",
    "probation",
    "committed",
)
ROLLING_BACK = ("rolling-back", "rolled-back")
ALL = [*((state, "commit") for state in COMMITTING), *((state, "roll-back") for state in ROLLING_BACK)]
SOAK = bool(os.environ.get("EDGED_SOAK_FRAMES"))
CHOSEN = ALL if SOAK else Random(20261121).sample(ALL, 4)  # noqa: S311 - a seeded choice
"""``make soak`` runs the whole matrix."""


def run(air: Air, order: str, fatal: str, word: str) -> subprocess.CompletedProcess[str]:
    tests = Path(__file__).parents[1]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(air.path), order, fatal, word],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *filter(None, sys.path)])},
    )


@pytest.mark.parametrize(("state", "word"), CHOSEN)
def test_killed_in_a_state_it_serves_and_ends_well_after_the_restart(tmp_path: Path, state: str, word: str) -> None:
    air = box(tmp_path)
    order = air.order(shadow_one_in=1).model_dump_json()

    killed = run(air, order, state, word)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    after = run(air, order, "", word)

    assert after.returncode == 0, after.stderr
    assert after.stdout.split() == (["2.0.0", "committed"] if word == "commit" else ["1.0.0", "rolled-back"])
