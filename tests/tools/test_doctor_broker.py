"""The broker as ``edgectl doctor`` finds it: each fault is planted for real, found, and gone once the remedy is carried out."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgectl.cli import main
from edgectl.fleet.broker import CONF, PLUGINS
from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.certificates import Authority, Pair
from fakes.daemon import DEVICE, DaemonProcess, Run
from fakes.mjpeg import JpegCamera
from fakes.patient import Patient, Row, make_patient
from fakes.sensor import picture_bundle, pipeline
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow


Start = Callable[..., BrokerProcess]


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Start:
    """Give a function that starts a broker with these lines, or the one of a folder; it ends with its test."""

    def mosquitto(*lines: str, folder: Path | None = None) -> BrokerProcess:
        made = ruled(folder) if folder else brokers.mosquitto(tmp_path, *lines)
        request.addfinalizer(made.close)
        return made

    return mosquitto


@pytest.fixture
def broker(start: Start) -> BrokerProcess:
    return start()


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    def start(config: Path) -> DaemonProcess:
        daemon = DaemonProcess(config)
        request.addfinalizer(daemon.close)
        return daemon.start()

    return start


def needs_the_plugin() -> None:
    if not any(Path(plugin).is_file() for plugin in PLUGINS):
        pytest.skip("needs mosquitto's dynamic security plugin: it is not installed")


def of(box: Patient, group: str, check: str) -> Row:
    return {row["check"]: row for row in box.looked_at(group)}[check]


def ruled(folder: Path) -> BrokerProcess:
    """Start the broker that `edgectl fleet broker` wrote, on a free port."""
    conf, port = folder / CONF, brokers.free_port()
    # Started by root it would become another user, who may not read what root wrote.
    user = "\nuser root" if os.geteuid() == 0 else ""
    conf.write_text(re.sub(r"^listener .*", f"listener {port} 127.0.0.1{user}", conf.read_text(), flags=re.MULTILINE))
    return BrokerProcess([shutil.which("mosquitto", path="/usr/sbin:/usr/bin") or "", "-c", str(conf)], port)


class TestBroker:
    def test_a_wrong_password(self, tmp_path: Path, start: Start) -> None:
        broker = start(*brokers.knowing(tmp_path, {DEVICE: "right"}))
        (tmp_path / "secret").write_text("not-this-one\n")
        box = make_patient(tmp_path, broker.port, mqtt=f'password_file = "{tmp_path / "secret"}"')
        row = box.finds("broker", "login")
        assert "not-this-one" not in json.dumps(row)
        assert "0x87 (Not authorized)" in row["evidence"]
        assert row["remedy"].startswith(
            f"sudoedit {box.config}  # set mqtt.username and mqtt.password_file as the broker has them"
        )

        (tmp_path / "secret").write_text("right\n")

        assert f"as {DEVICE}" in of(box, "broker", "login")["evidence"]

    def test_a_broker_that_lets_anybody_do_anything(self, tmp_path: Path, start: Start, broker: BrokerProcess) -> None:
        needs_the_plugin()
        box = make_patient(tmp_path, broker.port)
        found = {row["check"]: row for row in box.looked_at("broker")}
        assert (found["writes"]["status"], found["reads"]["status"]) == ("fail", "fail")
        assert "any device can command any other" in found["writes"]["evidence"]
        assert found["writes"]["remedy"] == found["reads"]["remedy"]

        box.carries_out(found["writes"]["remedy"])
        folder = box.folder / "BROKER"
        held = start(folder=folder)
        box.edits(f"port = {broker.port}", f'port = {held.port}\npassword_file = "{folder / "passwords" / DEVICE}"')

        assert {row["status"] for row in box.looked_at("broker")} <= {"ok", "skipped"}

    def test_rules_that_are_applied_at_delivery_hold_less_than_they_seem_to_and_a_groups_orders_are_its_own(
        self, tmp_path: Path, start: Start
    ) -> None:
        rules = tmp_path / "rules"
        rules.write_text(
            "pattern write edged/v1/d/%u/out/#\npattern read edged/v1/d/%u/in/#\npattern read edged/v1/g/line-a/in/#\n"
            "user fleet\ntopic readwrite edged/#\n"
        )
        known = brokers.knowing(tmp_path, {DEVICE: "right", "fleet": "right"})
        broker = start(*known, f"acl_file {rules}", "message_size_limit 5000")
        (tmp_path / "secret").write_text("right\n")
        fleet = Subscriber(broker.port, login=("fleet", "right"))
        fleet.client.publish("edged/v1/g/line-a/in/desired", "{}", 1, retain=True).wait_for_publish(30)
        fleet.close()
        box = make_patient(tmp_path, broker.port, mqtt=f'password_file = "{tmp_path / "secret"}"')
        box.edits(f'id = "{DEVICE}"', f'id = "{DEVICE}"\ngroups = ["line-a"]')

        found = {row["check"]: row for row in box.looked_at("broker")}

        assert (found["round trip"]["status"], found["size"]["status"]) == ("ok", "fail")
        assert (found["writes"]["status"], found["reads"]["status"]) == ("ok", "warn")
        assert found["reads"]["remedy"].startswith(
            f"edgectl fleet broker init BROKER && edgectl fleet broker add BROKER {DEVICE} --group line-a"
        )

    def test_a_name_that_does_not_resolve(self, tmp_path: Path, broker: BrokerProcess) -> None:
        box = make_patient(tmp_path, broker.port)
        box.edits('host = "127.0.0.1"', 'host = "broker.plant.invalid"')
        row = box.finds("broker", "name")
        assert row["remedy"] == f"getent hosts broker.plant.invalid; sudoedit {box.config}  # host below [mqtt]"

        box.edits('host = "broker.plant.invalid"', 'host = "localhost"')

        assert of(box, "broker", "login")["status"] == "ok"

    def test_a_broker_that_is_down(self, tmp_path: Path, broker: BrokerProcess) -> None:
        box = make_patient(tmp_path, broker.port)
        broker.kill()
        assert "start the broker" in box.finds("broker", "TCP")["remedy"]

        broker.start()

        assert of(box, "broker", "TCP")["status"] == "ok"

    def test_a_limit_that_documents_exceed(self, tmp_path: Path, start: Start) -> None:
        broker = start("max_packet_size 10000")
        row = of(make_patient(tmp_path, broker.port), "broker", "size")
        assert (row["status"], row["evidence"]) == ("fail", "takes packets of 10000 bytes, documents have up to 131072")
        (lines,) = re.findall(r"^printf '(.*)' \| sudo tee /etc/mosquitto/conf.d/", row["remedy"])

        raised = start(*lines.split(r"\n"))

        row = of(make_patient(tmp_path, raised.port), "broker", "size")
        assert row["status"] == "ok"


def encrypted(pair: Pair) -> tuple[str, str]:
    return f"certfile {pair.cert}", f"keyfile {pair.key}"


class TestCertificates:
    @pytest.fixture
    def plant(self, tmp_path: Path) -> Authority:
        return Authority(tmp_path)

    def test_one_that_has_expired(self, tmp_path: Path, start: Start, plant: Authority) -> None:
        expired = start(*encrypted(plant.sign("broker", names="IP:127.0.0.1", days=-1)))
        box = make_patient(tmp_path, expired.port, mqtt=f'tls = {{ ca = "{plant.pair.cert}" }}')
        row = box.finds("broker", "tls")
        assert "certificate has expired" in row["evidence"]
        assert "# renew the broker's certificate" in row["remedy"]

        renewed = start(*encrypted(plant.sign("broker", names="IP:127.0.0.1", days=90)))
        box.edits(f"port = {expired.port}", f"port = {renewed.port}")

        assert of(box, "broker", "tls")["status"] == "ok"

    def test_one_that_ends_soon_is_a_warning(self, tmp_path: Path, start: Start, plant: Authority) -> None:
        broker = start(*encrypted(plant.sign("broker", names="IP:127.0.0.1", days=10)))
        row = of(make_patient(tmp_path, broker.port, mqtt=f'tls = {{ ca = "{plant.pair.cert}" }}'), "broker", "tls")
        assert row["status"] == "warn"
        assert re.fullmatch(r"renew the broker's certificate within (9|10) days, and restart the broker", row["remedy"])

    def test_one_of_another_authority(self, tmp_path: Path, start: Start, plant: Authority) -> None:
        other = Authority(tmp_path, "Other CA")
        broker = start(*encrypted(plant.sign("broker", names="IP:127.0.0.1", days=90)))
        box = make_patient(tmp_path, broker.port, mqtt=f'tls = {{ ca = "{other.pair.cert}" }}')
        row = box.finds("broker", "tls")
        assert row["remedy"].endswith(
            f"; sudoedit {box.config}  # set mqtt.tls.ca to the authority that signed the broker's certificate"
        )

        box.edits(str(other.pair.cert), str(plant.pair.cert))

        assert of(box, "broker", "tls")["status"] == "ok"

    def test_a_broker_that_wants_to_know_the_device_and_one_whose_certificate_of_its_own_has_expired(
        self, tmp_path: Path, plant: Authority, start: Start
    ) -> None:
        asks = ("require_certificate true", f"cafile {plant.pair.cert}", "use_identity_as_username true")
        broker = start(*encrypted(plant.sign("broker", names="IP:127.0.0.1", days=90)), *asks)
        box = make_patient(tmp_path, broker.port, mqtt=f'tls = {{ ca = "{plant.pair.cert}" }}')
        assert box.finds("broker", "tls")["remedy"].endswith(
            "# set mqtt.tls.cert and mqtt.tls.key: the broker asks for a certificate"
        )

        own = plant.sign(DEVICE, days=-1)
        box.edits(f'ca = "{plant.pair.cert}"', f'ca = "{plant.pair.cert}", cert = "{own.cert}", key = "{own.key}"')
        row = box.finds("broker", "own certificate")
        renewed = plant.sign("renewed", days=90)
        renewed.cert.rename(tmp_path / "new.pem")
        renewed.key.rename(own.key)
        box.program("systemctl", "true")
        box.carries_out(row["remedy"])

        assert of(box, "broker", "own certificate")["status"] == "ok"
        assert of(box, "broker", "login")["status"] == "ok"


class TestBesideTheDaemon:
    """What is the daemon's stays the daemon's: its connection, its session, its camera."""

    def test_a_connection_that_the_daemon_holds_counts_as_its_login_and_its_camera_is_not_opened_again(
        self, tmp_path: Path, start: Start, jpegs: JpegCamera, run: Run
    ) -> None:
        broker = start(*brokers.knowing(tmp_path, {DEVICE: "right"}))
        (tmp_path / "secret").write_text("right\n")
        picture_bundle(tmp_path / "models" / "still")
        http = f'[http]\nlisten = "127.0.0.1:{brokers.free_port()}"'
        source = f'[[source]]\nname = "dock"\nkind = "camera"\nurl = "{jpegs.url}/stream"\n'
        body, mqtt = source + pipeline("gate", source="dock", model="still"), f'password_file = "{tmp_path / "secret"}"'
        box = make_patient(tmp_path, broker.port, body, mqtt, http)
        daemon = run(box.config)
        until(lambda: "reads it" in of(box, "cameras", "rate")["evidence"], "its first result")

        rows = {(row["group"], row["check"]): row for row in box.looked_at("broker", "cameras", "memory", "service")}

        assert re.fullmatch(
            rf"edged \(process {daemon.pid}\) says that it is online", rows["broker", "login"]["evidence"]
        )
        assert rows["broker", "writes"]["status"] == "skipped"
        assert rows["broker", "writes"]["evidence"].endswith("edgectl doctor broker --login")
        assert rows["cameras", "rate"]["evidence"].startswith(f"edged (process {daemon.pid}) reads it")
        assert rows["memory", "budget"]["evidence"] == f"edged (process {daemon.pid}) runs them all"
        logged_in = {row["check"]: row for row in box.looked_at("broker", login=True)}
        assert logged_in["login"]["evidence"].startswith(f"MQTT 5, as {DEVICE}, client id {DEVICE}-doctor-")
        assert logged_in["writes"]["status"] == "fail"
        assert "taken-over" not in daemon.said()
        daemon.stop()

    def test_what_waits_for_the_device_at_a_broker_that_takes_users_for_clients_waits_on(
        self, tmp_path: Path, start: Start
    ) -> None:
        needs_the_plugin()
        folder = tmp_path / "BROKER"
        assert main(["fleet", "broker", "init", str(folder)]) == 0
        assert main(["fleet", "broker", "add", str(folder), DEVICE]) == 0
        broker = start(folder=folder)
        secret = folder / "passwords" / DEVICE
        Session(broker.port, secret).close()
        fleet = Subscriber(broker.port, login=("fleet", (folder / "passwords" / "fleet").read_text().strip()))
        fleet.client.publish(f"edged/v1/d/{DEVICE}/in/command", '{"id":"1"}', 1).wait_for_publish(30)
        fleet.close()

        box = make_patient(tmp_path, broker.port, mqtt=f'password_file = "{secret}"')
        assert {row["status"] for row in box.looked_at("broker")} <= {"ok", "skipped"}

        again = Session(broker.port, secret)
        until(lambda: again.heard == [b'{"id":"1"}'], "the command that waited")
        again.close()


class Session:
    """A device's lasting session, as the daemon's link has it."""

    def __init__(self, port: int, secret: Path) -> None:
        self.heard: list[bytes] = []
        self._granted = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, DEVICE, protocol=mqtt.MQTTv5)
        self.client.username_pw_set(DEVICE, secret.read_text().strip())
        self.client.on_connect = lambda client, *_: client.subscribe(f"edged/v1/d/{DEVICE}/in/command", 1)
        self.client.on_subscribe = lambda *_: self._granted.set()
        self.client.on_message = lambda _c, _u, message: self.heard.append(message.payload)
        lasts = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own is not annotated
        lasts.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", port, clean_start=False, properties=lasts)
        self.client.loop_start()
        assert self._granted.wait(60)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
