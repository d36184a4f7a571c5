"""kill -9 of the daemon and of its broker at about 300 results a second: nothing that was committed is lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakes import brokers
from fakes.daemon import DaemonProcess, Run, write_config
from fakes.sensor import LENGTH, csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import until

pytestmark = pytest.mark.slow

KILLS = 9
RATE = 300
"""Results a second."""
BETWEEN = 150
"""Results between two kills: half a second's worth, so that most kills hit a busy moment."""


class Journal:
    """What the broker took: it writes each document down before it acknowledges it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def size(self) -> int:
        """Count the documents without reading them; what a kill cut off counts too."""
        return self._file.read_bytes().count(b"\n") if self._file.exists() else 0

    def by_stream(self) -> Mapping[str, Mapping[int, set[str]]]:
        """Give, for every stream and number, the different documents that bore it."""
        found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for line in self._file.read_text(encoding="utf-8").splitlines():
            topic, payload = line.split("\t", 1)
            document: dict[str, Any] = json.loads(payload)
            if "seq" in document:  # a last will has none
                found[topic.split("/out/", 1)[1]][document["seq"]].add(payload)
        return found


def committed(state: Path, scratch: Path) -> dict[str, int]:
    """Read the last number of each stream from a copy: the file that a daemon left is the next one's to mend."""
    scratch.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        file = state / f"outbox.sqlite3{suffix}"
        copy = scratch / file.name
        copy.unlink(missing_ok=True)
        if file.exists():
            shutil.copyfile(file, copy)
    connection = sqlite3.connect(scratch / "outbox.sqlite3")
    try:
        return dict(connection.execute("SELECT name, seq FROM stream").fetchall())
    finally:
        connection.close()


def test_kills_of_daemon_and_broker_lose_nothing_that_was_committed(run: Run, tmp_path: Path) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(1000))
    source = csv_source(recording, rate_hz=RATE * LENGTH, more='pace = "recorded"\nloop = true')
    broker = brokers.journaling(tmp_path)
    journal = Journal(tmp_path / "journal")
    config = write_config(tmp_path, broker.port, source + pipeline("a"))
    marks: list[dict[str, int]] = []

    daemon = run(config)
    for _ in range(KILLS):
        take(journal, daemon)
        broker.kill()
        broker.start()
        take(journal, daemon)
        daemon.kill()
        marks.append(committed(tmp_path / "state", tmp_path / "copy"))
        daemon.start()
    take(journal, daemon)
    assert daemon.stop()[0] == 0
    left = committed(tmp_path / "state", tmp_path / "copy")
    config.write_text(
        config.read_text().replace("loop = true", "loop = false").replace(str(recording), str(short(tmp_path)))
    )
    assert daemon.start().wait() == 0  # delivers what the last second of the one before left behind, and ends
    broker.close()

    told = journal.by_stream()
    last = committed(tmp_path / "state", tmp_path / "copy")
    for stream, mark in last.items():
        assert sorted(told[stream]) == list(range(1, mark + 1)), stream
        assert all(len(documents) == 1 for documents in told[stream].values()), stream
    for before, after in zip(marks, [*marks[1:], left, last], strict=False):
        assert before["result/a"] <= after["result/a"]
    assert len({mark["result/a"] for mark in marks}) == KILLS
    assert last["result/a"] > KILLS * BETWEEN


def short(folder: Path) -> Path:
    return write_windows(folder / "short.csv", range(3))


def take(journal: Journal, daemon: DaemonProcess) -> None:
    """Wait until the broker took some more."""
    assert not daemon.ended
    before = journal.size()
    until(lambda: journal.size() >= before + BETWEEN, f"{BETWEEN} more documents")
