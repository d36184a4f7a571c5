"""The command ``support`` over a real broker."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.commander import Commander
from fakes.daemon import Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

CANARY = "s1ngs-9fLwZ7"


def test_a_daemon_writes_an_archive_with_what_it_says_of_itself_and_results_go_on(
    broker: BrokerProcess, fleet: Subscriber, hand: Commander, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "spindle.csv", range(100)), more='pace = "recorded"\nloop = true')
    typo = f'[[pipeline]]\nname = "typo"\nsource = "spindle"\nmodel = "level"\npasword = "{CANARY}"\n'
    run(write_config(tmp_path, broker.port, source + pipeline("a") + typo))
    until(lambda: fleet.of("result/a") and fleet.of("inventory"), "results")
    hand.send("support")
    until(lambda: hand.heard, "an answer")
    (_, answer, _) = hand.heard[0]
    assert (answer["verb"], answer["ok"]) == ("support", True)
    file = Path(answer["result"]["path"])
    assert file.parent == tmp_path / "state" / "support"
    assert answer["result"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    with tarfile.open(file) as tar:
        told = {one.name.partition("/")[2]: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr] # all are files
    assert [name for name, content in told.items() if CANARY.encode() in content] == []
    assert json.loads(told["health.json"])["schema"] == "edged.health/1"
    assert json.loads(told["inventory.json"])["profile"]
    assert '"pasword": "***"' in told["configuration/edged.toml.json"].decode()
    before = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) > before, "further results")
