"""The daemon on a box whose clock is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.commander import Commander
from fakes.daemon import Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow

LIBRARIES = ("/usr/lib/*-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")


@pytest.fixture
def faketime() -> str:
    """Give libfaketime's path, or skip."""
    found = [str(path) for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    if not found:
        pytest.skip("needs libfaketime: it is not installed")
    return found[0]


@pytest.fixture
def endless(tmp_path: Path) -> str:
    """Give a source and a pipeline that go on for ever."""
    sensor_bundle(tmp_path / "models" / "level-1")
    recording = write_windows(tmp_path / "spindle.csv", range(100))
    return csv_source(recording, more='pace = "recorded"\nloop = true') + pipeline(
        "a", more='report = {results = "all"}'
    )


def test_a_box_that_boots_in_1970_works_says_unsynced_and_survives_every_step(
    broker: BrokerProcess, fleet: Subscriber, run: Run, endless: str, tmp_path: Path, faketime: str
) -> None:
    moved = tmp_path / "faketime"
    moved.write_text("-1793491200")  # to about 1970
    env = {
        "LD_PRELOAD": faketime,
        "FAKETIME_TIMESTAMP_FILE": str(moved),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    daemon = run(write_config(tmp_path, broker.port, endless), env=env)
    until(lambda: len(fleet.of("result/a")) > 20, "results")
    first = fleet.of("result/a")[0]
    assert first["captured_at"] < "2000"
    assert first["clock"] == "unsynced"

    for offset in ("+86400", "-40000", "+0"):  # forwards, backwards, and to the right time at last
        moved.write_text(offset)
        said = len(fleet.of("result/a"))
        until(lambda said=said: len(fleet.of("result/a")) > said + 40, f"results go on at {offset}")
        said = len(fleet.of("telemetry"))
        until(lambda said=said: len(fleet.of("telemetry")) > said + 1, f"telemetry goes on at {offset}")

    assert fleet.last("result/a")["captured_at"] > "2020"
    results = fleet.of("result/a")
    assert numbers(results) == list(range(1, len(results) + 1))
    assert [one["mono_ms"] for one in results] == sorted(one["mono_ms"] for one in results)
    assert "stuck" not in daemon.said()
    status, took_s = daemon.stop()
    assert status == 0
    assert took_s < 5


def test_a_budget_thins_results_and_says_so_in_telemetry_and_health(
    broker: BrokerProcess, fleet: Subscriber, run: Run, endless: str, tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.port, endless)
    config.write_text(config.read_text().replace("[telemetry]", "budget_mb_per_day = 0.5\n[telemetry]"))
    run(config)
    until(lambda: "budget" in fleet.codes(), "health says it")
    until(lambda: fleet.of("telemetry"), "telemetry")
    until(lambda: fleet.last("health")["state"] == "degraded", f"degraded: {fleet.last('health')}")
    assert "0.5 MB" in fleet.reason("mqtt")
    said = len(fleet.of("result/a"))
    began = time.monotonic()
    hand = Commander(broker.port)
    assert hand.ask("ping")["ok"], "replies are never thinned"
    until(lambda: time.monotonic() - began > 4, "a while")
    assert len(fleet.of("result/a")) <= said + 3
    assert numbers(fleet.of("result/a")) == list(range(1, len(fleet.of("result/a")) + 1)), "no gaps"
    hand.close()
