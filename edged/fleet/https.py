"""A repository behind a URL: any static server, object store or content network; ranges where it knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError

from edged.domain.errors import RetryableError
from edged.fleet.fetch import AbsentError, Reply

CONNECT_S, READ_S = 10.0, 20.0
"""To connect, and the longest silence; a trickle is the pace's to find."""
MAX_REDIRECTS = 3
BLOCK_BYTES = 256 * 1024
_WHOLE, _PART, _BEHIND_END = 200, 206, 416
_ABSENT = frozenset({403, 404})


class HttpTransport:
    """Files below ``url``. urllib3 sets TCP_NODELAY and checks certificates against the system's.

    Nothing is decompressed: what is signed are the bytes as they lie there, and a bomb stays small.
    """

    def __init__(self, url: str, read_s: float = READ_S) -> None:
        self._url = url.rstrip("/")
        self._pool = _pool(
            self._url,
            timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
            # Whoever waits decides when to try again: only another address is followed at once.
            retries=urllib3.Retry(None, connect=0, read=0, status=0, other=0, redirect=MAX_REDIRECTS),
        )

    @contextmanager
    def read(self, path: str, offset: int = 0, tag: str = "") -> Iterator[Reply]:
        """Ask for a file, as ``Transport`` says."""
        with self._mapped(path):
            response = self._pool.request(
                "GET",
                f"{self._url}/{quote(path)}",
                headers=_headers(offset, tag),
                preload_content=False,
                decode_content=False,
            )
        try:
            yield self._reply(response, path, offset)
        finally:
            response.close()

    def _reply(self, response: urllib3.BaseHTTPResponse, path: str, offset: int) -> Reply:
        if response.status in _ABSENT:
            raise AbsentError(path)
        tag = _tag(response.headers)
        if response.status == _WHOLE:
            return Reply(0, tag, self._blocks(response, path))
        if response.status == _PART and _begin(response.headers) == offset:
            return Reply(offset, tag, self._blocks(response, path))
        if response.status == _BEHIND_END and offset:
            # The file became shorter: it is another one. What is there does not count.
            return Reply(0, "", iter(()))
        message = f"cannot read {path}: {self._url} answers {response.status}, expected 200 or 206"
        raise RetryableError(message, remedy="look at the server", code="network")

    def _blocks(self, response: urllib3.BaseHTTPResponse, path: str) -> Iterator[bytes]:
        while True:
            # read1 gives what is there: read would wait for a whole block, and a trickle would never be seen.
            with self._mapped(path):
                block = response.read1(BLOCK_BYTES)
            if not block:
                return
            yield block

    @contextmanager
    def _mapped(self, path: str) -> Iterator[None]:
        try:
            yield
        except (HTTPError, OSError) as error:
            message = f"cannot read {path}: {' '.join(str(error).split())[:160]}, expected an answer of {self._url}"
            raise RetryableError(message, remedy="look at the network and the server", code="network") from error


def _headers(offset: int, tag: str) -> Mapping[str, str]:
    wanted = {"Accept-Encoding": "identity"}
    if offset:
        wanted["Range"] = f"bytes={offset}-"
        if tag:
            # RFC 9110, 13.1.5: the rest if it is still this file, the whole of it if not.
            wanted["If-Range"] = tag
    return wanted


def _tag(headers: Mapping[str, str]) -> str:
    """Give a strong ETag; a weak one names no bytes (RFC 9110, 8.8.3)."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else ""


def _begin(headers: Mapping[str, str]) -> int | None:
    unit, _, rest = headers.get("Content-Range", "").partition(" ")
    begin = rest.partition("-")[0]
    return int(begin) if unit == "bytes" and begin.isdigit() else None


def _pool(url: str, **settings: Any) -> urllib3.PoolManager:
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, **settings)
    return urllib3.PoolManager(**settings)
