"""The way into systemd's journal: a datagram an event, on a socket that is never waited for."""

from __future__ import annotations

import array
import fcntl
import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from errno import EMSGSIZE, ENOBUFS
from pathlib import Path
from typing import TextIO

from edged.telemetry.journal import datagram

SOCKET = "/run/systemd/journal/socket"
STREAM = "JOURNAL_STREAM"
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class JournalHandler(logging.Handler):
    """Writes events to the journal. One that it does not take at once is counted, and the next one says so: no frame waits for a log."""

    def __init__(self, address: str = SOCKET) -> None:
        super().__init__()
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one event."""
        try:
            self._send(datagram(record, self._lost))
        except OSError:
            self._lost += 1
        except Exception:  # noqa: BLE001 - a field that cannot be written must not end what logged it
            self.handleError(record)
        else:
            self._lost = 0

    def close(self) -> None:
        """Let the socket go. May be called twice."""
        self._socket.close()
        super().close()

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.sendto(entry, self._address)
        except OSError as error:
            if error.errno not in {EMSGSIZE, ENOBUFS}:
                raise
            self._pass(entry)

    def _pass(self, entry: bytes) -> None:
        """Hand over what is larger than a datagram as a sealed file in memory, as the protocol has it."""
        file = os.memfd_create("edged-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with os.fdopen(file, "wb", closefd=False) as content:
                content.write(entry)
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
            self._socket.sendmsg([], rights, 0, self._address)
        finally:
            os.close(file)


def journal_handler(
    stream: TextIO, environment: Mapping[str, str] = os.environ, address: str = SOCKET
) -> JournalHandler | None:
    """Give the handler when ``stream`` is the journal, and not only inherited from a service's: None otherwise.

    JOURNAL_STREAM names the device and the inode of what systemd gave (systemd.exec(5)).
    """
    with suppress(OSError, ValueError):
        found = os.fstat(stream.fileno())
        if environment.get(STREAM) == f"{found.st_dev}:{found.st_ino}" and Path(address).exists():
            return JournalHandler(address)
    return None
