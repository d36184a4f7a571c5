"""What a keeper does with a repository: each verb stages metadata; ``publish`` alone changes what boxes see."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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

from edgectl.bundle.pack import pack, unpacked
from edgectl.repo import delta
from edgectl.repo.keys import make_key, read_keys
from edgectl.repo.releases import Published, find_releases
from edgectl.repo.work import DAYS, POLICY, ROOT, SNAPSHOT, TARGETS_ROLE, TIMESTAMP, Work
from edged.domain.bundle import Bundle
from edged.domain.errors import ConfigError
from edged.fleet.folder import FolderTransport
from edged.fleet.places import DESIRED, METADATA, delta_name
from edged.fleet.repository import Repository

DELTAS_FROM = 2
"""Releases back to which differences are made: boxes that slept longer fetch the whole file."""
_DAY_S = 86_400
_ONLINE = (TARGETS_ROLE, DESIRED, SNAPSHOT, TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Terms:
    """What the signers say of a release beside its name: the oldest edged, and the device profiles (none: all)."""

    min_edged: str = ""
    profiles: tuple[str, ...] = ()
    role: str = TARGETS_ROLE


@dataclass(frozen=True, slots=True)
class Keepers:
    """How many keys the root has, how many of them must sign, and what the key files are encrypted with."""

    count: int = 3
    threshold: int = 2
    passphrase: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse a threshold that nobody can reach."""
        if not 1 <= self.threshold <= self.count:
            message = f"cannot ask for {self.threshold} of {self.count} keys, expected 1 to {self.count}"
            raise ConfigError(message)


def init(folder: Path, keepers: Keepers, now: datetime | None = None) -> Work:
    """Make a keeper's folder with all its keys, and publish it, empty. Raises ConfigError when there is one already."""
    if (folder / POLICY).exists():
        message = f"cannot make {folder}: it is a keeper's folder already, expected a new one"
        raise ConfigError(message)
    folder.mkdir(parents=True, exist_ok=True)
    days = "\n".join(f"{role} = {count}" for role, count in DAYS.items())
    (folder / POLICY).write_text(f"# For how many days metadata is valid once it is signed.\n[days]\n{days}\n", "utf-8")
    work = Work(folder, now)
    root = Root(expires=work.until(ROOT), consistent_snapshot=True)
    for _ in range(keepers.count):
        root.add_key(make_key(work.root_keys, ROOT, keepers.passphrase).public_key, ROOT)
    root.roles[ROOT].threshold = keepers.threshold
    keys = {role: make_key(work.keys, role, keepers.passphrase).public_key for role in _ONLINE}
    for role in (TARGETS_ROLE, SNAPSHOT, TIMESTAMP):
        root.add_key(keys[role], role)
    targets = Targets(expires=work.until(TARGETS_ROLE))
    _delegate(targets, DESIRED, [], [keys[DESIRED]], 1)
    work.stage(ROOT, Metadata(root))
    work.stage(TARGETS_ROLE, Metadata(targets))
    work.sign(read_keys([work.root_keys, work.keys], passphrase=keepers.passphrase))
    publish(work, keepers.passphrase)
    return work


def add(work: Work, place: Path, terms: Terms) -> list[str]:
    """Take a bundle in, folder or packed file, with differences to the releases before it; gives the names of the files."""
    with TemporaryDirectory(prefix="edgectl-repo-") as scratch, unpacked(place) as bundle:
        file = pack(bundle, Path(scratch))
        before = [one for one in _known(work, bundle.manifest.name) if one.order.version != bundle.manifest.version]
        metadata = work.edit(terms.role)
        names = [_list(work, metadata.signed, file.name, file.read_bytes(), _custom(bundle, terms))]
        for one in before[-DELTAS_FROM:]:
            names += _add_delta(work, metadata.signed, one, file)
    work.stage(terms.role, metadata)
    return names


def rotate(work: Work, role: str, keepers: Keepers) -> list[str]:
    """Give a role new keys in place of all its old ones; gives the ids of the new ones. The old keys' files stay, for the root's sake."""
    folder = work.root_keys if role == ROOT else work.keys
    owner = ROOT if role in work.root().roles else TARGETS_ROLE
    metadata = work.edit(owner)
    delegator: Root | Targets = metadata.signed
    old = list(delegator.get_delegated_role(role).keyids)
    made = [make_key(folder, role, keepers.passphrase) for _ in range(keepers.count)]
    for keyid in old:
        delegator.revoke_key(keyid, role)
    for signer in made:
        delegator.add_key(signer.public_key, role)
    delegator.get_delegated_role(role).threshold = keepers.threshold
    work.stage(owner, metadata)
    if role == TARGETS_ROLE or role in _delegated(work):
        # What the old keys signed counts for nobody now.
        work.stage(role, work.edit(role))
    return [signer.public_key.keyid for signer in made]


def delegate(work: Work, role: str, paths: Sequence[str], keepers: Keepers) -> None:
    """Let a team sign files whose names match ``paths``, with keys of its own."""
    signers = [make_key(work.keys, role, keepers.passphrase) for _ in range(keepers.count)]
    metadata = work.edit(TARGETS_ROLE)
    _delegate(metadata.signed, role, list(paths), [one.public_key for one in signers], keepers.threshold)
    work.stage(TARGETS_ROLE, metadata)
    work.stage(role, Metadata(Targets(expires=work.until(role))))


def publish(work: Work, passphrase: bytes | None = None) -> list[str]:
    """Publish what is signed, with a new snapshot and timestamp, after walking through a copy as a box does; gives the roles that changed.

    Raises ConfigError, and publishes nothing, while signatures or keys are missing; EdgedError, likewise, when a box would refuse it.
    """
    _require_signatures(work)
    changed = work.waiting()
    files = _files(work, changed, read_keys([work.keys], passphrase=passphrase))
    _walk(work, files)
    for name, content in files.items():
        work.put(f"{METADATA}/{name}", content)
    # Cut off before, it is published again as it was.
    for role in changed:
        (work.staged / f"{role}.json").unlink()
    return [*changed, SNAPSHOT, TIMESTAMP]


def _files(work: Work, changed: Sequence[str], signers: Mapping[str, CryptoSigner]) -> dict[str, bytes]:
    """Give the metadata to be published, signed, by file name, in the order in which it may go.

    Numbered files count for nobody before a timestamp names them; but boxes ask for the next root first, and hold all that follows
    to its keys: it goes right before the timestamp.
    """
    snapshot = _snapshot(work)
    numbered = {role: work.latest(role) for role in changed}
    root = numbered.pop(ROOT, None)
    numbered[SNAPSHOT] = _signed(work, SNAPSHOT, snapshot, signers)
    if root is not None:
        numbered[ROOT] = root
    timestamp = _signed(work, TIMESTAMP, _timestamp(work, snapshot), signers)
    files = {f"{metadata.signed.version}.{role}.json": metadata.to_bytes() for role, metadata in numbered.items()}
    return {**files, f"{TIMESTAMP}.json": timestamp.to_bytes()}


def _require_signatures(work: Work) -> None:
    missing = work.missing()
    if missing:
        told = "; ".join(
            f"{one.role} lacks {one.count} of {', '.join(key[:12] for key in one.keyids)}" for one in missing
        )
        message = f"cannot publish: {told}, expected enough signatures"
        raise ConfigError(message, remedy="edgectl repo sign, where the keys are")


def _signed(work: Work, role: str, signed: Any, signers: Mapping[str, CryptoSigner]) -> Metadata[Any]:
    metadata: Metadata[Any] = Metadata(signed)
    keyids = work.root().roles[role].keyids
    for keyid in keyids:
        if keyid in signers:
            metadata.sign(signers[keyid], append=True)
    if len(metadata.signatures) < work.root().roles[role].threshold:
        message = f"cannot sign {role}: its key {keyids[0][:12]} is not in {work.keys}, expected it there"
        raise ConfigError(message, remedy="bring the key back, or edgectl repo rotate it")
    return metadata


def _snapshot(work: Work) -> Snapshot:
    before = work.published(SNAPSHOT)
    snapshot = Snapshot(before.signed.version + 1 if before is not None else 1, expires=work.until(SNAPSHOT))
    for role in (TARGETS_ROLE, *_delegated(work)):
        snapshot.meta[f"{role}.json"] = MetaFile(work.latest(role).signed.version)
    return snapshot


def _timestamp(work: Work, snapshot: Snapshot) -> Timestamp:
    before = work.published(TIMESTAMP)
    version = before.signed.version + 1 if before is not None else 1
    return Timestamp(version, expires=work.until(TIMESTAMP), snapshot_meta=MetaFile(snapshot.version))


def _walk(work: Work, files: Mapping[str, bytes]) -> None:
    """Go through a copy of what is published with these files in it, as a box does that has the first root. Raises EdgedError."""
    with TemporaryDirectory(prefix="edgectl-repo-") as scratch:
        public, box = Path(scratch, "public"), Path(scratch, "box")
        metadata = public / METADATA
        if (work.public / METADATA).is_dir():
            shutil.copytree(work.public / METADATA, metadata)
        metadata.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (metadata / name).write_bytes(content)
        first = (metadata / "1.root.json").read_bytes()
        Repository(box, first, FolderTransport(public), int(work.now.timestamp() * 1000))


def _delegated(work: Work) -> list[str]:
    """Name the roles that sign files for the top one; who signs orders lists no file."""
    delegations = work.latest(TARGETS_ROLE).signed.delegations
    return [role for role in delegations.roles if role != DESIRED] if delegations else []


def _delegate(targets: Targets, role: str, paths: list[str], keys: Sequence[Any], threshold: int) -> None:
    made = DelegatedRole(role, [key.keyid for key in keys], threshold, terminating=True, paths=paths)
    before = targets.delegations
    targets.delegations = Delegations(
        {**(before.keys if before else {}), **{key.keyid: key for key in keys}},
        {**((before.roles if before else None) or {}), role: made},
    )


def _known(work: Work, model: str) -> list[Published]:
    try:
        return [one for one in find_releases(work.public) if one.order.model == model]
    except ConfigError:
        return []


def _custom(bundle: Bundle, terms: Terms) -> dict[str, Any]:
    manifest = bundle.manifest
    custom: dict[str, Any] = {"name": manifest.name, "version": manifest.version, "license": manifest.license}
    if terms.min_edged:
        custom["min_edged"] = terms.min_edged
    return {**custom, "profiles": list(terms.profiles)}


def _list(work: Work, targets: Targets, name: str, content: bytes, custom: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(content).hexdigest()
    known = targets.targets.get(name)
    if known is not None and known.hashes.get("sha256") != digest:
        message = f"cannot add {name}: the repository has it with other content, expected a new version"
        raise ConfigError(message, remedy="raise the version in model.toml")
    # The signers see its digest at once; the bytes may as well be there before anybody is told of them.
    work.put(work.target_place(name, digest), content)
    targets.targets[name] = TargetFile(len(content), {"sha256": digest}, name, {"custom": dict(custom)})
    return name


def _add_delta(work: Work, targets: Targets, before: Published, file: Path) -> list[str]:
    base = before.order
    place, name = work.public / work.target_place(base.target, base.sha256), delta_name(file.name, base.sha256)
    content = delta.make(place, file) if place.exists() and name not in targets.targets else None
    if content is None:
        return []
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return [_list(work, targets, name, content, {"base_sha256": base.sha256, "result_sha256": digest})]


def days_left(metadata: Metadata[Any], now: datetime) -> float:
    """Give for how many days metadata is valid yet."""
    return float((metadata.signed.expires.replace(tzinfo=timezone.utc) - now).total_seconds() / _DAY_S)


def copy_out(work: Work, folder: Path) -> None:
    """Copy what is published to a folder, a stick's for example, the timestamp last."""
    shutil.copytree(work.public, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"{TIMESTAMP}.json", ".*"))
    shutil.copy2(work.public / METADATA / f"{TIMESTAMP}.json", folder / METADATA / f"{TIMESTAMP}.json")
