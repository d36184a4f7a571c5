"""The orders that a box follows, as they were signed: kept, so that a restart without a broker goes on with them.

orders/device.json, orders/group-<name>.json    the envelope that was judged last for each audience
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from edged.domain.errors import RejectedError
from edged.domain.strict import read_json
from edged.telemetry import logs
from edged.update.desired import Audience, Desired, Order, configuration, parse, resolve
from edged.update.disk import Disk
from edged.update.records import folder_on_disk, replace_file

ORDERS = "orders"
ENVELOPE_DEPTH = 4

_LOG = logging.getLogger("edged.updating")


class Accepted:
    """What counts for this box. What was judged once is believed again: whoever can write here can write the pointers, too."""

    def __init__(self, directory: Path, disk: Disk, own: Sequence[Audience]) -> None:
        self._folder = directory / ORDERS
        self._disk = disk
        self._own = tuple(own)
        self._known: dict[Audience, tuple[bytes, Desired]] = {}
        for audience in self._own:
            self._load(audience)

    def __repr__(self) -> str:
        known = ", ".join(f"{audience} {desired.seq}" for audience, (_, desired) in self._known.items())
        return f"<Accepted {known or 'none'}>"

    def is_known(self, audience: Audience, envelope: bytes) -> bool:
        """Whether this is the one that is followed already: a broker repeats what it retains."""
        return self._known.get(audience, (b"",))[0] == envelope

    def put(self, audience: Audience, envelope: bytes, desired: Desired) -> None:
        """Follow an order from now on, durably. Raises DeviceError when the disk refuses."""
        folder_on_disk(self._disk, self._folder)
        replace_file(self._disk, self._file(audience), envelope)
        self._known[audience] = (envelope, desired)

    def models(self) -> dict[str, Order]:
        """Give what counts for each model."""
        return resolve(self._documents(), self._own)

    def configuration(self) -> Desired | None:
        """Give the document whose configuration counts."""
        return configuration(self._documents(), self._own)

    def _documents(self) -> Iterable[Desired]:
        return [desired for _, desired in self._known.values()]

    def _load(self, audience: Audience) -> None:
        try:
            envelope = self._file(audience).read_bytes()
        except OSError:
            return
        try:
            self._known[audience] = (envelope, parse(base64.b64decode(read_json(envelope, ENVELOPE_DEPTH)["payload"])))
        except (ValueError, KeyError, TypeError, RejectedError) as error:
            # The broker still holds it, and tells it again.
            logs.event(_LOG, "order.forgotten", level=logging.ERROR, audience=audience, error=error)

    def _file(self, audience: Audience) -> Path:
        name = "device" if audience.kind == "device" else f"group-{audience.name}"
        return self._folder / f"{name}.json"
