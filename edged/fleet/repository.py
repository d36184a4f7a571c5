"""What a repository of The Update Framework says, through python-tuf's client; its transport, its clock and its disk are ours.

Runs only in the short-lived child: the client costs 17 MB of memory. Never its ``download_target``, which neither resumes nor syncs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import IO

from tuf.api import exceptions
from tuf.api.metadata import Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from edged.domain.errors import ConfigError, EdgedError, RejectedError, RetryableError
from edged.fleet.envelope import read_envelope
from edged.fleet.fetch import AbsentError, Transport, Wanted, read_whole
from edged.fleet.places import DESIRED, METADATA, TARGETS, Offered, fingerprint
from edged.fleet.synced import sync_below

_VERSIONED = re.compile(r"^\d+\.")
_TOP = ("timestamp", "snapshot", "targets")
_LIMITS = UpdaterConfig(
    max_root_rotations=64,
    max_delegations=16,
    root_max_length=128 * 1024,
    timestamp_max_length=16 * 1024,
    snapshot_max_length=256 * 1024,
    targets_max_length=2 * 1024**2,
)


class Repository:
    """Loads what it needs when it is built; see ``stale`` for how fresh that is.

    Raises:
        RetryableError: network, metadata-expired, rollback-attack, unsigned, tampered, endless-data, disk.
        ConfigError: ``root`` is no root metadata.
    """

    def __init__(self, folder: Path, root: bytes, transport: Transport, time_ms: int) -> None:
        """``folder`` keeps the metadata between runs, ``root`` is the provisioned one; dates are judged by ``time_ms`` (Unix)."""
        self.stale = ""
        """Why nothing new could be asked for, and the metadata of an earlier time counts; empty: it is fresh."""
        online = _Fetcher(transport)
        try:
            self._updater = _refreshed(folder, root, online, time_ms)
        except RetryableError as error:
            if error.code != "network" or not (folder / "timestamp.json").exists():
                raise
            self.stale = str(error.args[0])
            self._updater = _refreshed(folder, root, _Cached(folder), time_ms)
        self._updater._fetcher = online  # noqa: SLF001 - delegated metadata that is not here may still come
        with _mapped():
            sync_below(folder)

    def seen(self) -> dict[str, tuple[int, str]]:
        """Give each role's version, and a fingerprint of the keys and the threshold that vouch for it."""
        trusted = self._updater._trusted_set  # noqa: SLF001 - a contract test pins it
        seen = {"root": (trusted.root.version, "")}
        for name in _TOP:
            role = trusted.root.roles[name]
            seen[name] = (trusted[name].version, fingerprint(role.keyids, role.threshold))
        return seen

    def until_ms(self) -> int:
        """Give when the timestamp ends, in Unix time."""
        expires: datetime = self._updater._trusted_set.timestamp.expires  # noqa: SLF001 - as above
        return int(expires.replace(tzinfo=timezone.utc).timestamp() * 1000)

    def verify(self, envelope: bytes, payload_type: str) -> bytes:
        """Give what the ``desired`` keys signed. Raises RejectedError, code ``signature``; RetryableError while ``stale``."""
        found = read_envelope(envelope, payload_type)
        targets = self._targets()
        try:
            targets.verify_delegate(DESIRED, found.pae(), found.signatures)
        except (exceptions.UnsignedMetadataError, ValueError) as error:
            message = f"cannot follow an order: {_line(error)}, expected the signature of {DESIRED!r}"
            if self.stale:
                # The keys may have changed since.
                raise RetryableError(message, remedy="bring the repository back", code="network") from error
            raise RejectedError(message, remedy="edgectl repo desire signs one", code="signature") from error
        return found.payload

    def offered(self, name: str) -> Offered:
        """Look a file up. Raises RejectedError, code ``not-offered``; RetryableError as above, and while ``stale``."""
        with _mapped():
            target = self._updater.get_targetinfo(name)
        if target is None:
            message = f"cannot fetch {name}: the repository's metadata does not list it, expected it signed"
            kind = RetryableError if self.stale else RejectedError
            raise kind(
                message, remedy="edgectl repo add puts it there", code="network" if self.stale else "not-offered"
            )
        digest = target.hashes.get("sha256", "")
        return Offered(Wanted(f"{TARGETS}/{digest}.{name}", target.length, digest), target.custom or {})

    def names(self) -> tuple[str, ...]:
        """List the files that the top of the metadata names."""
        return tuple(self._targets().targets)

    def _targets(self) -> Targets:
        targets: Targets = self._updater._trusted_set.targets  # noqa: SLF001 - as above
        return targets


def _refreshed(folder: Path, root: bytes, fetcher: FetcherInterface, time_ms: int) -> Updater:
    with _mapped():
        updater = _begun(folder, root, fetcher)
        # python-tuf knows no clock but the system's; there is no public way to hand it another.
        updater._trusted_set.reference_time = datetime.fromtimestamp(time_ms / 1000, timezone.utc)  # noqa: SLF001
        updater.refresh()
    return updater


def _begun(folder: Path, root: bytes, fetcher: FetcherInterface) -> Updater:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return Updater(str(folder), f"{METADATA}/", fetcher=fetcher, config=_LIMITS, bootstrap=root)
    except exceptions.RepositoryError as error:
        message = f"cannot use the provisioned root of trust: {_line(error)}, expected root metadata"
        raise ConfigError(message, remedy="provision root.json again, see [updates] trust", code="trust") from error


class _Fetcher(FetcherInterface):
    """python-tuf's requests, by our transport. It ends the search for newer roots at 403 or 404 alone."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Give a file, whole and in memory: metadata is small, and bounded."""
        try:
            content = read_whole(self._transport, url, max_length)
        except AbsentError as error:
            missing = f"no {url}"
            raise exceptions.DownloadHTTPError(missing, 404) from error
        yield BytesIO(content)

    def _fetch(self, url: str) -> Iterator[bytes]:
        raise NotImplementedError(url)  # download_file stands in its place


class _Cached(_Fetcher):
    """Answers as a repository would that has nothing newer than what is here: so the client judges without a network."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Give what is here already, and no newer root."""
        name = _VERSIONED.sub("", url.removeprefix(f"{METADATA}/"))
        if name == "root.json" or not (self._folder / name).is_file():
            missing = f"no {url} without a network"
            raise exceptions.DownloadHTTPError(missing, 404)
        yield BytesIO((self._folder / name).read_bytes()[:max_length])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


_MEANINGS: tuple[tuple[type[Exception], str, str], ...] = (
    (exceptions.ExpiredMetadataError, "metadata-expired", "sign and publish the repository again, or set the clock"),
    (exceptions.BadVersionNumberError, "rollback-attack", "look who serves old metadata"),
    (exceptions.UnsignedMetadataError, "unsigned", "look who serves it, or sign it again"),
    (exceptions.DownloadLengthMismatchError, "endless-data", "look who serves it"),
    (exceptions.RepositoryError, "tampered", "look who serves it"),
    (exceptions.DownloadError, "network", "look at the network and the server"),
    (OSError, "disk", "look at the disk of the state directory"),
)


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except EdgedError:
        raise
    except Exception as error:  # the client lets through what its parsers raise, too
        code, remedy = next(
            ((code, remedy) for kind, code, remedy in _MEANINGS if isinstance(error, kind)), ("tampered", "")
        )
        message = f"cannot use the repository's metadata: {_line(error)}, expected it signed and valid"
        raise RetryableError(message, remedy=remedy, code=code) from error
