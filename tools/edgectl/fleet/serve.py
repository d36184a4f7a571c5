"""``edgectl fleet serve``: hands out a repository in blocks over MQTT, to boxes that reach nothing but the broker.

Any number of them share the load: by a shared subscription where the broker has them, by shards of device ids where it has not. They
keep nothing: one that is killed loses nothing, since a box asks again.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from edgectl.fleet.access import REQUESTS
from edgectl.fleet.settings import FILE as SETTINGS
from edgectl.fleet.settings import read_settings
from edgectl.fleet.wire import Wire
from edged.domain.errors import ConfigError
from edged.fleet.serving import answer
from edged.fleet.topics import FILE, GET, ROOT, inbound

PLAIN = f"{ROOT}/d/+/out/{GET}"
_DEVICE_AT = 3
"""Where a topic has the device: edged/v1/d/<id>/…."""


class Service:
    """Answers requests; ``served`` counts blocks, ``sent_bytes`` what was in them, ``refused`` what was no request."""

    def __init__(self, folder: Path, shard: tuple[int, int] = (1, 1)) -> None:
        """Serve ``folder``; of several services number ``shard[0]`` of ``shard[1]``, when each hears all requests."""
        self._folder, self._shard = folder, shard
        self.served = self.sent_bytes = self.refused = 0
        self.wire: Wire | None = None

    def heard(self, topic: str, payload: bytes) -> None:
        """Answer a request where only its own device reads: the topic that the broker checked says which that is."""
        device = topic.split("/")[_DEVICE_AT]
        if not _is_ours(device, self._shard) or self.wire is None:
            return
        block = answer(self._folder, payload)
        if block is None:
            self.refused += 1
            return
        self.wire.publish(inbound(device, FILE), block.packed(), qos=0)
        self.served += 1
        self.sent_bytes += len(block.content)


def serve(
    config: Annotated[Path, typer.Option(help="The fleet's settings.")] = SETTINGS,
    user: Annotated[str, typer.Option(help="Another user than the settings': each service needs its own.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="That user's password.")] = None,
    shard: Annotated[
        str, typer.Option(help="2/3: the second of three, on a broker without shared subscriptions.")
    ] = "",
) -> None:
    """Hand out the repository in blocks over MQTT until it is stopped. Start several for more, or for when one fails."""
    settings = read_settings(config)
    if user:
        mqtt = settings.mqtt.model_copy(update={"username": user, "password_file": password_file})
        settings = settings.model_copy(update={"mqtt": mqtt})
    service = Service(settings.releases().folder, read_shard(shard))
    with Wire(settings, [PLAIN if shard else REQUESTS], service.heard) as wire:
        service.wire = wire
        sys.stderr.write(f"serves {settings.releases().folder}; Ctrl-C stops\n")
        _until_stopped()
    sys.stderr.write(f"served {service.served} blocks, {service.sent_bytes / 1e6:.1f} MB\n")


def read_shard(text: str) -> tuple[int, int]:
    """Read ``2/3``. Raises ConfigError for anything else."""
    if not text:
        return 1, 1
    number, _, of = text.partition("/")
    if number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
        return int(number), int(of)
    message = f"cannot serve shard {text!r}, expected such as 2/3: the second of three"
    raise ConfigError(message)


def _is_ours(device: str, shard: tuple[int, int]) -> bool:
    number, of = shard
    return int(hashlib.sha256(device.encode()).hexdigest(), 16) % of == number - 1


def _until_stopped() -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
