"""Puts a file where it belongs, whole or not at all: written beside, made durable, renamed."""

from __future__ import annotations

import grp
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from edged.domain.errors import DeviceError
from edged.fleet.synced import sync

GROUP = "edged"


def write(file: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Write ``content`` with these permissions, and owner and group where they are given; the folder is made.

    Raises DeviceError; what was there before is there still.
    """
    beside: Path | None = None
    try:
        _folder(file.parent)
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as stream:
            beside = Path(stream.name)
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            os.fsync(stream.fileno())
        beside.replace(file)
        sync(file.parent)
    except OSError as error:
        if beside is not None:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
        message = f"cannot write {file}: {error.strerror}, expected a folder that may be written"
        raise DeviceError(message) from error


def keep(file: Path) -> Path:
    """Copy a file beside itself, with .old behind its name: edged reads none of that name. Gives the copy. Raises DeviceError."""
    kept, status = file.with_name(f"{file.name}.old"), file.stat()
    write(kept, file.read_bytes(), stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))
    return kept


def readable_by_edged(*, is_secret: bool = False) -> tuple[int, tuple[int, int] | None]:
    """Give mode and owner of a file that the daemon reads and root alone writes; without that account, the caller's own."""
    try:
        group = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        return (0o600 if is_secret else 0o644), None
    return (0o640, (0, group)) if os.geteuid() == 0 else (0o600 if is_secret else 0o644, None)


def _folder(folder: Path) -> None:
    """Make what is missing of it, open for reading whatever the caller's umask: what is secret has its own permissions."""
    for missing in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
        missing.mkdir()
        missing.chmod(0o755)
