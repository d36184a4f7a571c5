"""A repository of The Update Framework in memory, as a transport: after python-tuf's own ``tests/repository_simulator.py``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from edged.fleet.fetch import AbsentError, Reply
from edged.update.desired import PAYLOAD_TYPE

NOW = datetime(2027, 1, 15, 8, 0, 0, tzinfo=timezone.utc)
NOW_MS = int(NOW.timestamp() * 1000)
"""What ``fakes.clock`` shows: 1,800,000,000 s."""
ROLES = ("root", "timestamp", "snapshot", "targets")


@dataclass
class Simulator:
    """``files`` is what a server would hold; ``publish`` signs it anew. ``before`` is called with each path that is asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    keys: dict[str, list[CryptoSigner]] = field(default_factory=dict)
    expires: datetime = NOW + timedelta(days=30)
    before: Callable[[str], None] = lambda _path: None
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root, self.targets = Root(expires=self.expires), Targets(expires=self.expires)
        self.timestamp, self.snapshot = Timestamp(expires=self.expires), Snapshot(expires=self.expires)
        for role, count in (("root", 3), ("timestamp", 1), ("snapshot", 1), ("targets", 1)):
            self.keys[role] = [CryptoSigner.generate_ed25519() for _ in range(count)]
        self._name_keys()
        self.desired_with([CryptoSigner.generate_ed25519()])
        self.sign_root(self.keys["root"][:2])
        self.publish()

    @property
    def provisioned(self) -> bytes:
        """The root metadata that a box is given when it is installed."""
        return self.files["metadata/1.root.json"]

    # -- what its keepers do

    def add(self, name: str, content: bytes, /, **custom: Any) -> TargetFile:
        """List a file and put it there."""
        target = TargetFile.from_data(name, content, ["sha256"])
        if custom:
            target.unrecognized_fields["custom"] = custom
        self.targets.targets[name] = target
        self.files[f"targets/{target.hashes['sha256']}.{name}"] = content
        return target

    def publish(self) -> None:
        """Sign targets, snapshot and timestamp, each a version higher."""
        self.targets.version += bool(self.files.get("metadata/timestamp.json"))
        self._put(f"{self.targets.version}.targets", self.targets, self.keys["targets"])
        self.snapshot.meta["targets.json"] = MetaFile(self.targets.version)
        self.snapshot.version += bool(self.files.get("metadata/timestamp.json"))
        self._put(f"{self.snapshot.version}.snapshot", self.snapshot, self.keys["snapshot"])
        self.timestamp.snapshot_meta = MetaFile(self.snapshot.version)
        self.stamp()

    def stamp(self) -> None:
        """Sign a new timestamp alone."""
        self.timestamp.version += bool(self.files.get("metadata/timestamp.json"))
        self._put("timestamp", self.timestamp, self.keys["timestamp"])

    def rotate(self, role: str, signers: list[CryptoSigner] | None = None) -> None:
        """Give a role another key in a new root; ``signers`` sign that root, by default two old and two new ones."""
        before = self.keys[role]
        for signer in before:
            self.root.revoke_key(signer.public_key.keyid, role)
        self.keys[role] = [CryptoSigner.generate_ed25519() for _ in before]
        self._name_keys()
        self.root.version += 1
        old = before[:2] if role == "root" else []
        self.sign_root([*old, *self.keys["root"][:2]] if signers is None else signers)

    def sign_root(self, signers: list[CryptoSigner]) -> None:
        self._put(f"{self.root.version}.root", self.root, signers)

    def desired_with(self, signers: list[CryptoSigner], threshold: int = 1) -> None:
        """Let these sign what boxes shall run."""
        self.keys["desired"] = signers
        role = DelegatedRole("desired", [one.public_key.keyid for one in signers], threshold, True, paths=[])
        self.targets.delegations = Delegations(
            {one.public_key.keyid: one.public_key for one in signers}, {"desired": role}
        )

    def desire(self, document: dict[str, Any], signers: list[CryptoSigner] | None = None) -> bytes:
        return sealed(document, self.keys["desired"] if signers is None else signers)

    def write(self, folder: Path) -> None:
        """Lay it down as a web server would serve it."""
        for path, content in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

    def _name_keys(self) -> None:
        for role in ROLES:
            for signer in self.keys[role]:
                self.root.add_key(signer.public_key, role)
        self.root.roles["root"].threshold = 2

    def _put(self, name: str, signed: Any, signers: list[CryptoSigner]) -> None:
        metadata = Metadata(signed)
        for signer in signers:
            metadata.sign(signer, append=True)
        self.files[f"metadata/{name}.json"] = metadata.to_bytes()

    # -- as a transport

    @contextmanager
    def read(self, path: str, offset: int = 0, tag: str = "") -> Iterator[Reply]:
        self.asked.append((path, offset))
        self.before(path)
        if path not in self.files:
            raise AbsentError(path)
        content = self.files[path]
        own = hashlib.sha256(content).hexdigest()
        begin = offset if offset <= len(content) and tag in {"", own} else 0
        yield Reply(begin, own, iter([content[begin:]]))


def sealed(document: dict[str, Any], signers: list[CryptoSigner], payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Sign a document as DSSE."""
    envelope = Envelope(json.dumps(document).encode(), payload_type, {})
    for signer in signers:
        envelope.sign(signer)
    return json.dumps(envelope.to_dict()).encode()


def written(moment: datetime) -> str:
    """Write a date as documents carry it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def desired(**changes: Any) -> dict[str, Any]:
    """Give an order for press-07 that is well in every way."""
    return {
        "schema": "edged.desired/1",
        "for": {"device": "press-07"},
        "seq": 12,
        "issued": written(NOW),
        "not_after": written(NOW + timedelta(days=7)),
        "campaign": "autumn",
        "by": "A. Fleet",
        "models": {},
        **changes,
    }


def ordered(name: str, content: bytes, **changes: Any) -> dict[str, Any]:
    """Give a model's part of an order."""
    digest = hashlib.sha256(content).hexdigest()
    return {"version": "1.3.0", "target": name, "length": len(content), "sha256": digest, **changes}
