"""The small profile: one signed manifest for a stick, a bench, or a box of 64 MB. One key, no roles, no rotation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from edgectl.bundle.pack import pack, unpacked
from edgectl.repo.orders import seal
from edged.fleet.places import TARGETS
from edged.fleet.signed_manifest import NAME, PAYLOAD_TYPE, SCHEMA, TRUST_SCHEMA
from edged.fleet.synced import replace_synced
from edged.update.desired import Audience


@dataclass(frozen=True, slots=True)
class Validity:
    """From when, and for how many days."""

    now: datetime
    days: float

    def told(self) -> dict[str, str]:
        """Write both ends as documents carry them."""
        end = self.now + timedelta(days=self.days)
        return {"issued": f"{self.now:%Y-%m-%dT%H:%M:%SZ}", "not_after": f"{end:%Y-%m-%dT%H:%M:%SZ}"}


def trust_of(signers: Iterable[CryptoSigner], threshold: int = 1) -> bytes:
    """Give the file that a box is provisioned with: ``[updates] trust``."""
    keys = {one.public_key.keyid: one.public_key.keyval["public"] for one in signers}
    return json.dumps({"schema": TRUST_SCHEMA, "threshold": threshold, "keys": keys}, indent=1).encode()


def write_manifest(
    folder: Path,
    places: Sequence[Path],
    signer: CryptoSigner,
    audiences: Iterable[Audience],
    validity: Validity,
) -> int:
    """Write bundles and the manifest that names them to a folder; gives the manifest's number, one above the one that was there."""
    files = dict(_stored(folder, place) for place in places)
    number = _number(folder / NAME) + 1
    document = {
        "schema": SCHEMA,
        "seq": number,
        **validity.told(),
        "for": [{one.kind: one.name} for one in audiences],
        "files": files,
    }
    replace_synced(folder / NAME, seal(json.dumps(document).encode(), PAYLOAD_TYPE, [signer]))
    return number


def _stored(folder: Path, place: Path) -> tuple[str, dict[str, Any]]:
    with TemporaryDirectory(prefix="edgectl-repo-") as scratch, unpacked(place) as bundle:
        file = pack(bundle, Path(scratch))
        content, manifest = file.read_bytes(), bundle.manifest
    digest = hashlib.sha256(content).hexdigest()
    replace_synced(folder / TARGETS / f"{digest}.{file.name}", content)
    custom = {"name": manifest.name, "version": manifest.version, "license": manifest.license}
    return file.name, {"length": len(content), "sha256": digest, "custom": custom}


def _number(file: Path) -> int:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads(Envelope.from_dict(json.loads(file.read_bytes())).payload)["seq"])
    return 0
