"""Whether the daemon runs, found without touching anything of its: its lock, its process, what it says over HTTP on this box."""

from __future__ import annotations

import json
import os
import re
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from edgectl.options import CONFIG
from edged.assembly.state import LOCK
from edged.assembly.within import within
from edged.config.schema import Config

PROGRAM = "edged"
LOCKS = Path("/proc/locks")
OVERVIEW = "/api/overview"
ANSWER_S = 2.0
MAX_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Daemon:
    """``pid`` is None where it runs and cannot be told; ``said`` is ``edged.overview/1``, empty where nobody answers."""

    runs: bool = False
    pid: int | None = None
    said: Mapping[str, Any] = field(default_factory=dict)

    @property
    def who(self) -> str:
        """Name it for people."""
        return f"edged (process {self.pid})" if self.pid else "edged"

    def pipelines(self, source: str, config: Config) -> list[Mapping[str, Any]]:
        """Give what it says of the pipelines that read a source."""
        names = {one.name for one in config.pipeline if one.source == source}
        return [one for one in self.said.get("pipelines", ()) if one.get("name") in names]


STOPPED = Daemon()


def look(config: Config, file: Path) -> Daemon:
    """Find the daemon of this configuration, which is read from ``file``."""
    pid = _holder(config.state.directory / LOCK, file)
    if pid is None:
        return STOPPED
    return Daemon(runs=True, pid=pid or None, said=_overview(config))


def established(pid: int | None, port: int) -> list[tuple[str, int]]:
    """Give the local ends of a process's TCP connections to a port elsewhere. Raises psutil.Error where others' may not be seen."""
    if pid is None:
        raise psutil.AccessDenied
    return [
        (one.laddr.ip, one.laddr.port)
        for one in psutil.Process(pid).net_connections(kind="tcp")
        if one.status == psutil.CONN_ESTABLISHED and one.raddr.port == port
    ]


def folder(pid: int | None, file: Path) -> Path | None:
    """Give the folder in which the daemon of this configuration was started, which it never leaves; None where that is not shown.

    Where the state directory counts from there too, its lock says nothing: the process that looks like it has to do.
    """
    try:
        found = pid or next(_alike(file), None)
        return Path(psutil.Process(found).cwd()) if found else None
    except psutil.Error:
        return None


def _holder(lock: Path, file: Path) -> int | None:
    """Give the process that holds the lock, 0 where it is not shown; None when nobody does.

    The kernel's list is read (proc(5), /proc/locks): to try the lock would hold up a daemon that starts at that moment.
    """
    try:
        about = within(ANSWER_S, lock.stat)
    except FileNotFoundError:
        return None
    except OSError:
        # A folder of the daemon's own and this is somebody else, or a disk that hangs: a process that looks like it has to do.
        return next(_alike(file), None)
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    try:
        text = LOCKS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return next(_alike(file), None)
    found = re.search(rf"^\d+: FLOCK +\S+ +\S+ +(-?\d+) {place} ", text, re.MULTILINE | re.ASCII)
    return max(0, int(found[1])) if found else None


def _alike(file: Path) -> Iterator[int]:
    """Give the processes that were started as ``edged run`` with this configuration."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        is_edged = any(Path(word).name == PROGRAM or f"{PROGRAM}.cli" in word for word in words[:3])
        named = words[words.index("--config") + 1 :][:1] if "--config" in words else [str(CONFIG)]
        read = Path(process.info["cwd"] or "/", *named)
        if is_edged and "run" in words and read == file.absolute():
            yield process.pid


def _overview(config: Config) -> Mapping[str, Any]:
    """Ask the daemon's own server, where it has one."""
    if config.http is None:
        return {}
    host, port = config.http.address
    scheme = "https" if config.http.tls else "http"
    near = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - what is compared, not listened on
    asked = urllib.request.Request(f"{scheme}://{f'[{near}]' if ':' in near else near}:{port}{OVERVIEW}")  # noqa: S310 - this box's own server
    try:
        if config.http.token_file is not None:
            asked.add_header("Authorization", f"Bearer {config.http.token_file.read_text(encoding='utf-8').strip()}")
        # The box asks itself, by an address that its certificate need not name.
        with urllib.request.urlopen(asked, timeout=ANSWER_S, context=_unchecked()) as answer:  # noqa: S310 - as above
            document = json.loads(answer.read(MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
