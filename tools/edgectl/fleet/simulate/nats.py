"""Three NATS nodes in one cluster, each with a gateway for MQTT 3.1.1: what a fleet beyond one broker stands on, on this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edged.domain.errors import ConfigError, DeviceError

NODES = 3
STARTS_WITHIN_S = 30.0
"""Until the nodes have found each other, elected a leader, and made the streams that the gateway keeps messages in."""
ANSWERS_WITHIN_S = 2.0
_CONFIGURATION = """\
server_name: node-{number}
listen: "127.0.0.1:{client}"
max_payload: 1MB
cluster {{ name: fleet, listen: "127.0.0.1:{route}", routes: [{others}] }}
jetstream {{ store_dir: "{folder}" }}
mqtt {{ listen: "127.0.0.1:{mqtt}", stream_replicas: 3, max_ack_pending: 1000 }}
"""


class NatsCluster:
    """A broker in three parts: each message is on two of them before it is acknowledged."""

    protocol = MQTTProtocolVersion.MQTTv311

    def __init__(self, folder: Path) -> None:
        program = shutil.which("nats-server")
        if program is None:
            message = "cannot simulate a fleet: there is no nats-server, expected the program on PATH"
            raise ConfigError(message, remedy="apt-get install nats-server")
        ports = _free_ports(3 * NODES)
        client, route, self.ports = ports[:NODES], ports[NODES : 2 * NODES], tuple(ports[2 * NODES :])
        self._commands = []
        for number in range(NODES):
            others = ", ".join(f'"nats://127.0.0.1:{port}"' for port in route if port != route[number])
            text = _CONFIGURATION.format(
                number=number,
                client=client[number],
                route=route[number],
                others=others,
                folder=folder / f"nats-{number}",
                mqtt=self.ports[number],
            )
            file = folder / f"nats-{number}.conf"
            file.write_text(text, encoding="utf-8")
            self._commands.append([program, "-c", str(file)])
        self._nodes: list[subprocess.Popen[bytes]] = []

    @property
    def port(self) -> int:
        """The node that the fleet manager is connected to."""
        return self.ports[0]

    def start(self) -> None:
        """Start them, and wait until each takes clients. Raises DeviceError."""
        for command in self._commands:
            self._nodes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until_s = time.monotonic() + STARTS_WITHIN_S
        for port in self.ports:
            while not _takes_clients(port):
                if time.monotonic() > until_s:
                    self.stop()
                    message = f"cannot simulate a fleet: the node on {port} takes no clients, expected it to"
                    raise DeviceError(message)
                time.sleep(0.2)

    def disturb(self) -> float:
        """Kill one node for good, without a word to anybody. Gives for how long the broker was away: the others go on."""
        self._nodes[-1].kill()
        self._nodes[-1].wait()
        return 0.0

    def stop(self) -> None:
        """End them."""
        for node in self._nodes:
            node.kill()
            node.wait()
        self._nodes = []


def _free_ports(count: int) -> list[int]:
    """Find ports that are free; held together, or one could be given twice."""
    with ExitStack() as held:
        servers = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(server.getsockname()[1]) for server in servers]


def _takes_clients(port: int) -> bool:
    """Whether a session can be kept there; the first one has the cluster make its streams."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "look", protocol=MQTTProtocolVersion.MQTTv311)
    found: list[bool] = []
    client.on_connect = lambda _c, _u, _f, reason, _p: found.append(not reason.is_failure)
    try:
        client.connect("127.0.0.1", port)
    except OSError:
        return False
    until_s = time.monotonic() + ANSWERS_WITHIN_S
    while not found and time.monotonic() < until_s:
        client.loop(0.1)
    client.disconnect()
    return found == [True]
