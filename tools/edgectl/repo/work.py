"""The keeper's folder: what is published, what waits for signatures, and the keys.

public/    what any web server, ``fleet serve`` or a USB stick hands out: ``metadata`` and ``targets``
staged/    metadata that was changed, until enough keys have signed it
keys/      the keys that sign every day: targets, desired, snapshot, timestamp
root-keys/ the keys of the root, to be taken off this machine
repo.toml  for how many days each kind of metadata is valid
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets

from edgectl.repo.releases import newest
from edged.config.read import read_toml
from edged.domain.errors import ConfigError
from edged.fleet.places import METADATA, TARGETS
from edged.fleet.synced import replace_synced

POLICY = "repo.toml"
ROOT, TARGETS_ROLE, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
DAYS: Mapping[str, int] = {ROOT: 1095, TARGETS_ROLE: 90, SNAPSHOT: 90, TIMESTAMP: 30}
"""A timestamp of a day would lock boxes out that connect once a week; these are a start, ``repo.toml`` says what holds."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Signatures that a role's staged metadata still lacks: how many, and of which keys they may be."""

    role: str
    count: int
    keyids: tuple[str, ...]


class Work:
    """A keeper's folder. Raises ConfigError when it is none."""

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        self.folder, self.now = folder, now or datetime.now(timezone.utc)
        self.public, self.staged = folder / "public", folder / "staged"
        self.keys, self.root_keys = folder / "keys", folder / "root-keys"
        if not (folder / POLICY).is_file():
            message = f"cannot use {folder}: it holds no {POLICY}, expected a keeper's folder"
            raise ConfigError(message, remedy="edgectl repo init makes one")
        self._days = {**DAYS, **read_toml(folder / POLICY).get("days", {})}

    # -- metadata

    def published(self, role: str) -> Metadata[Any] | None:
        """Give a role's metadata as boxes see it."""
        if role == TIMESTAMP:
            file = self.public / METADATA / f"{TIMESTAMP}.json"
            return read_metadata(file) if file.exists() else None
        try:
            file = newest(self.public).get(role, Path())
        except ConfigError:
            return None
        return read_metadata(file) if file.name else None

    def latest(self, role: str) -> Metadata[Any]:
        """Give a role's metadata as it will be: what is staged, or what is published. Raises ConfigError when there is neither."""
        file = self.staged / f"{role}.json"
        found = read_metadata(file) if file.exists() else self.published(role)
        if found is None:
            message = f"cannot find role {role!r}, expected one of the repository's"
            raise ConfigError(message, remedy="edgectl repo status shows them")
        return found

    def waiting(self) -> list[str]:
        """Name the roles whose metadata is staged, the root first."""
        return sorted((file.stem for file in self.staged.glob("*.json")), key=lambda role: (role != ROOT, role))

    def edit(self, role: str) -> Metadata[Any]:
        """Give a role's metadata to be changed: a version above the published one, without signatures, valid anew."""
        metadata, before = self.latest(role), self.published(role)
        metadata.signed.version = before.signed.version + 1 if before is not None else 1
        metadata.signed.expires = self.until(role)
        metadata.signatures.clear()
        return metadata

    def until(self, role: str) -> datetime:
        """Say when metadata of a role that is signed now ends."""
        days = self._days.get(role, self._days[TARGETS_ROLE])
        return (self.now + timedelta(days=days)).replace(microsecond=0)

    def stage(self, role: str, metadata: Metadata[Any]) -> None:
        """Keep changed metadata until it is signed and published."""
        replace_synced(self.staged / f"{role}.json", metadata.to_bytes())

    def put(self, name: str, content: bytes) -> None:
        """Publish a file below ``public``."""
        replace_synced(self.public / name, content)

    def target_place(self, name: str, digest: str) -> str:
        """Name a file's place below ``public``."""
        return f"{TARGETS}/{digest}.{name}"

    # -- signatures

    def sign(self, signers: Mapping[str, CryptoSigner]) -> dict[str, list[str]]:
        """Sign whatever is staged with the keys that may; gives, for each role, the keys that signed now."""
        done: dict[str, list[str]] = {}
        for role in self.waiting():
            metadata = self.latest(role)
            useful = [keyid for keyid in self._keyids(role, metadata) if keyid in signers]
            for keyid in useful:
                metadata.sign(signers[keyid], append=True)
            if useful:
                self.stage(role, metadata)
                done[role] = useful
        return done

    def missing(self) -> list[Missing]:
        """List what staged metadata still lacks."""
        return [found for role in self.waiting() if (found := self._missing(role, self.latest(role))) is not None]

    def root(self) -> Root:
        """Give the newest root, staged or published."""
        root: Root = self.latest(ROOT).signed
        return root

    def _keyids(self, role: str, metadata: Metadata[Any]) -> list[str]:
        if role != ROOT:
            return list(self._delegator(role).get_delegated_role(role).keyids)
        before = self.published(ROOT)
        old = before.signed.roles[ROOT].keyids if before is not None else []
        return list(dict.fromkeys([*old, *metadata.signed.roles[ROOT].keyids]))

    def _delegator(self, role: str) -> Root | Targets:
        if role in self.root().roles:
            return self.root()
        targets: Targets = self.latest(TARGETS_ROLE).signed
        return targets

    def _missing(self, role: str, metadata: Metadata[Any]) -> Missing | None:
        if role != ROOT:
            result = self._delegator(role).get_verification_result(role, metadata.signed_bytes, metadata.signatures)
            return None if result else _lacking(role, [result])
        before = self.published(ROOT)
        if before is not None and before.signed.version == metadata.signed.version:
            return None  # publishing was cut off after the root was out
        previous = before.signed if before is not None else None
        both = metadata.signed.get_root_verification_result(previous, metadata.signed_bytes, metadata.signatures)
        return None if both else _lacking(role, [both.first, both.second])


def read_metadata(file: Path) -> Metadata[Any]:
    """Read a metadata file. Raises ConfigError."""
    try:
        return Metadata.from_file(str(file))
    except (RepositoryError, OSError) as error:
        message = f"cannot read {file}: {' '.join(str(error).split())}, expected metadata"
        raise ConfigError(message) from error


def _lacking(role: str, results: Iterable[Any]) -> Missing:
    lacking = [one for one in results if not one]
    keyids = dict.fromkeys(keyid for one in lacking for keyid in one.unsigned)
    return Missing(role, max(one.missing for one in lacking), tuple(keyids))
