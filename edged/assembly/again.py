"""Starting anew after the command ``restart``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence

from edged.domain.errors import DeviceError
from edged.telemetry import logs

_LOG = logging.getLogger("edged.again")


def start_again(environment: Mapping[str, str] = os.environ, command: Sequence[str] = tuple(sys.orig_argv)) -> None:
    """Become a new edged with the same command line, or return when a service manager will start one.

    Systemd calls the end of a service that it watches its own business (``Restart=always``), and puts INVOCATION_ID into
    the environment of each. In a container or a shell nobody would: there the process replaces itself.

    Raises:
        DeviceError: the program is no longer there.
    """
    if "INVOCATION_ID" in environment:
        return
    logs.event(_LOG, "restart.in-place", command=" ".join(command))
    try:
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - its own command line, without a shell
    except OSError as error:
        message = f"cannot start {command[0]} again: {error.strerror}, expected the program that was started first"
        raise DeviceError(message, remedy="start edged by hand") from error
