"""The machine that is set up: its files below a root, its accounts, and the programs of systemd."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edged.domain.errors import DeviceError

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
"""A user's PATH often lacks the folders of systemd's own programs."""
LIVE = Path("/")
LONGEST_S = 120.0


class Runs(Protocol):
    """Runs programs of the machine."""

    def __call__(self, words: Sequence[str], *, check: bool = True) -> str:
        """Give what it wrote to standard output; raises DeviceError when it ends with a fault and ``check`` is set."""
        ...


def run(words: Sequence[str], *, check: bool = True) -> str:
    """Run a program to its end."""
    program = shutil.which(words[0], path=PATH)
    if program is None:
        message = f"cannot run {words[0]}: it is not there, expected a machine with systemd"
        raise DeviceError(message, remedy="docs/systemd.md says what a machine without it needs")
    whole = [program, *words[1:]]
    try:
        done = subprocess.run(
            whole, capture_output=True, text=True, timeout=LONGEST_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        message = f"cannot {' '.join(words)}: it has not ended after {LONGEST_S:g} s, expected it to work"
        raise DeviceError(message) from error
    if check and done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[-400:]
        message = f"cannot {' '.join(words)}: {said or f'status {done.returncode}'}, expected it to work"
        raise DeviceError(message)
    return done.stdout


@dataclass(frozen=True, slots=True)
class Machine:
    """``root`` is ``/`` or the root of an image; of an image nothing is started, and nothing of this machine changes."""

    root: Path = LIVE
    run: Runs = run

    @property
    def is_live(self) -> bool:
        """Whether it is the machine that runs."""
        return self.root == LIVE

    def at(self, path: str) -> Path:
        """Give where a path of the machine lies. Raises DeviceError where a link of an image leads out of it, to this machine's files."""
        file = self.root / path.lstrip("/")
        if not (folder := file.parent.resolve()).is_relative_to(self.root.resolve()):
            message = f"cannot set up {file}: its folder is a link to {folder}, expected one in {self.root}"
            raise DeviceError(message, remedy="make the image's links relative")
        return file

    def there(self, program: str) -> list[str]:
        """Give the first words of a command of systemd's that works on this root."""
        return [program] if self.is_live else [program, f"--root={self.root}"]

    def gid(self, name: str) -> int | None:
        """Give a group's number; None when there is no such group."""
        try:
            return grp.getgrnam(name).gr_gid if self.is_live else self._number("etc/group", name)
        except KeyError:
            return None

    def uid(self, name: str) -> int | None:
        """Give a user's number; None when there is no such user."""
        try:
            return pwd.getpwnam(name).pw_uid if self.is_live else self._number("etc/passwd", name)
        except KeyError:
            return None

    def _number(self, file: str, name: str) -> int | None:
        if name == "root":
            return 0
        try:
            text = (self.root / file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        found = re.search(rf"^{re.escape(name)}:[^:\n]*:(\d+)(:|$)", text, re.MULTILINE | re.ASCII)
        return int(found[1]) if found else None
