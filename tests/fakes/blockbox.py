"""A device that asks for blocks of files, and the services that hand them out."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edged.fleet.blocks import BlockTransport

PROGRAM = [sys.executable, "-c", "import sys; from edgectl.cli import main; sys.exit(main())"]
SIZE = 6 * 1024 * 1024


class Box:
    """A device that asks for blocks; ``asked`` are its requests, ``after`` is called with each one's number."""

    def __init__(self, port: int, name: str, protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv5) -> None:
        self.asked, self.messages = 0, queue.SimpleQueue[bytes]()
        self.after: dict[int, Any] = {}
        self._name = name
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=protocol)
        self.client.on_message = lambda _c, _u, message: self.messages.put(bytes(message.payload))
        self.client.connect("127.0.0.1", port)
        self.client.subscribe(f"edged/v1/d/{name}/in/file", 0)
        self.client.loop_start()

    def read(self, file: str) -> bytes:
        with BlockTransport(self._ask, self._receive).read(file) as reply:
            return b"".join(reply.blocks)

    def _ask(self, request: dict[str, Any]) -> None:
        self.asked += 1
        self.after.get(self.asked, lambda: None)()
        self.client.publish(f"edged/v1/d/{self._name}/out/get", json.dumps(request), 0)

    def _receive(self, timeout_s: float) -> bytes | None:
        try:
            return self.messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Services:
    """``edgectl fleet serve``, as many as a test starts."""

    def __init__(self, folder: Path, port: int) -> None:
        self.config = folder / "fleet.toml"
        self.config.write_text(f'[mqtt]\nport = {port}\n[repository]\nfolder = "repository"\n')
        (folder / "repository").mkdir()
        self.content = os.urandom(SIZE)
        (folder / "repository" / "model.bin").write_bytes(self.content)
        self._running: list[subprocess.Popen[str]] = []

    def start(self, *more: str) -> subprocess.Popen[str]:
        command = [*PROGRAM, "fleet", "serve", "--config", str(self.config), *more]
        started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self._running.append(started)
        assert started.stderr is not None
        assert started.stderr.readline().startswith("serves ")
        return started

    def stop(self, service: subprocess.Popen[str]) -> str:
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=60)
        self._running.remove(service)
        return said

    def close(self) -> None:
        for service in list(self._running):
            service.kill()
            service.communicate()
