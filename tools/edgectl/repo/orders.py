"""Signs what a box or a group shall run, with the keys of the role ``desired``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from edgectl.repo.keys import read_keys
from edged.domain.errors import ConfigError
from edged.fleet.places import DESIRED
from edged.update.desired import PAYLOAD_TYPE, parse


def sign_order(payload: bytes, keys: Path, passphrase: bytes | None = None) -> bytes:
    """Give an order in its envelope, signed by every key of the role ``desired`` that lies in the folder ``keys``.

    Raises RejectedError when no box would take the payload, ConfigError when there is no key.
    """
    parse(payload)
    signers = read_keys([keys], DESIRED, passphrase)
    if not signers:
        message = f"cannot sign an order: no key of {DESIRED!r} in {keys}, expected one"
        raise ConfigError(message, remedy="edgectl repo init makes one; it may have been moved")
    return seal(payload, PAYLOAD_TYPE, signers.values())


def seal(payload: bytes, payload_type: str, signers: Iterable[CryptoSigner]) -> bytes:
    """Put a document into an envelope and sign it."""
    envelope = Envelope(payload, payload_type, {})
    for signer in signers:
        envelope.sign(signer)
    return json.dumps(envelope.to_dict()).encode()
