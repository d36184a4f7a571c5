"""The demo's broker: a real mosquitto when there is one, otherwise amqtt; a process of its own, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from edged.domain.errors import DeviceError

START_S = 15.0
"""amqtt takes seconds to import on a small box."""

AMQTT = """
import asyncio, sys
from amqtt.broker import Broker

async def main():
    listeners = {"default": {"type": "tcp", "bind": "127.0.0.1:" + sys.argv[1]}}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    await Broker({"listeners": listeners, "plugins": plugins}).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


class Broker:
    """Started when built; ``name`` and ``port`` tell what and where it is."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        # Debian keeps it in /usr/sbin, which not everyone's PATH has.
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        self.name = "mosquitto" if program else "amqtt"
        command = (
            [program, "-c", str(self._settings(folder))] if program else [sys.executable, "-c", AMQTT, str(self.port)]
        )
        self._log = (folder / "broker.log").open("wb")
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)  # noqa: S603 - both are our own words
        self._wait_until_it_listens(folder / "broker.log")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(5)
        self._log.close()

    def _settings(self, folder: Path) -> Path:
        settings = folder / "mosquitto.conf"
        settings.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
        return settings

    def _wait_until_it_listens(self, log: Path) -> None:
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self.close()
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        message = f"cannot start the demo's broker {self.name}: {said[-1] if said else 'it said nothing'}, expected it to listen"
        raise DeviceError(message, remedy="install edged[demo], or mosquitto")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
