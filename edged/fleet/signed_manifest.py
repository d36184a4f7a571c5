"""The small profile: one manifest, signed with Ed25519, names every file. For bring-up, USB sticks and boxes of 64 MB.

No rotation of keys and no roles: a stolen key is the end of it. What it promises otherwise is what a whole repository promises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error
from securesystemslib.signer import Key, SSlibKey

from edged.domain.artefact import SHA256
from edged.domain.errors import ConfigError, RejectedError, RetryableError
from edged.domain.strict import read_json, unix_ms
from edged.fleet.envelope import read_envelope
from edged.fleet.fetch import AbsentError, Transport, Wanted, read_whole
from edged.fleet.places import TARGETS, Offered, fingerprint
from edged.fleet.synced import replace_synced

TRUST_SCHEMA, SCHEMA = "edged.trust/1", "edged.manifest/1"
PAYLOAD_TYPE = "application/vnd.edged.manifest+json"
NAME = "manifest.json"
MAX_BYTES = 144 * 1024
MAX_DEPTH = 8


class SignedManifest:
    """Stands in for ``edged.fleet.repository.Repository``, and raises what it raises."""

    def __init__(
        self, folder: Path, trust: bytes, transport: Transport, time_ms: int, audiences: Sequence[Mapping[str, str]]
    ) -> None:
        """``trust`` is an ``edged.trust/1`` file; ``audiences`` are the box's own, such as ``{"device": "press-07"}``."""
        self.stale = ""
        self._keys, self._threshold = read_trust(trust)
        content = self._content(folder, transport)
        self._manifest = self._verified(content)
        self._hold(audiences, time_ms)
        if not self.stale:
            replace_synced(folder / NAME, content)

    def seen(self) -> dict[str, tuple[int, str]]:
        """Give its number, and a fingerprint of the keys that vouch for it."""
        return {"manifest": (self._manifest["seq"], fingerprint(self._keys, self._threshold))}

    def until_ms(self) -> int:
        """Give when it ends, in Unix time."""
        return unix_ms(self._manifest.get("not_after")) or 0

    def verify(self, envelope: bytes, payload_type: str) -> bytes:
        """Give what the keys signed. Raises RejectedError, code ``signature``."""
        found = read_envelope(envelope, payload_type)
        try:
            self._check(found)
        except (Error, ValueError) as error:
            message = f"cannot follow an order: {_line(error)}, expected a signature by a key of [updates] trust"
            raise RejectedError(message, code="signature") from error
        return found.payload

    def offered(self, name: str) -> Offered:
        """Look a file up. Raises RejectedError, code ``not-offered``."""
        entry = self._manifest["files"].get(name)
        if entry is None:
            message = f"cannot fetch {name}: the manifest does not list it, expected it signed"
            raise RejectedError(message, code="not-offered")
        digest, length = entry.get("sha256"), entry.get("length")
        if not isinstance(digest, str) or not SHA256.fullmatch(digest) or not isinstance(length, int):
            message = f"cannot fetch {name}: the manifest tells no digest and length of it, expected both"
            raise RejectedError(message, code="not-offered")
        custom = entry.get("custom")
        return Offered(Wanted(f"{TARGETS}/{digest}.{name}", length, digest), custom if isinstance(custom, dict) else {})

    def _content(self, folder: Path, transport: Transport) -> bytes:
        try:
            return read_whole(transport, NAME, MAX_BYTES)
        except AbsentError as error:
            message = f"cannot find {NAME} in the repository, expected one signed manifest"
            raise RetryableError(message, remedy="edgectl repo manifest writes one", code="network") from error
        except RetryableError as error:
            if error.code != "network" or not (folder / NAME).exists():
                raise
            self.stale = str(error.args[0])
            return (folder / NAME).read_bytes()

    def _check(self, envelope: Envelope) -> None:
        envelope.verify(list(self._keys.values()), self._threshold)

    def _verified(self, content: bytes) -> dict[str, Any]:
        try:
            envelope = read_envelope(content, PAYLOAD_TYPE)
            self._check(envelope)
            return _document(envelope.payload)
        except RejectedError as error:
            raise RetryableError(str(error.args[0]), remedy="look who serves it", code="tampered") from error
        except Error as error:
            message = f"cannot use the manifest: {_line(error)}, expected it signed by a key of [updates] trust"
            raise RetryableError(message, remedy="look who serves it, or sign it again", code="unsigned") from error
        except (ValueError, KeyError, TypeError) as error:
            message = f"cannot use the manifest: {_line(error)}, expected {SCHEMA}"
            raise RetryableError(message, code="tampered") from error

    def _hold(self, audiences: Sequence[Mapping[str, str]], time_ms: int) -> None:
        until_ms = unix_ms(self._manifest.get("not_after"))
        if until_ms is None or time_ms >= until_ms:
            message = f"cannot use the manifest: it ended at {self._manifest.get('not_after')!r}, expected one that is still valid"
            raise RetryableError(message, remedy="sign it again, or set the clock", code="metadata-expired")
        wanted = self._manifest.get("for")
        if not isinstance(wanted, list) or not any(audience in wanted for audience in audiences):
            message = f"cannot use the manifest: it is for {ascii(wanted)[:80]}, expected this device or a group of its"
            raise RetryableError(message, code="other-audience")


def read_trust(content: bytes) -> tuple[dict[str, Key], int]:
    """Read the keys, and how many of them must sign. Raises ConfigError."""
    try:
        return _trust(read_json(content, MAX_DEPTH))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"cannot use the keys of trust: {_line(error)}, expected {TRUST_SCHEMA}"
        raise ConfigError(message, remedy="provision them again, see [updates] trust", code="trust") from error


def _trust(document: Any) -> tuple[dict[str, Key], int]:
    if document["schema"] != TRUST_SCHEMA:
        message = f"its schema is {document['schema']!r}"
        raise ValueError(message)
    keys: dict[str, Key] = {
        keyid: SSlibKey(keyid, "ed25519", "ed25519", {"public": public}) for keyid, public in document["keys"].items()
    }
    threshold = document["threshold"]
    if not 1 <= threshold <= len(keys):
        message = f"threshold {threshold} of {len(keys)} keys"
        raise ValueError(message)
    return keys, threshold


def _document(payload: bytes) -> dict[str, Any]:
    document = read_json(payload, MAX_DEPTH)
    if document["schema"] != SCHEMA or not isinstance(document["seq"], int):
        message = f"it is no {SCHEMA}"
        raise ValueError(message)
    return {**document, "files": dict(document["files"])}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
