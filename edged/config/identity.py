"""A name for a box that nobody named."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

_PURPOSE = b"edged device id, version 1"
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")


def device_id(root: Path) -> str | None:
    """Give an id that is this machine's for good, or None where ``etc/machine-id`` below ``root`` holds none.

    machine-id(5) asks that the machine's id itself is never shown on a network, and to derive from it by a keyed hash
    instead; this is HMAC-SHA256 with the machine's id as the key. 48 bits of it make a name that can be read out loud.
    """
    try:
        text = (root / "etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    # An image that has not booted yet says "uninitialized", or nothing.
    if not _MACHINE_ID.fullmatch(text):
        return None
    return f"edged-{hmac.digest(bytes.fromhex(text), _PURPOSE, 'sha256').hex()[:12]}"
