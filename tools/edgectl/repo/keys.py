"""Ed25519 keys in files, ``ROLE-KEYID.pem``: made, read, and never beside what a web server hands out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from edged.domain.errors import ConfigError

SUFFIX = ".pem"
KEYID_CHARS = 12
_MODE = 0o600


def make_key(folder: Path, role: str, passphrase: bytes | None = None) -> CryptoSigner:
    """Make a key for a role and write it, readable by its owner alone, encrypted when there is a passphrase."""
    private = Ed25519PrivateKey.generate()
    signer = CryptoSigner(private)
    content = private.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = folder / f"{role}-{signer.public_key.keyid[:KEYID_CHARS]}{SUFFIX}"
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as stream:
        stream.write(content)
    return signer


def read_keys(folders: Iterable[Path], role: str = "", passphrase: bytes | None = None) -> dict[str, CryptoSigner]:
    """Give the keys that lie in folders, by key id; of one role, or all.

    Raises ConfigError when one cannot be read: a passphrase that is missing or wrong, or no key at all.
    """
    files = sorted(file for folder in folders for file in folder.glob(f"{role}{'-' if role else ''}*{SUFFIX}"))
    signers = [read_key(file, passphrase) for file in files]
    return {signer.public_key.keyid: signer for signer in signers}


def read_key(file: Path, passphrase: bytes | None = None) -> CryptoSigner:
    """Give the key in a file. Raises ConfigError as ``read_keys``."""
    try:
        content = file.read_bytes()
        private = load_pem_private_key(content, passphrase if b"ENCRYPTED" in content else None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"cannot read key {file}: {' '.join(str(error).split())}, expected a private key in PEM"
        raise ConfigError(message, remedy="name its passphrase with --passphrase-file, if it has one") from error
    if not isinstance(private, Ed25519PrivateKey):
        message = f"cannot use key {file}: it is of another kind, expected Ed25519"
        raise ConfigError(message)
    return CryptoSigner(private)
