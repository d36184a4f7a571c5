"""A full disk and a read-only one: the box goes on seeing and reporting, says so, and recovers."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.smalldisk import remount, small_disk
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow

BEFORE = 20
LEFT_S = 3.0
"""The time of some 50 results."""
HALF_A_MIB = 512 * 1024
"""Less than the outbox leaves to others."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path, 16) as made:
        yield made


@pytest.fixture
def config(disk: Path, broker: BrokerProcess, tmp_path: Path) -> Path:
    """Give the configuration of about 16 windows a second without an end, with the state on the small disk."""
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(100))
    source = csv_source(recording, more='pace = "recorded"\nloop = true')
    return write_config(tmp_path, broker.port, source + pipeline("a"), state=disk / "state")


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as filler:
        for block in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    filler.write(b"\0" * block)
            except OSError:
                continue


def leaps(fleet: Subscriber, stream: str) -> list[tuple[int, int]]:
    found = [one for one in fleet.of("alert") if one["schema"] == "edged.gap/1" and one["stream"] == stream]
    assert all((one["count"], one["reason"]) == (0, "numbers-skipped") for one in found)
    return [(one["first_seq"], one["last_seq"]) for one in found]


def undeclared(fleet: Subscriber, stream: str) -> list[tuple[int, int]]:
    """Give what is missing between a stream's numbers, and lies in no gap that was told of."""
    told = sorted(set(numbers(fleet.of(stream))))
    missing = [(one + 1, other - 1) for one, other in itertools.pairwise(told) if other != one + 1]
    known = leaps(fleet, stream)
    return [(first, last) for first, last in missing if not any(leap[0] <= first <= last <= leap[1] for leap in known)]


def more_of(fleet: Subscriber, count: int = BEFORE) -> None:
    before = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) >= before + count, f"{count} more results")


def test_a_disk_that_fills_up_costs_no_result_is_told_and_is_used_again_when_there_is_room(
    fleet: Subscriber, run: Run, config: Path, disk: Path
) -> None:
    daemon = run(config)
    more_of(fleet)

    fill(disk / "filler")
    until(lambda: "outbox-disk-full" in fleet.codes(), "it says so")
    assert fleet.last("health")["state"] == "degraded"
    more_of(fleet)
    (disk / "filler").unlink()
    until(lambda: fleet.last("health")["state"] == "ok", "all is well again")
    more_of(fleet)

    assert daemon.stop()[0] == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    assert numbers(fleet.of("result/a")) == list(range(1, len(fleet.of("result/a")) + 1))


def test_on_a_disk_that_others_filled_but_for_a_little_no_result_is_lost_either(
    fleet: Subscriber, run: Run, config: Path, disk: Path
) -> None:
    fill(disk / "filler")
    os.truncate(disk / "filler", (disk / "filler").stat().st_size - HALF_A_MIB)

    daemon = run(config)
    until(lambda: "outbox-disk-full" in fleet.codes(), "it says so")
    more_of(fleet, 5 * BEFORE)
    (disk / "filler").unlink()
    until(lambda: fleet.last("health")["state"] == "ok", "all is well again")

    assert daemon.stop()[0] == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    sequence = numbers(fleet.of("result/a"))
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))
    # Of each stream that the box passed over numbers, since it began on such a disk; and of no document that is missing.
    assert leaps(fleet, "result/a") == [(1, sequence[0] - 1)]
    assert sum(alert["count"] for alert in fleet.of("alert") if alert["schema"] == "edged.gap/1") == 0


def test_on_a_disk_that_is_full_at_the_start_it_sees_and_reports_all_the_same(
    fleet: Subscriber, run: Run, config: Path, disk: Path
) -> None:
    fill(disk / "filler")

    daemon = run(config)

    more_of(fleet)
    until(lambda: "outbox-disk-full" in fleet.codes(), "it says so")
    (disk / "filler").unlink()
    until(lambda: fleet.last("health")["state"] == "ok", "all is well again")
    assert daemon.stop()[0] == 0


def test_no_number_is_given_twice_when_it_is_killed_on_a_full_disk_and_every_leap_is_declared(
    fleet: Subscriber, run: Run, config: Path, disk: Path
) -> None:
    for _ in range(2):
        daemon = run(config)
        more_of(fleet)
        fill(disk / "filler")
        until(lambda: "outbox-disk-full" in fleet.codes(), "it says so")
        more_of(fleet)
        daemon.kill()
    daemon = run(config)
    (disk / "filler").unlink()

    until(lambda: fleet.last("health")["state"] == "ok", "all is well again")
    until(lambda: len(undeclared(fleet, "result/a")) == 0, "what was passed over is told")
    assert daemon.stop()[0] == 0
    assert max(numbers(fleet.of("result/a"))) > 1_000_000_000_000
    assert undeclared(fleet, "result/a") == []
    for stream in ("result/a", "alert"):
        by_number: dict[object, object] = {}
        for told in fleet.of(stream):
            assert by_number.setdefault(told["seq"], told) == told, "a number that comes again is the same document"


@pytest.mark.parametrize("ran_before", [True, False])
def test_on_a_read_only_disk_it_sees_and_reports_all_the_same_and_goes_on_in_number(
    broker: BrokerProcess, fleet: Subscriber, run: Run, config: Path, disk: Path, ran_before: bool
) -> None:
    if ran_before:
        daemon = run(config)
        more_of(fleet)
        broker.close()  # what is left in the outbox has to come out of a disk that takes nothing
        time.sleep(LEFT_S)
        assert daemon.stop()[0] == 0
        broker.start()
    (disk / "state").mkdir(exist_ok=True)
    remount(disk, "ro")
    fleet = Subscriber(broker.port)

    daemon = run(config)
    more_of(fleet)
    until(lambda: "outbox-read-only" in fleet.codes(), "it says so")
    assert edged("run", "--config", config).status == 1  # still only one at a time
    remount(disk, "rw")
    until(lambda: fleet.last("health")["state"] == "ok", "all is well again")
    more_of(fleet)

    assert daemon.stop()[0] == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    told = numbers(fleet.of("result/a"))
    assert told == sorted(set(told))
    assert undeclared(fleet, "result/a") == []
    if ran_before:
        ((first, last),) = leaps(fleet, "result/a")
        assert told[0] < first == told[told.index(last + 1) - 1] + 1
    fleet.close()


def test_a_model_that_no_disk_holds_any_more_is_kept_and_told(
    fleet: Subscriber, run: Run, config: Path, disk: Path
) -> None:
    (disk / "state").mkdir()
    remount(disk, "ro")
    daemon = run(config)
    more_of(fleet)

    shutil.rmtree(config.parent / "models" / "level")
    daemon.reload()
    until(lambda: "model-kept" in fleet.codes(), "it says so")
    more_of(fleet)
    sensor_bundle(config.parent / "models" / "level")
    remount(disk, "rw")
    daemon.reload()

    until(lambda: fleet.last("health")["state"] == "ok", "all is well again")
    assert daemon.stop()[0] == 0
    assert "Traceback" not in daemon.said()
