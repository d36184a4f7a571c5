"""The installed program as a process of its own, as users and service managers run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROGRAM = (sys.executable, "-c", "from edged.cli import main; raise SystemExit(main())")
ELSEWHERE = Path("/")
"""Where it runs: in the checkout, ``python -c`` would import the checkout and not what is installed."""
DEVICE = "press-07"
LONGEST_S = 180.0
"""No verb and no end of a daemon takes longer, even on a busy machine: a test fails then instead of hanging."""


def write_config(
    folder: Path, port: int, body: str, *, models: Sequence[Path] = (), state: Path | None = None, more: str = ""
) -> Path:
    """Write ``edged.toml`` in ``folder``, with the sections that every test needs, and give it."""
    file = folder / "edged.toml"
    directories = ", ".join(f'"{one}"' for one in models or (folder / "models",))
    file.write_text(
        f'[device]\nid = "{DEVICE}"\n[state]\ndirectory = "{state or folder / "state"}"\n'
        f'[models]\ndirectories = [{directories}]\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        f"[telemetry]\ninterval_s = 1\n{more}\n{body}\n",
        encoding="utf-8",
    )
    return file


@dataclass(frozen=True)
class Said:
    """What a verb gave: its exit status and both outputs."""

    status: int
    out: str
    err: str


def edged(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
    within_s: float = LONGEST_S,
) -> Said:
    """Run a verb to its end."""
    done = subprocess.run(
        [*program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=within_s,
        cwd=ELSEWHERE,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


class DaemonProcess:
    """``edged run``; started with ``start`` and ended with ``kill`` (-9), ``stop`` (TERM) or by itself (``wait``)."""

    def __init__(self, config: Path, *, env: Mapping[str, str] | None = None, program: Sequence[str] = PROGRAM) -> None:
        self.config = config
        self.log = config.with_name("edged.log")
        self._command = [*program, "run", "--config", str(config)]
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> DaemonProcess:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._env, cwd=ELSEWHERE, stdin=subprocess.DEVNULL
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def wait(self, within_s: float = LONGEST_S) -> int:
        """Wait for its own end; gives the exit status."""
        assert self._process is not None
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired as expired:
            message = f"edged did not end by itself within {within_s} s; its log:\n{self.said()[-3000:]}"
            raise AssertionError(message) from expired

    def stop(self) -> tuple[int, float]:
        """Ask it to end; gives the exit status and how many seconds it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        status = self.wait(20)
        return status, time.monotonic() - began

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def reload(self) -> None:
        self.signal(signal.SIGHUP)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        """Leave nothing behind, whatever the test met."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


Run = Callable[..., DaemonProcess]
"""Starts a daemon on a configuration; it ends with its test."""
