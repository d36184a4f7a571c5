"""Where things lie in a repository, and what its signers can be asked: what both profiles share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from edged.fleet.fetch import Wanted

METADATA, TARGETS = "metadata", "targets"
"""The two folders of a repository; a file's name has its digest before it: what was published is never replaced."""
DESIRED = "desired"
"""The delegation of targets.json whose keys sign what boxes shall run; it lists no file of its own."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A file as the signers describe it."""

    wanted: Wanted
    custom: Mapping[str, Any]


class Signers(Protocol):
    """What a repository's signers say, verified. ``stale``: why it is that of an earlier time; empty when it is fresh."""

    stale: str

    def seen(self) -> dict[str, tuple[int, str]]:
        """Give each role's version, and a fingerprint of the keys and the threshold that vouch for it."""

    def until_ms(self) -> int:
        """Give when what they say ends, in Unix time: the box's date lies before it."""

    def verify(self, envelope: bytes, payload_type: str) -> bytes:
        """Give a signed document's content."""

    def offered(self, name: str) -> Offered:
        """Look a file up."""


def fingerprint(keyids: Iterable[str], threshold: int) -> str:
    """Name a set of keys and its threshold in a few characters."""
    return sha256(f"{threshold}:{','.join(sorted(keyids))}".encode()).hexdigest()[:16]


def delta_name(target: str, base_sha256: str) -> str:
    """Name the file with the difference between a release's file and the one that a box has, of this digest."""
    return f"{target.removesuffix('.edgemodel')}.from-{base_sha256[:12]}.edgedelta"
