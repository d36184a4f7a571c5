"""What the box offers to other programs: ``[http]``, ``[grpc]`` and ``[serving]``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from edged.config.keys import DAY_S, File, Host, Name, Number, Section, Text, Whole


class ServerTls(Section):
    """How the server proves itself to its clients."""

    cert: File
    """The server's certificate, PEM, with those that signed it behind it."""
    key: File
    """The key of ``cert``, PEM."""


class Listener(Section):
    """Where a server listens, and what opens it."""

    listen: Text
    """Address and port; an IPv6 address stands in brackets."""
    token_file: File | None = None
    """A file that holds the access token, at least 16 characters; needed for any address but a loopback one. It opens everything."""
    read_token_file: File | None = None
    """A file that holds another token, which opens what changes nothing: results, metadata, inference, metrics."""
    tls: ServerTls | None = None
    """Present: the server speaks TLS only."""

    @model_validator(mode="after")
    def _open_only_with_a_token(self) -> Listener:
        if not is_loopback(self.address[0]) and self.token_file is None:
            message = (
                f"cannot listen on {self.listen!r} without token_file, expected one for an address that is not loopback"
            )
            raise ValueError(message)
        if self.read_token_file is not None and self.token_file is None:
            message = "cannot use read_token_file without token_file: everything would be open to who has no token"
            raise ValueError(message)
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``; ValueError when it is not of that form."""
        return address_of(self.listen)


class Http(Listener):
    """The HTTP server on the box. Without this section there is none."""

    listen: Text = "127.0.0.1:8080"
    """Address and port; an IPv6 address stands in brackets."""
    hosts: tuple[Host, ...] = ()
    """Names by which clients reach the box, besides its addresses, ``localhost`` and its own name. A request for any other name is refused,
    since a page from elsewhere could have made a browser send it (DNS rebinding)."""
    max_body_mb: Annotated[Number, Field(gt=0, le=1024)] = 32.0
    """The largest body that a request may have, in MB of 10^6 bytes, also after it was unpacked."""
    max_connections: Annotated[Whole, Field(ge=1, le=10_000)] = 128
    """So many connections at once, seven eighths of them from one address at most; others are closed as they come."""


class Grpc(Listener):
    """The gRPC server on the box. Without this section there is none."""

    listen: Text = "127.0.0.1:8081"
    """Address and port; an IPv6 address stands in brackets."""
    max_message_mb: Annotated[Number, Field(gt=0, le=1024)] = 32.0
    """The largest message, in MB of 10^6 bytes."""


class Serving(Section):
    """The models that answer requests of other programs, over HTTP and gRPC."""

    models: tuple[Name, ...] = ()
    """Models that are loaded at the start, after those of the pipelines. What a pipeline runs is loaded for requests when the first comes,
    and any other when a client asks for it."""
    queue: Annotated[Whole, Field(ge=1, le=10_000)] = 32
    """So many requests of a model may wait; the next one is refused at once."""
    max_batch: Annotated[Whole, Field(ge=1, le=256)] = 8
    """So many items may share a run of a model whose first axis is free, if the box has measured that this brings 1.3 times the items a
    second; 1: never."""
    max_delay_ms: Annotated[Number, Field(ge=0, le=1000)] = 0.0
    """How long the first of them waits for others. 0: those that wait already share a run, and nobody waits for that."""
    timeout_s: Annotated[Number, Field(gt=0, le=DAY_S)] = 30.0
    """The longest that a request may wait for its run to begin; a request may ask for less."""


def address_of(listen: str) -> tuple[str, int]:
    """Give host and port of ``ADDRESS:PORT``; ValueError when it is not of that form."""
    # Behind an @ alone: before it may stand a password.
    message = f"cannot listen on {listen.rpartition('@')[2]!r}, expected ADDRESS:PORT such as 127.0.0.1:8080"
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(message) from error
    if not host or port is None or parts.netloc != listen or "@" in listen:
        raise ValueError(message)
    return host, port


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
