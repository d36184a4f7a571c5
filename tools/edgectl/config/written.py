"""Writes a configuration that ``edged check`` has nothing against, or nothing at all."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgectl.config.answers import Answers
from edgectl.options import CONFIG
from edgectl.setup import place
from edged.assembly.check import check_all
from edged.domain.errors import ConfigError, DeviceError

UNIT = Path("/etc/systemd/system/edged.service")
START_S = 90.0


@dataclass(frozen=True, slots=True)
class Written:
    """The file, the one that was kept from before, and what the box itself lacks."""

    file: Path
    kept: Path | None
    faults: tuple[str, ...]
    """What ``edged check`` says of devices and files that the configuration names; it can be used all the same."""


def ready(file: Path, *, replaces: bool) -> None:
    """Raise ConfigError before anything is asked where the answers could not be written."""
    folder = next(place for place in file.parents if os.access(place, os.F_OK))
    if folder.exists() and not folder.is_dir():
        message = f"cannot write {file}: {folder} is no folder, expected one"
        raise ConfigError(message, remedy="name another place with --config")
    if not os.access(folder, os.W_OK | os.X_OK):
        message = f"cannot write {file} as user {os.geteuid()}: no permission, expected a folder that may be written"
        raise ConfigError(
            message,
            remedy=f"sudo {shlex.quote(f'{sys.prefix}/bin/edgectl')} config init, or another place with --config",
        )
    if file.is_dir():
        message = f"cannot write {file}: it is a folder, expected a file"
        raise ConfigError(message, remedy=f"--config {shlex.quote(f'{file}/edged.toml')} puts it in there")
    if file.exists() and not replaces:
        message = f"cannot write {file}: it is there already, expected to make a new one"
        raise ConfigError(message, remedy="run it with --force; the old one is kept beside it")


def write(answers: Answers, file: Path, password: tuple[Path, str] | None) -> Written:
    """Check the configuration where it will stand, and put it there.

    ``password`` is the file that it is kept in, and itself. Raises ConfigError when ``edged check`` would refuse it; then
    nothing is written. A configuration that is there is kept beside it.
    """
    content = _encoded(answers, file)
    # Beside the real one, so that the drop-ins of conf.d count, and under a name that edged does not read.
    trial = file.with_name(f".{file.name}.new")
    try:
        place.write(trial, content, *place.readable_by_edged())
        report = check_all(trial)
        if report.configuration:
            message = (
                f"cannot write {file}: edged check refuses it: {'; '.join(_told(report.configuration, trial, file))}"
            )
            raise ConfigError(message)
        if password is not None:
            place.write(password[0], password[1].encode() + b"\n", *place.readable_by_edged(is_secret=True))
            report = check_all(trial)
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)
    kept = place.keep(file) if file.exists() else None
    # Where a link leads, so that it stays one.
    place.write(file.resolve(), content, *place.readable_by_edged())
    return Written(file, kept, tuple(_told(report.faults, trial, file)))


def can_start(file: Path) -> bool:
    """Whether this is the configuration of an installed unit, and the caller may start that."""
    return file == CONFIG and os.geteuid() == 0 and UNIT.exists() and shutil.which("systemctl") is not None


def start() -> str:
    """Start edged, or start it again, on the new configuration; gives the unit's state. Raises DeviceError."""
    # One that ended too often is not started again otherwise.
    _systemctl("reset-failed")
    done = _systemctl("restart")
    if done.returncode:
        message = f"cannot start edged on the configuration, which is written: {' '.join(done.stderr.split())}"
        raise DeviceError(message, remedy="journalctl -u edged -n 30 says why")
    return _systemctl("is-active").stdout.strip()


def _encoded(answers: Answers, file: Path) -> bytes:
    try:
        return answers.text().encode()
    except UnicodeEncodeError as error:
        message = f"cannot write {file}: a name or path in it is not UTF-8, as TOML is, expected one that is"
        raise ConfigError(message, remedy="call the file or folder otherwise") from error


def _told(faults: Iterable[object], trial: Path, file: Path) -> Iterator[str]:
    return (str(fault).replace(str(trial), str(file)) for fault in faults)


def _systemctl(verb: str) -> subprocess.CompletedProcess[str]:
    words = ["systemctl", verb, "edged.service"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=START_S, check=False)
    except subprocess.TimeoutExpired as error:
        message = f"cannot start edged on the configuration, which is written: no end of {verb} after {START_S:g} s"
        raise DeviceError(message, remedy="journalctl -u edged -n 30 says why") from error
