"""The broker that `edgectl fleet broker` writes, run: two attacks that others fall to, and changes while it runs."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edgectl.cli import main
from edgectl.fleet import access
from edgectl.fleet.broker import CONF, PLUGINS, SECURITY
from edged.domain.errors import ConfigError
from fakes.brokers import BrokerProcess, free_port
from fakes.waiting import until

pytestmark = pytest.mark.slow

NOT_AUTHORIZED = 0x87


class Client:
    """A client with a user's password; what it heard, and what it was refused."""

    def __init__(self, folder: Path, port: int, user: str, client_id: str | None = None) -> None:
        self.heard: list[str] = []
        self.granted: list[int] = []
        self.acks: list[int] = []
        self.lost = threading.Event()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id or user, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        self.client.username_pw_set(user, (folder / "passwords" / user).read_text().strip())
        self.client.on_message = lambda _c, _u, message: self.heard.append(message.topic)
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.granted.extend(code.value for code in codes)
        self.client.on_publish = lambda _c, _u, _m, code, _p: self.acks.append(code.value)
        self.client.on_disconnect = lambda *_: self.lost.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until(self.client.is_connected, "a connection")

    def reads(self, topic: str) -> int:
        self.granted.clear()
        self.client.subscribe(topic, 1)
        until(lambda: bool(self.granted), "an answer to the subscription")
        return self.granted[0]

    def writes(self, topic: str, payload: Any = b"x", *, retain: bool = False) -> bool:
        """Publish; whether the broker took it."""
        self.acks.clear()
        self.client.publish(topic, payload, 1, retain)
        until(lambda: bool(self.acks), "an acknowledgement")
        return self.acks[0] < NOT_AUTHORIZED

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Site:
    """A broker that was written and runs, with devices ``dev-a`` and ``dev-b`` of group ``line-a``."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("needs mosquitto: it is not installed")
        if not any(Path(plugin).is_file() for plugin in PLUGINS):
            pytest.skip("needs mosquitto's dynamic security plugin: it is not installed")
        self.folder, self.port = folder / "broker", free_port()
        assert main(["fleet", "broker", "init", str(self.folder), "--port", str(self.port)]) == 0
        assert main(["fleet", "broker", "add", str(self.folder), "dev-a", "dev-b", "--group", "line-a"]) == 0
        conf = self.folder / CONF
        # Started by root it would become another user, who may not enter the folders of these tests.
        conf.write_text(conf.read_text() + ("user root\n" if os.geteuid() == 0 else ""))
        self.broker = BrokerProcess([program, "-c", str(conf)], self.port)
        self._clients: list[Client] = []

    def client(self, user: str, client_id: str | None = None) -> Client:
        self._clients.append(Client(self.folder, self.port, user, client_id))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.broker.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_device_cannot_swallow_requests_to_the_file_service(site: Site) -> None:
    """Cases 10 and 57: with an access file of mosquitto's, B was granted this and the service got 20 of 40."""
    shared = "$share/files/edged/v1/d/+/out/get"
    service, thief, device = site.client("serve-1"), site.client("dev-b"), site.client("dev-a")
    assert service.reads(shared) == 1
    assert thief.reads(shared) == NOT_AUTHORIZED
    assert [device.writes("edged/v1/d/dev-a/out/get") for _ in range(40)] == [True] * 40
    until(lambda: len(service.heard) == 40, "40 requests")
    assert thief.heard == []


def test_a_device_cannot_take_anothers_connection_by_its_client_id(site: Site) -> None:
    """Case 57."""
    victim = site.client("dev-a")
    thief = site.client("dev-b", client_id="dev-a")
    assert thief.writes("edged/v1/d/dev-b/out/alert")
    assert not victim.lost.is_set()
    assert victim.writes("edged/v1/d/dev-a/out/alert")


def test_a_device_writes_only_what_is_its_own(site: Site) -> None:
    """Case 56: a result in another's name is refused."""
    device = site.client("dev-b")
    refused = ("edged/v1/d/dev-a/out/result/gate", "edged/v1/d/dev-a/in/desired", "edged/v1/d/dev-b/in/desired")
    assert [device.writes(topic, retain=True) for topic in refused] == [False] * 3
    assert device.writes("edged/v1/d/dev-b/out/status", retain=True)


def test_a_device_hears_its_own_orders_and_its_groups(site: Site) -> None:
    device, fleet = site.client("dev-a"), site.client("fleet")
    assert device.reads("edged/v1/d/dev-a/in/#") == 1
    assert device.reads("edged/v1/g/line-a/in/desired") == 1
    assert device.reads("edged/v1/g/line-b/in/desired") == NOT_AUTHORIZED
    assert device.reads("edged/#") == NOT_AUTHORIZED
    for topic in ("edged/v1/d/dev-b/in/command", "edged/v1/d/dev-a/in/command", "edged/v1/g/line-a/in/desired"):
        assert fleet.writes(topic)
    until(lambda: len(device.heard) == 2, "two orders")
    assert sorted(device.heard) == ["edged/v1/d/dev-a/in/command", "edged/v1/g/line-a/in/desired"]


def test_devices_come_and_go_while_it_runs(site: Site) -> None:
    host = ["--host", "127.0.0.1", "--port", str(site.port)]
    assert main(["fleet", "broker", "add", str(site.folder), "dev-c", *host]) == 0
    late = site.client("dev-c")
    assert late.writes("edged/v1/d/dev-c/out/alert")
    assert main(["fleet", "broker", "remove", str(site.folder), "dev-c", *host]) == 0
    assert late.lost.wait(30)


def test_a_broker_that_is_not_there_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "broker", "add", str(site.folder), "dev-c", "--host", "127.0.0.1", "--port", "1"]) == 1
    assert capsys.readouterr().err.startswith("edgectl: cannot reach the broker at 127.0.0.1:1: ")


def test_an_administrator_with_another_password_is_refused(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    (site.folder / "passwords" / "admin").write_text("guess\n")
    assert (
        main(["fleet", "broker", "remove", str(site.folder), "dev-a", "--host", "127.0.0.1", "--port", str(site.port)])
        == 1
    )
    assert "cannot change the broker at 127.0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["+", "a/b", "#", "", "A", "a" * 65, "dev a", "dev.a"])
def test_a_name_that_could_stand_for_several_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot use the name"):
        access.device_role(name)


@pytest.mark.parametrize("topic", ["#", "+", "+/oven", "$SYS/x", "$share/a/plant", "plant/#/x", "plant/o+", "/x", ""])
def test_a_source_that_would_read_nearly_everything_or_swallow_what_others_wait_for_is_refused(topic: str) -> None:
    with pytest.raises(ConfigError, match="cannot let a source read"):
        access.source_role("dev-a", "oven", topic)


@pytest.mark.parametrize("topic", ["plant", "plant/oven", "plant/+/state", "plant/#", "plant//x", "plant/+"])
def test_a_source_reads_its_filter_alone_and_writes_nothing(topic: str) -> None:
    role = access.source_role("dev-a", "oven", topic)
    assert {(one["acltype"], one["topic"]) for one in role["acls"]} == {
        ("publishClientReceive", topic),
        ("subscribeLiteral", topic),
    }
    assert role["rolename"] == "device-dev-a.oven"


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "keep").write_text("mine")
    assert main(["fleet", "broker", "init", str(tmp_path)]) == 2
    assert "it is not empty" in capsys.readouterr().err
    assert [place.name for place in tmp_path.iterdir()] == ["keep"]


def test_what_is_removed_from_the_file_is_gone_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    main(["fleet", "broker", "init", str(folder)])
    before = json.loads((folder / SECURITY).read_text())
    main(["fleet", "broker", "add", str(folder), "dev-a"])
    main(["fleet", "broker", "source", str(folder), "dev-a", "oven", "plant/oven"])
    main(["fleet", "broker", "sparkplug", str(folder), "dev-a"])
    main(["fleet", "broker", "remove", str(folder), "dev-a"])
    assert json.loads((folder / SECURITY).read_text()) == before
    assert (folder / SECURITY).stat().st_mode & 0o077 == 0
    assert not list((folder / "passwords").glob("dev-a*"))


def test_what_root_writes_belongs_to_the_user_that_mosquitto_becomes_and_passwords_to_root(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not any(user.pw_name == "mosquitto" for user in pwd.getpwall()):
        pytest.skip("needs root, and a user 'mosquitto'")
    folder = tmp_path / "broker"
    main(["fleet", "broker", "init", str(folder)])
    main(["fleet", "broker", "add", str(folder), "dev-a"])
    assert {(folder / name).owner() for name in (".", CONF, SECURITY)} == {"mosquitto"}
    assert {file.owner() for file in (folder / "passwords").iterdir()} == {"root"}


def test_a_folder_without_rules_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "passwords").mkdir()
    assert main(["fleet", "broker", "add", str(tmp_path), "dev-a"]) == 2
    assert "expected the rules that `edgectl fleet broker init` wrote" in capsys.readouterr().err
