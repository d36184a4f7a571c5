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

STOP_S = 3.0

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

    def __init__(self, folder: Path, wanted: str | None = None) -> None:
        """Start ``wanted``, or mosquitto when it is installed, otherwise amqtt; ``folder`` takes settings and log."""
        self.port = _free_port()
        program = _mosquitto() if wanted != "amqtt" else None
        self.name = wanted or ("mosquitto" if program else "amqtt")
        if self.name == "mosquitto" and program is None:
            message = "cannot start mosquitto: it is not installed, expected it on PATH"
            raise DeviceError(message, remedy="install it, or use --broker amqtt")
        command = (
            [program, "-c", str(self._settings(folder))] if program else [sys.executable, "-c", AMQTT, str(self.port)]
        )
        with (folder / "broker.log").open("wb") as log:
            # A session of its own: Ctrl-C is the demo's, whose daemon still has something to say when it comes.
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - both are our own words
        try:
            self._wait_until_it_listens(folder / "broker.log")
        except KeyboardInterrupt:
            self.close()
            raise

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

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


def _mosquitto() -> str | None:
    # Debian keeps it in /usr/sbin, which not everyone's PATH has.
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
