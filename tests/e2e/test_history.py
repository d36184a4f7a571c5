"""The flight recorder of a real daemon: what a kill leaves, and what an orderly end adds."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import numpy as np
import pytest

from edgectl.cli import main
from edged.assembly.history_store import HistoryStore
from edged.telemetry.history import Block
from fakes.brokers import free_port
from fakes.daemon import Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import until

pytestmark = pytest.mark.slow

RATE = 'edged_results_total{pipeline="a",status="ok"}'
WITNESS = """
import sys
from edged.cli import main
status = main()
print(*sorted(name for name in sys.modules if name.startswith("edged.") and ("flight" in name or "flying" in name)))
raise SystemExit(status)
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(64))
    source = csv_source(recording, rate_hz=640, more='loop = true\npace = "recorded"')
    return write_config(tmp_path, free_port(), f'[http]\nlisten = "127.0.0.1:{free_port()}"\n{source}{pipeline("a")}')


def blocks(state: Path) -> list[Block]:
    return list(HistoryStore(state).blocks(lambda _head: True, lambda _name: True))


def asked(config: Path, query: str = "") -> dict[str, Any]:
    address = config.read_text().split('listen = "')[1].split('"')[0]
    with urlopen(f"http://{address}/api/history{query}") as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def has_begun_anew(config: Path) -> bool:
    with suppress(URLError):  # it does not listen yet
        return "edged started" in [mark["what"] for mark in asked(config, "?seconds=60&points=10")["marks"]]
    return False


def test_a_kill_leaves_what_was_written_and_an_orderly_end_all_of_it(
    run: Run, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    daemon = run(config)
    until(lambda: blocks(state), "the first block")
    assert [one["name"] for one in asked(config, "?seconds=60&points=10")["curves"]].count("rate") == 1
    with pytest.raises(HTTPError) as refused:
        asked(config, "?seconds=0")
    assert refused.value.code == 400
    daemon.kill()
    (first,) = blocks(state)
    assert len(first.walls_ms) == 10
    results = first.values[:, first.columns.index(RATE)]
    assert results[-1] > np.nanmin(results) >= 0

    daemon = run(config)
    until(lambda: daemon.said().count('".flight"') == 2, "the second start")
    until(lambda: has_begun_anew(config), "its first row")
    assert daemon.stop()[0] == 0
    assert len(blocks(state)) == 2
    assert main(["history", "rate", "--since", "10m", "--json", "--config", str(config)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["pipeline"] for one in told["curves"]] == ["a"]
    assert "edged started" in [mark["what"] for mark in told["marks"]]


def test_where_no_history_is_kept_nothing_of_it_is_loaded(run: Run, config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("[telemetry]", "[telemetry]\nhistory = false"))
    daemon = run(config, program=(sys.executable, "-c", WITNESS))
    until(lambda: "part.started" in daemon.said(), "its start")
    assert daemon.stop()[0] == 0
    assert daemon.said().splitlines()[-1] == ""
    assert not (tmp_path / "state" / "history").exists()
