"""Orders that lie beside the releases in a folder: a box that reaches no broker takes them from a USB stick."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from edged.telemetry import logs
from edged.update.desired import Audience

ORDERS = "orders"
MAX_BYTES = 160 * 1024
"""An order has 96 KiB at most, and a third more in its envelope."""

_LOG = logging.getLogger("edged.updating")


class Stick:
    """``look`` is one thread's, which a stick that is pulled out meanwhile, or a share that is away, may hold up for long."""

    def __init__(self, folder: Path, own: Sequence[Audience], take: Callable[[Audience, bytes], None]) -> None:
        """``folder`` is the repository; ``take`` is given what lies there for one of the box's ``own`` audiences, once."""
        self._files = {audience: folder / ORDERS / f"{audience.kind}-{audience.name}.json" for audience in own}
        self._take = take
        self._given: dict[Audience, bytes] = {}

    def __repr__(self) -> str:
        return f"<Stick {', '.join(str(one) for one in self._given) or 'without an order'}>"

    def look(self) -> None:
        """Hand over what is new; that there is no stick, or nothing on it for this box, is no fault."""
        for audience, file in self._files.items():
            envelope = _read(file)
            if envelope and self._given.get(audience) != envelope:
                self._given[audience] = envelope
                logs.event(_LOG, "order.found", audience=audience, file=file)
                self._take(audience, envelope)


def _read(file: Path) -> bytes:
    """Give what a file holds, nothing where it cannot be read.

    A pipe would hold its reader up for ever, and opening a device does things (a watchdog's begins to count).
    """
    try:
        if not file.is_file():
            return b""
        # It may be another one by now, on a share.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123 - with these flags
            return stream.read(MAX_BYTES) if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else b""
    except OSError:
        return b""
