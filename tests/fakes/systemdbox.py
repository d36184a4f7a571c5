"""The programs of systemd on a machine that only a test has: they write down what they were asked, and do it to its files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edged.domain.errors import DeviceError


class SystemdBox:
    """Stands for ``Machine.run`` on a root that is no machine's. ``fails`` names a program that cannot do its work."""

    def __init__(self, root: Path) -> None:
        self.root, self.fails = root, ""
        self.asked: list[str] = []
        for name in ("passwd", "group"):
            (root / "etc").mkdir(parents=True, exist_ok=True)
            (root / "etc" / name).touch()

    def __call__(self, words: Sequence[str], *, check: bool = True) -> str:
        self.asked.append(" ".join(word for word in words if not word.startswith("--root=")))
        if words[0] == self.fails and check:
            message = f"cannot {words[0]}: as planned, expected it to work"
            raise DeviceError(message)
        if words[0] == "systemd-sysusers":
            self._accounts()
        elif words[0] == "systemd-tmpfiles":
            self._folders()
        elif "enable" in words:
            wants = self.root / "etc/systemd/system/multi-user.target.wants"
            wants.mkdir(parents=True, exist_ok=True)
            (wants / words[-1]).symlink_to(f"/etc/systemd/system/{words[-1]}")
        return "systemd 252 (252)\n" if "--version" in words else ""

    def _accounts(self) -> None:
        lines = (self.root / "etc/sysusers.d/edged.conf").read_text().splitlines()
        rows = [line.split() for line in lines if line.startswith(("u ", "g "))]
        # Whoever runs the test owns its files, and may give them to nobody else.
        uid, gid = os.getuid(), os.getgid()
        (self.root / "etc/group").write_text("".join(f"{row[1]}:x:{gid}:\n" for row in rows))
        users = [row[1] for row in rows if row[0] == "u"]
        (self.root / "etc/passwd").write_text("".join(f"{name}:x:{uid}:{gid}::/:/bin/false\n" for name in users))

    def _folders(self) -> None:
        lines = (self.root / "etc/tmpfiles.d/edged.conf").read_text().splitlines()
        for _, path, mode, *_ in (line.split() for line in lines if line.startswith("d ")):
            folder = self.root / path.lstrip("/")
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(int(mode, 8))
