"""The Sparkplug package, installed beside edged: a host of another implementation follows a real box on a real broker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import DEVICE, Run, edged, write_config
from fakes.guardedbroker import SECRET, guarded
from fakes.sensor import csv_source, sensor_bundle, write_windows
from fakes.sparkplughost import Host
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until
from fakes.wheel import CHECKOUT, installed

pytestmark = pytest.mark.slow

PACKAGE = CHECKOUT / "tools" / "edged-sparkplug"
PAGE = (CHECKOUT / "docs" / "sparkplug.md").read_text(encoding="utf-8")
SINK = re.findall(r"^```toml\n(\[\[sink\]\].*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0]
PIPELINE = """
[[pipeline]]
name = "load"
source = "spindle"
model = "level"

[[pipeline.rule]]
name = "worn"
when = { anomaly = true }
gap_s = 0.2
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder that the package is installed in."""
    return installed(PACKAGE, tmp_path_factory.mktemp("packages"))


@pytest.fixture
def host(broker: BrokerProcess) -> Iterator[Host]:
    made = Host(broker.port)
    yield made
    made.close()


@pytest.fixture
def config(broker: BrokerProcess, tmp_path: Path) -> Path:
    sensor_bundle(tmp_path / "models" / "level", threshold=10.0)
    recording = write_windows(tmp_path / "spindle.csv", [1.0] * 10 + [9.0] * 10)
    source = csv_source(recording, rate_hz=640, more='pace = "recorded"\nloop = true')
    return write_config(tmp_path, broker.port, source + PIPELINE, more=SINK)


def test_a_host_follows_the_box_from_birth_to_death_beside_its_own_documents(
    packages: Path, host: Host, fleet: Subscriber, run: Run, config: Path
) -> None:
    env = {"PYTHONPATH": str(packages)}
    assert edged("check", "--config", config, env=env).status == 0
    daemon = run(config, env=env)

    until(lambda: host.kinds()[:2] == ["NBIRTH", "DBIRTH/load"], "the births")
    load = host.values["load"]
    until(lambda: load.get("Rules/worn") is True, "the rule holds")
    until(lambda: load.get("Rules/worn") is False, "and holds no longer")
    until(lambda: (load.get("Rate Hz") or 0) > 1, "its rate")
    assert load["Result/Anomaly Score"] in {1.0, 81.0}
    whole = {"Model": "level", "Model Version": "1.0.0", "Rung": "fp32", "State": "running"}
    until(lambda: whole.items() <= load.items(), "what runs")
    until(lambda: host.values[""].get("Health") == "ok", "its health")

    host.ask_for_births()
    until(lambda: host.kinds().count("NBIRTH") == 2, "births anew")
    until(lambda: host.kinds().count("DBIRTH/load") == 2, "of the pipeline, too")
    assert host.values["load"]["Result/Anomaly Score"] in {1.0, 81.0}, "a birth tells what stands"

    assert daemon.stop()[0] == 0
    until(lambda: host.kinds()[-1] == "NDEATH", "its death")
    assert host.faults == []
    assert numbers(fleet.of("event/load")) == list(range(1, len(fleet.of("event/load")) + 1)), (
        "the native lane is whole"
    )


def test_a_killed_box_dies_by_its_will_and_is_born_with_the_next_number(
    packages: Path, host: Host, run: Run, config: Path
) -> None:
    env = {"PYTHONPATH": str(packages)}
    daemon = run(config, env=env)
    until(lambda: "DBIRTH/load" in host.kinds(), "the births")
    first = host.bd_seq
    daemon.kill()
    until(lambda: host.kinds()[-1] == "NDEATH", "its will")
    daemon.start()
    until(lambda: host.kinds().count("NBIRTH") == 2, "its birth")
    assert host.bd_seq == ((first or 0) + 1) % 256
    assert host.faults == []
    assert daemon.stop()[0] == 0


def test_a_broker_that_comes_back_hears_births_and_the_box_says_what_was_wrong(
    packages: Path, broker: BrokerProcess, host: Host, fleet: Subscriber, run: Run, config: Path
) -> None:
    daemon = run(config, env={"PYTHONPATH": str(packages)})
    until(lambda: "DBIRTH/load" in host.kinds(), "the births")
    first = host.bd_seq
    broker.kill()
    broker.start()
    until(lambda: host.kinds().count("NBIRTH") == 2, "births on the new connection")
    assert host.bd_seq == ((first or 0) + 1) % 256
    until(lambda: "sink-failing" not in fleet.codes(), "all is well")
    assert daemon.stop()[0] == 0


def test_it_speaks_for_its_own_node_alone_under_the_access_rules_that_edgectl_writes(
    packages: Path, run: Run, config: Path, tmp_path: Path
) -> None:
    rules = tmp_path / "broker"
    with guarded(rules, ("add", DEVICE), ("sparkplug", DEVICE)) as port:
        host = Host(port, password=SECRET)
        config.write_text(with_users(config.read_text(), rules / "passwords", port))
        daemon = run(config, env={"PYTHONPATH": str(packages)})
        try:
            until(lambda: host.kinds()[:2] == ["NBIRTH", "DBIRTH/load"], "the births")
            until(lambda: "DDATA/load" in host.kinds(), "figures")
            host.ask_for_births()
            until(lambda: host.kinds().count("NBIRTH") == 2, "births anew")
            assert daemon.stop()[0] == 0
            until(lambda: host.kinds()[-1] == "NDEATH", "its death")
            assert host.faults == []
        finally:
            host.close()


def with_users(text: str, passwords: Path, port: int) -> str:
    """Give the configuration with a user for edged, and one for Sparkplug."""
    own = f'port = {port}\npassword_file = "{passwords / DEVICE}"'
    its = f'username = "{DEVICE}-sparkplug"\npassword_file = "{passwords / DEVICE}-sparkplug"\n'
    return re.sub(r"(?m)^port = \d+$", own, text).replace("[sink.options]\n", f"[sink.options]\n{its}")


def test_without_the_package_the_box_runs_and_says_what_is_missing(fleet: Subscriber, run: Run, config: Path) -> None:
    assert "cannot find sink 'sparkplug'" in edged("check", "--config", config).out
    daemon = run(config)
    until(lambda: "sink-failing" in fleet.codes(), "the reason")
    assert "no installed package brings it" in fleet.reason("plant")
    until(lambda: fleet.of("event/load"), "events go on")
    assert daemon.stop()[0] == 0
