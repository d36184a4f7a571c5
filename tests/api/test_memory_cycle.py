"""Loading and unloading again and again: the memory comes back."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

import pytest

from fakes.raw_http import RawClient
from fakes.serving_daemon import ONNX, TFLITE, Serving, serving_daemon

pytestmark = [pytest.mark.slow, pytest.mark.assets]

CYCLES = int(os.environ.get("EDGED_SOAK_CYCLES", "10"))
"""``make soak`` goes round 50 times."""
SETTLING = 3
"""The first rounds load what stays: the runtimes' libraries, and what allocators keep for the next time."""


def resident_mb(daemon: Serving) -> float:
    """Give what is the process's own: pages of files come and go with the box's other needs."""
    rollup = Path(f"/proc/{daemon.daemon.pid}/smaps_rollup").read_text()
    (line,) = (line for line in rollup.splitlines() if line.startswith("Private_Dirty:"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize("model", [ONNX, TFLITE])
def test_unloading_gives_nine_tenths_of_a_models_memory_back_each_time(
    assets: Path, tmp_path: Path, model: str
) -> None:
    with serving_daemon(tmp_path, assets) as daemon, RawClient(daemon.port) as client:
        client.ask("POST", f"/v2/repository/models/{ONNX}/unload")
        loaded, unloaded = [], [resident_mb(daemon)]
        for _ in range(SETTLING + CYCLES):
            assert client.ask("POST", f"/v2/repository/models/{model}/load").status == 200
            loaded.append(resident_mb(daemon))
            assert client.ask("POST", f"/v2/repository/models/{model}/unload").status == 200
            unloaded.append(resident_mb(daemon))

    before, full, after = (numbers[SETTLING:] for numbers in (unloaded[:-1], loaded, unloaded[1:]))
    taken = [a - b for a, b in zip(full, before, strict=True)]
    given_back = [a - b for a, b in zip(full, after, strict=True)]
    assert median(taken) > 1, "the model takes too little for this to show anything"
    assert sum(given_back) >= 0.9 * sum(taken), (loaded, unloaded)
    assert median(given_back) >= 0.9 * median(taken), (loaded, unloaded)
    # It does not creep either: the last rounds end where the first ones did.
    assert min(after[-3:]) <= min(after[:3]) + 0.25 * median(taken), (loaded, unloaded)
