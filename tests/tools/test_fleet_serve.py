"""Blocks of a repository over a real broker: several services share the load, and one that is killed loses nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.fleet.serve import read_shard
from edged.domain.errors import ConfigError
from edged.fleet.fetch import AbsentError
from fakes.blockbox import Box, Services
from fakes.brokers import BrokerProcess

pytestmark = pytest.mark.slow


@pytest.fixture
def services(broker: BrokerProcess, tmp_path: Path) -> Iterator[Services]:
    made = Services(tmp_path, broker.port)
    yield made
    made.close()


@pytest.fixture
def box(broker: BrokerProcess) -> Iterator[Box]:
    made = Box(broker.port, "press-07")
    yield made
    made.close()


def served(said: str) -> int:
    return int(said.split("served ")[1].split(maxsplit=1)[0])


def test_two_share_the_load(services: Services, box: Box) -> None:
    one, other = services.start(), services.start()
    assert hashlib.sha256(box.read("model.bin")).digest() == hashlib.sha256(services.content).digest()
    counts = [served(services.stop(service)) for service in (one, other)]
    assert sum(counts) == box.asked
    assert min(counts) >= box.asked // 4


def test_one_that_is_killed_loses_nothing(services: Services, box: Box) -> None:
    services.start()
    box.after[10] = services.start().kill
    assert box.read("model.bin") == services.content


def test_shards_share_it_where_a_broker_has_no_shared_subscriptions(services: Services, broker: BrokerProcess) -> None:
    shards = [services.start("--shard", f"{number}/2") for number in (1, 2)]
    boxes = [Box(broker.port, f"box-{number}") for number in range(6)]
    assert {box.read("model.bin") == services.content for box in boxes} == {True}
    for one in boxes:
        one.close()
    counts = [served(services.stop(service)) for service in shards]
    assert sum(counts) == sum(one.asked for one in boxes)
    assert min(counts) > 0


def test_a_file_that_is_not_there_is_said_to_be_absent(services: Services, box: Box) -> None:
    services.start()
    with pytest.raises(AbsentError):
        box.read("../fleet.toml")


def test_what_is_no_request_is_not_answered(services: Services, box: Box) -> None:
    service = services.start()
    box.client.publish("edged/v1/d/press-07/out/get", b"[" * 3000, 0).wait_for_publish(30)
    assert box.read("model.bin") == services.content
    assert served(services.stop(service)) == box.asked


def test_a_broker_that_is_not_there_is_told(
    services: Services, broker: BrokerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    broker.close()
    assert main(["fleet", "serve", "--config", str(services.config)]) == 1
    assert "expected one that listens" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["3/2", "0/2", "1", "a/b", "1/0"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected such as 2/3"):
        read_shard(text)


def test_settings_with_faults_tell_each_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text('[mqtt]\nport = 0\n[repository]\nfolders = "x"\n')
    assert main(["fleet", "serve", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert "mqtt.port" in said
    assert "repository.folders" in said
