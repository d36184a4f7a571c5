"""Real brokers as processes of their own, on free loopback ports."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.waiting import LONGEST_S

JOURNALING_BROKER = Path(__file__).with_name("broker.py")


FIRST_PORT, PORTS, APART = 10_240, 22_500, 641
"""Below those that the kernel gives to whoever asks for any: none of them is somebody else's by the time that it is listened on. Processes
that were started one after the other begin so far apart."""
_ports = itertools.count(os.getpid() * APART)


def free_port() -> int:
    """Give a port that nobody listens on, and none twice."""
    while True:
        port = FIRST_PORT + next(_ports) % PORTS
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class BrokerProcess:
    """``command`` is started with ``start`` and ended with ``kill`` (-9) or ``close``, as often as a test likes."""

    def __init__(self, command: list[str], port: int) -> None:
        self.port = port
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        pytest.fail(f"the broker did not listen on {self.port}: {self._command}")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def close(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(LONGEST_S)
            self._process = None


def mosquitto(folder: Path, *lines: str) -> BrokerProcess:
    """Start mosquitto, or skip where there is none; Debian keeps it in /usr/sbin, which not everyone's PATH has."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs mosquitto: it is not on PATH")
    port = free_port()
    settings = folder / "mosquitto.conf"
    access = () if any(line.startswith("allow_anonymous") for line in lines) else ("allow_anonymous true",)
    user = ("user root",) if os.geteuid() == 0 else ()  # it would give up the rights to a test's own folder
    settings.write_text("\n".join((f"listener {port} 127.0.0.1", *access, *user, *lines, "")))
    return BrokerProcess([program, "-c", str(settings)], port)


def knowing(folder: Path, users: Mapping[str, str]) -> tuple[str, str]:
    """Give mosquitto's lines that let nobody in but ``users``, each with its password; skip where there is nothing to write them with."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("needs mosquitto_passwd: it is not on PATH")
    passwords = folder / "passwords"
    passwords.touch(0o600)
    for name, password in users.items():
        subprocess.run([program, "-b", passwords, name, password], check=True, capture_output=True)
    return "allow_anonymous false", f"password_file {passwords}"


def mosquitto_with(conf: Path, port: int) -> BrokerProcess:
    """Start mosquitto with a configuration that somebody else wrote, or skip where there is none."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("needs mosquitto: it is not on PATH")
    return BrokerProcess([program, "-c", str(conf)], port)


def amqtt(folder: Path) -> BrokerProcess:
    """Start amqtt, which speaks 3.1.1 only."""
    pytest.importorskip("amqtt", reason="needs amqtt (extra `demo`)")
    port = free_port()
    program = folder / "amqtt_broker.py"
    program.write_text(
        "import asyncio, sys\n"
        "from amqtt.broker import Broker\n"
        "async def main():\n"
        "    config = {'listeners': {'default': {'type': 'tcp', 'bind': f'127.0.0.1:{sys.argv[1]}'}},\n"
        "              'plugins': {'amqtt.plugins.authentication.AnonymousAuthPlugin': {'allow_anonymous': True}}}\n"
        "    await Broker(config).start()\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    return BrokerProcess([sys.executable, str(program), str(port)], port)


def journaling(folder: Path) -> BrokerProcess:
    """Start the small broker that writes every PUBLISH to ``folder/journal`` before its PUBACK."""
    port = free_port()
    return BrokerProcess([sys.executable, str(JOURNALING_BROKER), str(port), str(folder / "journal")], port)
