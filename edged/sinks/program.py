"""A program that the configuration names, run about an event: fixed arguments, no shell, a deadline."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from edged.domain.errors import DeviceError

MOST_WORDS = 400
"""Of what it says when it fails."""
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")
"""Of the environment: secrets that a service was given there are nobody else's."""
LOOK_S = 0.05
"""Between two looks for its end, and for its words."""
PIPE_BYTES = 65_536
"""What a pipe holds. Its words are read that often, and all but the last thrown away: they may be without end."""
GRACE_S = 2.0
"""What it gets to end when edged stops, of the 3 s that edged has."""


class Program:
    """Implements ``edged.sinks.actuate.Actuator``."""

    def __init__(self, run: Sequence[str], timeout_s: float, is_stopping: Callable[[], bool]) -> None:
        self._run, self._timeout_s, self._is_stopping = tuple(run), timeout_s, is_stopping
        self._stopped_s = math.inf

    def do(self, document: Mapping[str, Any]) -> None:
        """Run it to its end, with the document on its standard input. Raises DeviceError when it fails, or takes too long."""
        if self._left_s() <= 0:
            message = f"cannot run {self._run[0]}: edged stops, and gives programs {GRACE_S:g} s"
            raise DeviceError(message, code="command")
        kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            with (
                _in_memory(document) as given,
                subprocess.Popen(  # noqa: S603 - what runs stands in the configuration, and no shell reads it
                    self._run,
                    bufsize=0,
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=kept,
                    cwd="/",
                    start_new_session=True,
                ) as process,
            ):
                said = self._watched(process)
        except OSError as error:
            message = f"cannot run {self._run[0]}: {error.strerror or error}, expected a program"
            raise DeviceError(message, code="command") from error
        if process.returncode:
            words = " ".join(said.decode("utf-8", "replace").split())
            message = f"cannot run {self._run[0]}: it ends with {process.returncode}{f' ({words})' if words else ''}, expected 0"
            raise DeviceError(message, code="command")

    def tick(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing is held."""

    def _watched(self, process: subprocess.Popen[bytes]) -> bytes:
        """Wait for its end; gives its last words."""
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        os.set_blocking(process.stdout.fileno(), False)
        until_s, said = time.monotonic() + self._timeout_s, b""
        while True:
            # What it left running may hold the pipe for longer than it lives.
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_S)
            said = (said + (process.stdout.read(PIPE_BYTES) or b""))[-MOST_WORDS:]
            if process.returncode is not None:
                return said
            if self._left_s() <= 0:
                raise self._ended(process, "with edged")
            if time.monotonic() > until_s:
                raise self._ended(process, f"after {self._timeout_s:g} s")

    def _left_s(self) -> float:
        """Say how long programs have until edged has stopped, all of them together."""
        if self._is_stopping():
            self._stopped_s = min(self._stopped_s, time.monotonic())
        return self._stopped_s + GRACE_S - time.monotonic()

    def _ended(self, process: subprocess.Popen[bytes], why: str) -> DeviceError:
        # With all that it started: they are in one session.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        message = f"cannot run {self._run[0]} in time: it was ended {why}, expected an end of its own"
        return DeviceError(message, code="command")


def _in_memory(document: Mapping[str, Any]) -> Any:
    """Give a file without a name, at its start: unlike a pipe it takes all at once, read or not."""
    file = os.fdopen(os.memfd_create("edged-event"), "w+b")
    file.write(json.dumps(document, separators=(",", ":")).encode())
    file.seek(0)
    return file
