"""A model's trial inside the hardened unit: a child with filters of its own, within the unit's, under a real systemd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes import boot, brokers, syncedclock
from fakes.boot import Machine
from fakes.brokers import BrokerProcess
from fakes.brought import bring
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.shop import Shop, named
from fakes.strange import strange_engine
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

EDGED = "edged.service"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "systemd.md"
WITHIN_S = 90.0
BAD = {"crashing": "self.calls > 20 and os.abort()", "calling": "self.calls > 20 and socket.socket()"}
"""Runtimes that a package brings, and what they do in the middle of a trial. The unit itself allows sockets."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    made = brokers.mosquitto(tmp_path_factory.mktemp("broker"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def fleet(broker: BrokerProcess) -> Iterator[Subscriber]:
    made = Subscriber(broker.port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine on which edged was installed as the documentation says, with a kernel that believes its clock."""
    boot.require()
    made = Machine(tmp_path_factory.mktemp("machine"))
    try:
        made.do(text=DOCS.read_text(encoding="utf-8").split("```sh\n")[1].split("```")[0])
        site = next((made.root / "opt/edged/lib").glob("python3*/site-packages"))
        made.write(f"/{(site / 'syncedclock.py').relative_to(made.root)}", Path(syncedclock.__file__).read_text())
        for name, does in BAD.items():
            bring(site, "edged.engines", name, strange_engine(infer=does))
        start = '/opt/edged/bin/python -c "from syncedclock import run; raise SystemExit(run())" run'
        made.write(f"/etc/systemd/system/{EDGED}.d/clock.conf", f"[Service]\nExecStart=\nExecStart={start}\n")
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def shop(machine: Machine, broker: BrokerProcess, fleet: Subscriber) -> Shop:
    """Give whoever signs, after the box has begun on 1.0.0."""
    etc = machine.root / "etc/edged"
    made = Shop(etc / "shop", broker.port)
    sensor_bundle(etc / "models/level")
    write_windows(etc / "spindle.csv", range(100))
    updates = '[updates]\nrepository = "/etc/edged/shop/repository"\ntrust = "/etc/edged/shop/root.json"\n'
    source = csv_source(Path("/etc/edged/spindle.csv"), more='pace = "recorded"\nloop = true')
    box = f'[device]\nid = "press-07"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
    # However slow a busy machine makes it in its probation.
    patient = pipeline("a", more="objective = { latency_ms = 60000 }")
    machine.write("/etc/edged/edged.toml", box + updates + source + patient)
    machine.do(text=f"systemctl daemon-reload; systemctl restart {EDGED}")
    until(lambda: fleet.of("result/a"), "a result")
    return made


def tried(fleet: Subscriber, shop: Shop, folder: Path) -> dict[str, Any]:
    """Order what lies in a folder; gives how that ended."""
    heard = len(fleet.of("update"))
    shop.order({"level": shop.offer(folder)})
    ends = {"committed", "failed", "rejected", "rolled-back"}

    def end() -> dict[str, Any] | None:
        return next((one for one in fleet.of("update")[heard:] if one["state"] in ends), None)

    until(end, "it ends", WITHIN_S)
    return end() or {}


@pytest.mark.parametrize(
    ("runtime", "version", "words"),
    [
        ("crashing", "3.0.0", "crashed with SIGABRT in its trial"),
        ("calling", "4.0.0", "Operation not permitted"),
    ],
)
def test_a_candidate_that_crashes_or_calls_out_is_refused_inside_the_hardened_unit(
    machine: Machine, fleet: Subscriber, shop: Shop, tmp_path: Path, runtime: str, version: str, words: str
) -> None:
    pid = machine.show(EDGED, "MainPID")
    bad = named(sensor_bundle(tmp_path / "level", version=version), tflite=runtime)

    told = tried(fleet, shop, bad)

    assert told["state"] == "failed"
    assert words in told["reason"]
    assert (machine.show(EDGED, "MainPID"), machine.show(EDGED, "NRestarts")) == (pid, "0")


def test_a_candidate_passes_its_trial_closed_off_inside_the_hardened_unit_and_goes_live(
    machine: Machine, fleet: Subscriber, shop: Shop, tmp_path: Path
) -> None:
    told = tried(fleet, shop, sensor_bundle(tmp_path / "level", version="2.0.0"))

    assert told["state"] == "committed", told
    passed = next(one["figures"] for one in fleet.of("update") if "closed_off" in one.get("figures", {}))
    assert passed["closed_off"] == 1.0
    assert machine.show(EDGED, "NoNewPrivileges") == "yes"
    assert "@system-service" not in machine.show(EDGED, "SystemCallFilter")  # shown call by call
    assert machine.show(EDGED, "NRestarts") == "0"
