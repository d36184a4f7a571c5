"""Which camera is meant: a device, an address, or a source of the configuration by its name."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import typer

from edgectl.camera.found import lasting
from edgectl.entry import made, name_of
from edgectl.holders import holders, step
from edged.config.schema import CameraSource, Config
from edged.domain.errors import ConfigError, DeviceError
from edged.sources.address import is_pipeline

DEVICES = Path("/dev")
INSTEAD = "see its pictures on the daemon's own page: section [http] of the configuration"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said on the command line about a camera."""

    camera: str
    name: str = ""
    size: str = ""
    fps: float | None = None
    transport: str | None = None
    username: str | None = None
    password_file: Path | None = None


def target(asked: Asked, config: Config) -> CameraSource:
    """Give the source that is meant; what was asked for besides wins over what is configured.

    Raises:
        ConfigError: no such source, or no camera's address.
        DeviceError: somebody else holds the device.
    """
    configured = {one.name: one for one in config.source if isinstance(one, CameraSource)}
    known = configured.get(asked.camera)
    keys = _new(asked) if known is None else known.model_dump(exclude_unset=True) | _given(asked)
    source = made(CameraSource, keys)
    _refuse_if_held(source)
    return source


def with_observed(source: CameraSource, width: int, height: int) -> CameraSource:
    """Say which size was seen of a device: without it, a device keeps what the last program asked for."""
    if not is_device(source) or source.width is not None:
        return source
    return source.model_copy(update={"width": width, "height": height})


def is_device(source: CameraSource) -> bool:
    """Whether it is a node of this box."""
    return source.url.startswith(f"{DEVICES}/")


def ask_password(file: Path) -> None:
    """Have a new password typed, and keep it where only this user reads it.

    Raises ConfigError: nobody can be asked, or the file cannot be written.
    """
    if file.exists():
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = f"cannot read the password in {file}: there is no such file, expected one that holds it"
        raise ConfigError(message, remedy=f"(umask 077; cat > {file}), or run this at a terminal, which asks")
    password: str = typer.prompt("password", hide_input=True, err=True)
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as kept:
            kept.write(password + "\n")
    except OSError as error:
        message = f"cannot write {file}: {error.strerror}, expected a folder that is there and may be written"
        raise ConfigError(message) from error


def _new(asked: Asked) -> dict[str, object]:
    _refuse_unreadable(asked.camera)
    url = f"{DEVICES}/video{asked.camera}" if asked.camera.isdecimal() else asked.camera
    if url.startswith(f"{DEVICES}/"):
        url = str(lasting(Path(url)))
    elif not is_pipeline(url):
        _refuse_user_information(url)
    return {"kind": "camera", "url": url, "name": asked.name or _name(url), **_given(asked)}


def _given(asked: Asked) -> dict[str, object]:
    """Give the keys that were said."""
    keys: dict[str, object] = {"fps": asked.fps, "transport": asked.transport, "username": asked.username}
    if asked.size:
        keys["width"], keys["height"] = _sides(asked.size)
    if asked.password_file is not None:
        if asked.username is None:
            message = "cannot use a password without a user, expected --username beside --password-file"
            raise ConfigError(message, remedy="the camera's manual names its first user, such as admin")
        # The daemon runs in another folder.
        keys["password_file"] = asked.password_file.absolute()
    return {key: value for key, value in keys.items() if value is not None}


def _sides(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        message = f"cannot ask for size {size!r}, expected WIDTHxHEIGHT such as 1280x720"
        raise ConfigError(message, remedy="edgectl camera list tells what a device has")
    return int(width), int(height)


def _name(url: str) -> str:
    told = urlsplit(url).hostname if "://" in url and not is_pipeline(url) else Path(url.split(maxsplit=1)[0]).name
    return name_of(told or "", "camera")


def _refuse_unreadable(url: str) -> None:
    """Refuse what cannot be taken apart."""
    try:
        is_sound = bool(url.strip()) and urlsplit(url).port != 0
    except ValueError:  # a bracket without its other, a port beyond 65535
        is_sound = is_pipeline(url)
    if not is_sound:
        message = f"cannot look at {url!r:.80}: it names no camera, expected a device, its number, an address, or a source's name"
        raise ConfigError(message, remedy="edgectl camera list tells which devices there are")


def _refuse_user_information(url: str) -> None:
    """Refuse a password on the command line, where every user of the box reads it, with the way to give it."""
    parts = urlsplit(url)
    if parts.scheme in {"rtsp", "rtsps", "http", "https"} and "@" in parts.netloc:
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
        message = f"cannot look at {bare}: its address carries user information, expected none"
        user = f"--username {parts.username or 'USER'} --password-file FILE"
        raise ConfigError(message, remedy=f"give {user}; a file that is not there yet is asked for and written")


def _refuse_if_held(source: CameraSource) -> None:
    held = holders(Path(source.url)) if is_device(source) else ()
    held = tuple(one for one in held if one.pid != os.getpid())
    if held:
        message = f"cannot look at {source.url}: {' and '.join(map(str, held))} holds it, expected a free camera"
        raise DeviceError(message, remedy=step(held, INSTEAD), code="camera-busy")
