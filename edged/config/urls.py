"""URLs of servers that edged asks over HTTP."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit


def is_http(url: str) -> bool:
    """Whether a URL names a server that can be asked: http or https, a host, and a port that there is, if any."""
    if not url.startswith(("http://", "https://")) or not url.isprintable() or " " in url:
        return False
    with suppress(ValueError):
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    return False
