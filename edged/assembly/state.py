"""The state directory: one daemon at a time, and the last configuration that ran."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from pathlib import Path

from pydantic import ValidationError

from edged.config.schema import Config
from edged.domain.errors import ConfigError, DeviceError
from edged.telemetry import logs
from edged.update.disk import LocalDisk
from edged.update.records import replace_file

LOCK, KEPT_CONFIG = "lock", "config.json"
DEFAULT = Path("/var/lib/edged")

_LOG = logging.getLogger("edged.state")


class Lock:
    """Held for as long as the process lives. Raises DeviceError when another daemon holds it or the directory cannot be used."""

    def __init__(self, directory: Path) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._file = _lock_file(directory)
        except OSError as error:
            message = (
                f"cannot use state directory {directory}: {error.strerror}, expected a folder that edged may write"
            )
            raise DeviceError(message, remedy="name one in [state] directory, or start edged as its owner") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            message = f"cannot start: another edged uses {directory}, expected to be the only one"
            raise DeviceError(
                message, remedy="stop the other one, or give this one its own [state] directory"
            ) from error

    def release(self) -> None:
        """Let another daemon in. May be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def is_held(file: Path) -> bool:
    """Whether a process holds a file's lock; nobody holds one that is not there. Raises OSError where the file may not be opened."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock_file(directory: Path) -> int:
    try:
        return os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in {errno.EROFS, errno.ENOSPC}:
            raise
    # A disk that takes nothing must not keep the box from seeing and reporting. What is there can be locked without writing:
    # the file of an earlier start, or the folder itself.
    place = directory / LOCK if (directory / LOCK).exists() else directory
    return os.open(place, os.O_RDONLY | os.O_CLOEXEC)


def keep_config(config: Config) -> None:
    """Write down the configuration that runs, to fall back on when its file, which says where the state is, cannot be read one day."""
    content = json.dumps(config.model_dump(mode="json", exclude_unset=True)).encode()
    for folder in dict.fromkeys((config.state.directory, _given() or config.state.directory)):
        _keep(folder / KEPT_CONFIG, content)


def kept_config() -> Config | None:
    """Give the last configuration that ran, or None. It is looked for where the service manager keeps edged's state."""
    file = (_given() or DEFAULT) / KEPT_CONFIG
    try:
        return Config.model_validate(json.loads(file.read_bytes()))
    except (OSError, ValueError, ValidationError, ConfigError):
        return None


def _keep(file: Path, content: bytes) -> None:
    try:
        if not file.exists() or file.read_bytes() != content:
            replace_file(LocalDisk(), file, content)
    except (OSError, DeviceError) as error:
        logs.event(_LOG, "config.unkept", level=logging.WARNING, error=error)


def _given() -> Path | None:
    """Give the state directory that the service manager names, the first of several."""
    named = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(named) if named else None
