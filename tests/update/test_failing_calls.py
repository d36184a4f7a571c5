"""Case 32 on the real system: calls fail at random (libfiu) during an update → a good model is live, and a retry succeeds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edged.update.disk import LocalDisk
from edged.update.probation import COMMIT
from fakes.failing_child import PROGRAM, ROUNDS
from fakes.site import Air, box

LIBRARIES = [Path(folder, "fiu", "fiu_posix_preload.so") for folder in ("/usr/lib", "/usr/local/lib")]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("fiu-run") is None or not any(one.exists() for one in LIBRARIES),
        reason="libfiu is not installed (fiu-utils)",
    ),
]
SEEDS = range(200) if os.environ.get("EDGED_SOAK_FRAMES") else (3, 4, 5, 9)
"""3 had the release rejected for a file that was read wrong once; 9 had a folder's listing fail in words of nobody's."""


def run(air: Air, order: str, seed: int) -> list[str]:
    """Carry the order out while calls fail; gives how each round ended."""
    tests = Path(__file__).parents[1]
    probability = (0.01, 0.03, 0.1)[seed % 3]
    done = subprocess.run(
        ["fiu-run", "-x", "-f", "", sys.executable, "-c", PROGRAM, str(air.path), order, str(seed), str(probability)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), *filter(None, sys.path)])},
    )
    assert done.returncode == 0, done.stderr
    ended: list[str] = json.loads(done.stdout)
    return ended


@pytest.mark.parametrize("seed", SEEDS)
def test_an_update_among_failing_calls_ends_in_words_and_the_retry_succeeds(tmp_path: Path, seed: int) -> None:
    air = box(tmp_path)
    order = air.order(shadow_one_in=1)

    ended = run(air, order.model_dump_json(), seed)

    assert len(ended) == ROUNDS
    assert not [one for one in ended if one.startswith(("rejected", "rolled-back"))], (
        "nothing of this is the release's fault"
    )
    assert air.live(LocalDisk()) in {"1.0.0", "2.0.0"}
    air.knobs.verdict = COMMIT
    assert air.carry(order, LocalDisk()) == "committed"
    assert air.live(LocalDisk()) == "2.0.0"
