"""Read files of a system root that need not be the running one, and never leave it."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import deque
from pathlib import Path

from edged.domain.device import Evidence

MAX_BYTES = 2**20  # /proc/cpuinfo of 256 processors is about 400 kB; nothing else that is read here comes near
MAX_NAMES = 4096  # a folder of sysfs has hundreds of entries, never thousands
MAX_LINKS = 40  # the kernel's own limit (MAXSYMLINKS in include/linux/namei.h)
MAX_LINK_TEXT = 1024
MAX_SHOWN = 160
_NAME = re.compile(r"[!-~]+", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_LINK_TEXT = re.compile(rb"(\.\.(/[^\0\n]+)?|/(sys|proc|dev)/[^\0\n]+)")
_CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f-\x9f]")


class Tree:
    """A system root: every path is relative to it, and links that point out of it are followed inside it (as chroot does).

    Nothing here raises: what cannot be read is None, empty or False, because a probe must survive any machine.
    """

    def __init__(self, root: Path) -> None:
        """Take the folder that stands for ``/``."""
        self._root = root
        self.is_live = _is_live(root)
        """Whether this is the machine that runs, so that the process may be asked too."""

    def head(self, path: str, size: int = MAX_BYTES) -> bytes | None:
        """Give up to ``size`` bytes of a regular file, or None; a device node is never opened."""
        real = self.resolve(path)
        if real is None:
            return None
        file = self._root / real
        try:
            if not stat.S_ISREG(file.lstat().st_mode):
                return None
            with file.open("rb") as stream:
                return stream.read(size)
        except OSError:  # permissions, EAGAIN of a sensor whose rail is off, a device that has just gone
            return None

    def raw(self, path: str) -> str | None:
        """Give a file's text with its NUL separators, control characters replaced; None when unreadable."""
        content = self.head(path)
        if content is None:
            return None
        return _CONTROL.sub("\ufffd", content.decode("utf-8", "replace").replace("\r", ""))

    def text(self, path: str) -> str | None:
        """Give a file's text without surrounding blanks and NULs; None when unreadable or empty."""
        content = self.raw(path)
        return content.replace("\0", " ").strip() or None if content is not None else None

    def integer(self, path: str) -> int | None:
        """Give a file that holds one decimal number; None for anything else."""
        return as_integer(self.text(path))

    def hexadecimal(self, path: str) -> int | None:
        """Give a file that holds one hexadecimal number, with or without 0x; None for anything else."""
        content = self.text(path)
        found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,8})", content or "", re.ASCII)
        return int(found[1], 16) if found else None

    def names(self, path: str) -> tuple[str, ...]:
        """Give the entries of a folder in natural order (zone2 before zone10); empty when it is none."""
        real = self.resolve(path)
        if real is None:
            return ()
        try:
            found = os.listdir(self._root / real)  # noqa: PTH208 - names, not paths, are wanted
        except OSError:
            return ()
        return tuple(sorted((name for name in found[:MAX_NAMES] if _NAME.fullmatch(name)), key=_natural))

    def matching(self, path: str, pattern: str) -> tuple[str, ...]:
        """Give those names of a folder that fit a regular expression whole."""
        return tuple(name for name in self.names(path) if re.fullmatch(pattern, name, re.ASCII))

    def exists(self, path: str) -> bool:
        """Whether something is there, of whatever type."""
        return self.resolve(path) is not None

    def has_node(self, path: str) -> bool:
        """Whether a device node is there.

        In a captured tree an empty file stands for it. A folder does not: container runtimes create one in the place
        of a device that the host lacks.
        """
        real = self.resolve(path)
        if real is None:
            return False
        try:
            return not stat.S_ISDIR((self._root / real).lstat().st_mode)
        except OSError:
            return False

    def evidence(self, path: str) -> Evidence:
        """Give what a file said as evidence; a node or a folder says that it is there."""
        content = self.text(path)
        if content is None:
            content = "present" if self.exists(path) else "absent"
        return shown(path, content)

    def lack(self, path: str) -> str:
        """Say why nothing can be read from a file, or from a folder if a slash ends its path; empty where it can be read.

        It tells what is not there from what the system refuses.
        """
        refusals, name = self.refusals(path), path.rstrip("/")
        if refusals:
            return f"cannot read {name} ({refusals[0].value})"
        return f"no {name}" if self._trouble(path) else ""

    def refusals(self, *paths: str) -> tuple[Evidence, ...]:
        """Give those of some paths at which something is that cannot be read, each with the system's reason."""
        found = ((path.rstrip("/"), self._trouble(path)) for path in paths)
        return tuple(
            Evidence(path, trouble.strerror or "unknown reason")
            for path, trouble in found
            if trouble is not None and not isinstance(trouble, (FileNotFoundError, NotADirectoryError))
        )

    def absence(self, reason: str, *paths: str) -> str:
        """Give the reason why something is unknown, and which of the files that could show it are refused."""
        return "; ".join([reason, *(f"cannot read {one.path} ({one.value})" for one in self.refusals(*paths))])

    def _trouble(self, path: str) -> OSError | None:
        try:
            entry = self._root / self._follow(path)
            if path.endswith("/"):
                os.listdir(entry)  # noqa: PTH208 - as ``names`` does
            elif not stat.S_ISREG(entry.lstat().st_mode):
                return OSError(errno.EINVAL, "it is no file")  # a device node is never opened
            else:
                with entry.open("rb") as stream:
                    stream.read(1)
        except OSError as error:
            return error
        except ValueError:
            return OSError(errno.EINVAL, "it leads to no path")
        return None

    def resolve(self, path: str) -> str | None:
        """Give the path without links, relative to the root; None when it does not exist or its links turn in a circle."""
        try:
            return self._follow(path)
        except (OSError, ValueError):  # ValueError: a NUL in the path
            return None

    def _follow(self, path: str) -> str:
        pending = deque(path.split("/"))
        real: list[str] = []
        links = 0
        while pending:
            part = pending.popleft()
            if part in {"", "."}:
                continue
            if part == "..":
                del real[-1:]  # at the root this stays there
                continue
            target = self._link("/".join([*real, part]))
            if not target:
                real.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, "its links turn in a circle")
            if target.startswith("/"):
                real.clear()
            pending.extendleft(reversed(target.split("/")))
        return "/".join(real)

    def link_name(self, path: str) -> str | None:
        """Give the last part of where a link leads, which in sysfs is the name of the driver or device."""
        real = self.resolve(path)
        name = (real or "").rpartition("/")[2]
        return name if _NAME.fullmatch(name) else None

    def _link(self, path: str) -> str:
        """Give a link's target, an empty string for what is no link."""
        entry = self._root / path
        status = entry.lstat()
        if stat.S_ISLNK(status.st_mode):
            return str(entry.readlink())
        if not self.is_live and stat.S_ISREG(status.st_mode) and 2 <= status.st_size <= MAX_LINK_TEXT:  # noqa: PLR2004 - ".."
            return _link_text(entry)
        return ""


def _is_live(root: Path) -> bool:
    try:
        return root.resolve() == Path("/")
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, below Python 3.13
        return False


def _link_text(entry: Path) -> str:
    """Give the target of a link that was stored as text, as git, archives and file shares without links leave it.

    No file that is read here holds just a path to another: values end with a newline.
    """
    with entry.open("rb") as stream:
        content = stream.read(MAX_LINK_TEXT)
    return content.decode("utf-8", "replace") if _LINK_TEXT.fullmatch(content) else ""


def as_integer(content: str | None) -> int | None:
    """Give the decimal number that a text is, or None."""
    return int(content) if content is not None and _INTEGER.fullmatch(content) else None


def shown(path: str, content: str) -> Evidence:
    """Give evidence with the value on one line and of bounded length."""
    line = " ".join(content.split())
    return Evidence(path, line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 1] + "…")


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d{1,18})", name)]
