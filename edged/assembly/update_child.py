"""The short-lived child that verifies and downloads: it alone loads the libraries for it, and gives their memory back when it ends.

It is told what to do in one message, tells what the repository's signers have shown, and goes on once its parent has held that against
what was seen before. Every way ends in one message: ``judged``, ``fetched`` or ``failed``.
"""

from __future__ import annotations

import base64
import json
import os
import select
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from edged.assembly.fitting import hold
from edged.domain.errors import BundleError, ConfigError, EdgedError, RejectedError, RetryableError
from edged.fleet.fetch import Progress, Transport, download
from edged.fleet.frames import Unpacker, pack, read_some, write_all
from edged.fleet.pace import Pace
from edged.fleet.places import Offered, Signers, delta_name
from edged.fleet.synced import sync
from edged.hardware.spare import die_with_parent, step_back

PROGRAM = "from edged.assembly.update_child import main; main()"
PROGRESS_S = 0.5
MAX_TRUST_BYTES = 512 * 1024
_BYTES_PER_KBIT = 125


Order = dict[str, Any]
"""What its parent wants, as it came through the pipe."""


def main() -> None:
    """Obey the first message that comes."""
    die_with_parent()
    step_back()
    channel = Pipes()
    order = channel.hear()
    answer(order, channel, lambda: _transport(order["repository"], channel))


class Channel(Protocol):
    """The way to the parent."""

    def tell(self, message: Any) -> None:
        """Say something to the parent."""

    def hear(self, timeout_s: float | None = None) -> Any:
        """Give the next message; None when there is none in time."""


class Pipes:
    """Messages on standard output, orders and blocks on standard input."""

    def __init__(self) -> None:
        # What libraries print goes to the log.
        self._told = os.dup(1)
        os.dup2(2, 1)
        self._unpacker = Unpacker()
        self._heard: list[Any] = []

    def tell(self, message: Any) -> None:
        """Say something to the parent; without one, this process has no purpose."""
        try:
            write_all(self._told, pack(message))
        except OSError as error:
            raise SystemExit(1) from error

    def hear(self, timeout_s: float | None = None) -> Any:
        """Give the next message; None when there is none in time."""
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._heard:
            left_s = None if until_s is None else max(0.0, until_s - time.monotonic())
            if not select.select([0], [], [], left_s)[0]:
                return None
            piece = read_some(0)
            if not piece:
                raise SystemExit(1)
            self._heard += self._unpacker.feed(piece)
        return self._heard.pop(0)


def answer(order: Order, channel: Channel, transport: Callable[[], Transport]) -> None:
    """Do what an order says, and tell what came of it."""
    try:
        _VERBS[order["verb"]](order, channel, transport)
    except ImportError as error:
        message = f"cannot load what updates need: {error}, expected the extra `updates`"
        _fail(channel, RetryableError(message, remedy="install edged[updates]", code="extra-missing"))
    except EdgedError as error:
        _fail(channel, error)


def _fail(channel: Channel, error: EdgedError) -> None:
    told = {"kind": type(error).__name__, "code": error.code, "message": str(error.args[0]), "remedy": error.remedy}
    channel.tell({"failed": told})


def _judge(order: Order, channel: Channel, transport: Callable[[], Transport]) -> None:
    signers = _trusted(order, channel, transport())
    payload = signers.verify(base64.b64decode(order["envelope"]), order["payload_type"])
    channel.tell({"judged": {"payload": base64.b64encode(payload).decode(), "until_ms": signers.until_ms()}})


def _fetch(order: Order, channel: Channel, transport: Callable[[], Transport]) -> None:
    way = transport()
    signers = _trusted(order, channel, way)
    offered = signers.offered(order["target"])
    hold(offered, order)
    base, smaller = _delta(signers, order)
    rate = order["max_kbps"] * _BYTES_PER_KBIT if order["max_kbps"] else None
    wanted = offered.wanted if smaller is None else smaller.wanted
    place = download(way, wanted, Path(order["incoming"]), Pace(rate), _progress(channel))
    channel.tell({"fetched": {"path": str(place), "base": base, "custom": dict(offered.custom)}})


def _patch(order: Order, channel: Channel, _transport: Callable[[], Transport]) -> None:
    """Make the file out of a delta, in a process that has not loaded the rest: both together would be more than was promised."""
    from edged.update import delta  # noqa: PLC0415

    result, place = Path(f"{order['path']}.made"), Path(order["incoming"], order["sha256"])
    try:
        digest = delta.apply(Path(order["path"]), Path(order["base"]), result, order["length"])
        if digest != order["sha256"]:
            message = f"cannot use what {result.name} became: sha256 {digest}, expected {order['sha256']}"
            raise BundleError(message, code="delta")
        sync(result)
        result.replace(place)
        sync(place.parent)
    finally:
        result.unlink(missing_ok=True)
    channel.tell({"fetched": {"path": str(place)}})


_VERBS: Mapping[str, Callable[[Order, Channel, Callable[[], Transport]], None]] = {
    "judge": _judge,
    "fetch": _fetch,
    "patch": _patch,
}


def _trusted(order: Order, channel: Channel, transport: Transport) -> Signers:
    signers = _signers(order, transport)
    channel.tell({"seen": signers.seen()})
    channel.hear()  # its parent keeps what was seen, or ends this process
    return signers


def _delta(signers: Signers, order: Order) -> tuple[str, Offered | None]:
    """Look for a difference to a file that the box has, unless much of the whole one is here already."""
    part = Path(order["incoming"], f"{order['sha256']}.part")
    there = part.stat().st_size if part.exists() else 0
    whole = Path(order["incoming"], order["sha256"])
    for base in () if whole.exists() else order["bases"]:
        with suppress(RejectedError):
            offered = signers.offered(delta_name(order["target"], base))
            fits = (offered.custom.get("base_sha256"), offered.custom.get("result_sha256")) == (base, order["sha256"])
            if fits and offered.wanted.length < order["length"] - there:
                return base, offered
    return "", None


def _transport(repository: str, channel: Channel) -> Transport:
    if repository == "mqtt":
        from edged.fleet.blocks import BlockTransport  # noqa: PLC0415 - one way alone is loaded: memory is a promise

        return BlockTransport(lambda document: channel.tell({"ask": document}), channel.hear)
    if repository.startswith(("https://", "http://")):
        from edged.fleet.https import HttpTransport  # noqa: PLC0415

        return HttpTransport(repository)
    from edged.fleet.folder import FolderTransport  # noqa: PLC0415

    return FolderTransport(Path(repository.removeprefix("file://")))


def _signers(order: Order, transport: Transport) -> Signers:
    trust, folder = _trust(Path(order["trust"])), Path(order["metadata"])
    if _schema(trust):
        from edged.fleet.signed_manifest import SignedManifest  # noqa: PLC0415

        return SignedManifest(folder, trust, transport, order["time_ms"], order["audiences"])
    from edged.fleet.repository import Repository  # noqa: PLC0415

    return Repository(folder, trust, transport, order["time_ms"])


def _trust(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_TRUST_BYTES)
    except OSError as error:
        message = f"cannot read the root of trust {file}: {error.strerror}, expected root metadata or keys"
        raise ConfigError(message, remedy="provision it, see [updates] trust", code="trust") from error


def _schema(trust: bytes) -> Any:
    """Tell the small profile's keys, which name a schema, from root metadata, which does not."""
    with suppress(ValueError, AttributeError, RecursionError):
        return json.loads(trust).get("schema")
    return None


def _progress(channel: Channel) -> Progress:
    told_s = 0.0

    def progress(done: int, whole: int) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if done == whole or now_s - told_s >= PROGRESS_S:
            told_s = now_s
            channel.tell({"progress": [done, whole]})

    return progress
