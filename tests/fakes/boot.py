"""A real systemd as process 1 of namespaces of its own, on a copy-on-write view of this machine's files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import edged
from fakes.waiting import LONGEST_S, until

SCRIPT = Path(__file__).with_name("boot.sh")
SYSTEMD = (Path("/lib/systemd/systemd"), Path("/usr/lib/systemd/systemd"))
PROGRAMS = ("unshare", "nsenter", "setpriv", "pivot_root", "mount", "systemctl")
HIDDEN = (Path("/home"), Path("/root"), Path("/run"))
"""What the unit does not see (ProtectHome)."""


class Machine:
    """Commands run in it as root; ``root`` is its file system, seen from outside."""

    def __init__(self, folder: Path) -> None:
        self._cgroup = _cgroup2() / f"edged-boot-{os.getpid()}-{folder.name}"
        try:
            self._cgroup.mkdir()
        except OSError as error:
            pytest.skip(f"needs to make a cgroup: {error}")
        self._log = folder / "boot.log"
        self._process = self._start(folder)
        try:
            until(self._is_up, "systemd runs")
        except BaseException:
            self.close()
            raise

    @property
    def root(self) -> Path:
        return Path(f"/proc/{self._pid()}/root")

    def do(self, *command: str, check: bool = True, text: str | None = None) -> str:
        """Run a command, or a shell script given as ``text``, and give what it wrote."""
        enter = ["nsenter", "--target", str(self._pid()), "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--"]
        done = subprocess.run(
            [*enter, "env", "-C", "/", *(command or ("sh", "-eux"))],
            input=text,
            capture_output=True,
            text=True,
            timeout=2 * LONGEST_S,
            check=False,
        )
        assert not check or done.returncode == 0, f"{command or text}: {done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """Give one of a unit's properties."""
        return self.do("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def until(self, unit: str, name: str, fact: Callable[[str], bool], within_s: float = LONGEST_S) -> str:
        """Wait until a property is as wished; gives it."""
        deadline = time.monotonic() + within_s
        while not fact(value := self.show(unit, name)):
            if time.monotonic() > deadline:
                pytest.fail(f"{unit} has {name}={value!r} after {within_s:.0f} s\n{self.journal()}")
            time.sleep(0.1)
        return value

    def write(self, place: str, text: str, mode: int = 0o644) -> None:
        file = self.root / place.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def journal(self) -> str:
        return self.do("journalctl", "--no-pager", "--output=cat", "--lines=300", check=False)

    def close(self) -> None:
        """End every process of it; its mounts go with the last one."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        until(self._is_empty, "every process of the machine has ended")
        for folder in sorted((folder for folder, *_ in os.walk(self._cgroup)), reverse=True):
            Path(folder).rmdir()

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        space = folder / "space"
        space.mkdir()
        checkout = "" if _is_below(Path(edged.__file__), (Path(sys.prefix),)) else Path(edged.__file__).parents[1]
        settings = folder / "boot.env"
        named = {
            "SPACE": space,
            "PREFIX": sys.prefix,
            "BASE": sys.base_prefix,
            "PYTHON": f"python{sys.version_info.major}.{sys.version_info.minor}",
            "CHECKOUT": checkout,
            "SYSTEMD": _systemd(),
        }
        settings.write_text("".join(f"{name}='{value}'\n" for name, value in named.items()), encoding="utf-8")
        # The shell joins the cgroup first, so that the new cgroup namespace has it as its root.
        command = f"echo $$ > {self._cgroup}/cgroup.procs; exec setpriv --pdeathsig KILL unshare --mount --pid --fork --uts --ipc --cgroup"
        with self._log.open("wb") as log:
            return subprocess.Popen(
                ["sh", "-c", f"{command} --kill-child=KILL sh {SCRIPT} {settings}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _pid(self) -> int:
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return int(children[0])

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            pytest.skip(f"needs a machine that boots a systemd in namespaces: {self._log.read_text().strip()[-300:]}")
        try:
            return self.do("systemctl", "is-system-running", check=False).strip() in {"running", "degraded"}
        except (OSError, IndexError):
            return False

    def _is_empty(self) -> bool:
        return "populated 0" in (self._cgroup / "cgroup.events").read_text()


def require() -> None:
    """Skip with the plain reason where no systemd can be booted."""
    if os.geteuid() != 0:
        pytest.skip("needs root to boot a systemd in namespaces")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)} to boot a systemd in namespaces")
    _systemd()
    _cgroup2()
    if sys.prefix == sys.base_prefix:
        pytest.skip("needs a virtual environment to show to the machine")
    package = Path(edged.__file__)
    if _is_below(package, HIDDEN) and not _is_below(package, (Path(sys.prefix),)):
        pytest.skip(f"needs an edged that the unit may see: {package} lies below a folder that ProtectHome= hides")


def _systemd() -> Path:
    for program in SYSTEMD:
        if program.exists():
            return program
    pytest.skip("needs systemd: there is none")


def _cgroup2() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(place)
    pytest.skip("needs a cgroup2 file system that may be written")


def _is_below(place: Path, folders: tuple[Path, ...]) -> bool:
    return any(place.is_relative_to(folder) for folder in folders)
