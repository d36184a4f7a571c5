"""The service manager: sd_notify over a datagram socket, six lines that need no library."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class SystemdNotifier:
    """Implements the port Notifier for the socket that NOTIFY_SOCKET names (sd_notify(3)); silent without one."""

    def __init__(self, address: str | None = None) -> None:
        named = address if address is not None else os.environ.get("NOTIFY_SOCKET", "")
        # An abstract socket is written with @, and bound with a leading NUL.
        self._address = f"\0{named[1:]}" if named.startswith("@") else named

    def notify(self, fields: Mapping[str, str]) -> None:
        """Send the fields; a manager that does not listen is none of the daemon's trouble."""
        if not self._address:
            return
        # A line end would begin another field, and a message may quote a library, or a file's name that is no UTF-8.
        message = "\n".join(f"{key}={' '.join(value.splitlines())}" for key, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto(message.encode(errors="replace"), self._address)
        except OSError:
            return
