"""Beyond one broker: three NATS nodes in a cluster, through their gateway for MQTT 3.1.1."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from edgectl.cli import main
from edgectl.fleet.simulate.nats import NODES, NatsCluster
from edgectl.fleet.simulate.run import simulate
from edgectl.fleet.simulate.script import ENDS, Shares, Terms
from edgectl.fleet.simulate.verb import document, text
from fakes.blockbox import Box, Services
from fakes.ext4 import memory

needs_nats = pytest.mark.skipif(shutil.which("nats-server") is None, reason="needs nats-server: it is not on PATH")
BOXES = 9
SHARES = Shares(fails_trial=0.1, rolls_back=0.1, goes_offline=0.0, answers_late=0.1)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[NatsCluster]:
    with memory(tmp_path) as folder:
        made = NatsCluster(folder)
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.mark.slow
@needs_nats
def test_a_fleet_on_a_cluster_loses_nothing_when_a_node_is_killed() -> None:
    result = simulate(Terms(BOXES, SHARES, probation_s=1, late_s=0.5, is_clustered=True, timeout_s=120))

    assert result.converged_s is not None
    assert Counter(result.ends.values()) == Counter(ENDS[role] for role in result.roles.values())
    assert (result.restarted_s is not None, result.lost) == (True, 0)
    assert result.acknowledged >= 8 * BOXES
    assert result.back_s, "boxes of the node that is gone connect to another"
    assert document(result)["restart"]["what"] == "node killed"
    assert f"0 of {result.acknowledged} transitions lost" in text(result)


@pytest.mark.slow
@needs_nats
def test_shards_serve_the_boxes_of_every_node(cluster: NatsCluster, tmp_path: Path) -> None:
    with closing(Services(tmp_path, cluster.port)) as services:
        shards = [services.start("--shard", f"{number}/2") for number in (1, 2)]
        boxes = [
            Box(cluster.ports[number % NODES], f"box-{number}", MQTTProtocolVersion.MQTTv311) for number in range(6)
        ]
        assert {box.read("model.bin") == services.content for box in boxes} == {True}
        for one in boxes:
            one.close()
        counts = [int(services.stop(service).split("served ")[1].split(maxsplit=1)[0]) for service in shards]
    assert sum(counts) == sum(one.asked for one in boxes)
    assert min(counts) > 0


def test_without_the_program_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["fleet", "simulate", "--devices", "1", "--nats"]) == 2
    assert "apt-get install nats-server" in capsys.readouterr().err
