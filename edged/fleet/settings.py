"""What a link needs to know about its broker and itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edged.fleet.backoff import Backoff

MAX_PACKET_BYTES = 144 * 1024
"""Told to an MQTT 5 broker on CONNECT, which then withholds anything larger (a document of 128 KiB, its topic and its
properties)."""
SESSION_EXPIRY_S = 24 * 3600
"""How long an MQTT 5 broker keeps commands for a device that is away."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authorities that vouch for the broker (None: the system's), the device's certificate and its key."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """One broker, one device. ``keepalive_s``: a connection that went silent is given up after 1.5 times this."""

    host: str
    port: int
    device: str
    groups: tuple[str, ...] = ()
    tls: TlsFiles | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    protocol: int = 5
    """What is tried first: 5, or 4 for 3.1.1; the other one follows when the broker refuses it."""
    keepalive_s: int = 30
    connect_timeout_s: float = 10.0
    will_delay_s: int = 5
    """MQTT 5: a connection that comes back within this time was never seen to be gone."""
    max_packet_bytes: int = MAX_PACKET_BYTES
    beside: tuple[str, ...] = ()
    """Further topics that are subscribed, outside of the device's own."""
    inbox: int = 64
    """Inbound messages that may wait for their handler; what finds it full is counted as a drop."""
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        """Refuse what no broker would understand."""
        if not 0 < self.port < 1 << 16:
            message = f"cannot use port {self.port}, expected 1 to 65535"
            raise ValueError(message)
        if self.keepalive_s < 1:
            message = f"cannot use keepalive_s {self.keepalive_s}, expected 1 or more"
            raise ValueError(message)

    @property
    def where(self) -> str:
        """The broker's address for people."""
        return f"{self.host}:{self.port}"
