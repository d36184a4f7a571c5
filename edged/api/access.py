"""Who may do what over HTTP. Pure: header values in, a right or a refusal out.

- Rights: ``open`` asks for nothing (probes), ``read`` changes nothing, ``control`` changes what the box does. Inference is ``read``.
- Without a token file, which is possible on a loopback address only, who can connect may do everything.
- A browser sends what a page from elsewhere tells it to. A name that is not the box's own in ``Host`` is DNS rebinding; an ``Origin`` that
  is not the page's own server is another site's page. Both are refused, whatever token comes along.
- Tokens come as ``Authorization: Bearer …``, or as the password of HTTP Basic, which browsers ask people for. They are compared in
  constant time.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal

from edged.api.refusal import RefusedError

Right = Literal["open", "read", "control"]
LEAST_TOKEN_CHARS = 16
"""Nobody guesses one of this length that was drawn at random."""
MOST_ADDRESS_CHARS = 64
"""More than any address has, with its zone."""


@dataclass(frozen=True, slots=True)
class Access:
    """What opens the server. ``hosts`` are the names by which it is reached, in lower case; addresses always count."""

    token: bytes = b""
    read_token: bytes = b""
    hosts: frozenset[str] = frozenset({"localhost"})

    def __post_init__(self) -> None:
        """Refuse tokens that could be guessed. Raises ValueError."""
        for token in filter(None, (self.token, self.read_token)):
            if len(token) < LEAST_TOKEN_CHARS:
                message = f"cannot use a token of {len(token)} characters, expected at least {LEAST_TOKEN_CHARS}"
                raise ValueError(message)

    def check(self, right: Right, *, host: str, origin: str, authorization: str) -> None:
        """Let a request pass that may have ``right``. Raises RefusedError: ``forbidden``, or ``unauthenticated`` without a valid token."""
        if not self._is_own(host):
            message = f"cannot answer for host {host!r:.80}: it is not this box's name, expected an address or a name in [http] hosts"
            raise RefusedError(message, "forbidden")
        if origin and origin.partition("://")[2].lower() != host.lower():
            message = f"cannot answer a page of {origin!r:.80}, expected one of this server's own"
            raise RefusedError(message, "forbidden")
        if right != "open" and self.token:
            self._check_token(right, _token(authorization))

    def _check_token(self, right: Right, given: bytes) -> None:
        # Both are compared, whatever the first says: the time tells nothing.
        is_control = hmac.compare_digest(given, self.token)
        is_reading = hmac.compare_digest(given, self.read_token) and bool(self.read_token)
        if not is_control and not is_reading:
            message = "cannot answer without a valid token, expected 'Authorization: Bearer …'"
            raise RefusedError(message, "unauthenticated")
        if right == "control" and not is_control:
            message = "cannot do this with a token that only reads, expected the one of token_file"
            raise RefusedError(message, "forbidden")

    def _is_own(self, host: str) -> bool:
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        return name in self.hosts or (len(name) <= MOST_ADDRESS_CHARS and _is_address(name))


@lru_cache(64)
def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _token(authorization: str) -> bytes:
    """Give the token of an ``Authorization`` header; empty when there is none."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip().encode("utf-8", "surrogatepass")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return b""
    return b""
