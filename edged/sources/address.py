"""Where a camera is: its configured address, taken apart. No library in here; the adapters of cameras share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from edged.domain.errors import ConfigError

Kind = Literal["device", "stream", "pipeline", "libav"]


@dataclass(frozen=True, slots=True)
class Address:
    """``shown`` is for people and free of secrets; ``target`` is for the library.

    ``kind`` is a device on this box, a network stream, GStreamer pipeline text, or an input of libav that was named.
    """

    target: str
    shown: str
    kind: Kind
    libav_format: str | None = None

    @property
    def is_device(self) -> bool:
        """Whether it is a device on this box."""
        return self.kind == "device"


def parse(url: str, libav_format: str | None = None) -> Address:
    """Take an address apart.

    Args:
        url: ``/dev/video0``, its number, an ``rtsp://``, ``http://`` or ``https://`` address, or GStreamer pipeline text.
        libav_format: the name of libav's input when it shall not follow from ``url``.

    Raises:
        ConfigError: ``url`` is no camera's, or carries a user's name or password.
    """
    if libav_format is not None:
        return Address(url, url, "libav", libav_format)
    device = f"/dev/video{url}" if url.isdecimal() else url
    if device.startswith("/dev/"):
        return Address(device, device, "device", "video4linux2")
    if is_pipeline(url):
        return Address(url, f"GStreamer {url.split('!', 1)[0].split(maxsplit=1)[0]}", "pipeline")
    parts = urlsplit(url)
    if parts.scheme not in {"rtsp", "rtsps", "http", "https"} or not parts.hostname:
        message = (
            f"cannot open camera {url.rpartition('@')[2]!r}: expected /dev/video0, a number, an rtsp, http or https address, "
            "or GStreamer pipeline text with ! between its elements"
        )
        raise ConfigError(message)
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))  # queries carry tokens
    if "@" in parts.netloc:
        message = f"cannot open camera {shown}: its address carries user information, expected none"
        raise ConfigError(message, remedy="set username and password_file in the source's section")
    return Address(url, shown, "stream")


def is_pipeline(url: str) -> bool:
    """Whether a camera's address is GStreamer pipeline text: elements with ``!`` between them, the first not empty."""
    first, mark, _ = url.partition(" ! ")
    return bool(mark and first.strip())


def with_user(url: str, username: str | None, password: str | None) -> str:
    """Give the address that libav signs in with, both quoted; ``url`` as it is without a user."""
    if username is None:
        return url
    parts = urlsplit(url)
    user = f"{quote(username, safe='')}:{quote(password or '', safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))
