"""What the configuration keeps out of itself: passwords and tokens, each in a file of its own."""

from __future__ import annotations

from pathlib import Path

from edged.domain.errors import DeviceError

MAX_SECRET_CHARS = 16_384
"""Longer than any password or token; four bytes each, still what MQTT can carry."""


def secret(file: Path | None) -> str | None:
    """Read a secret from its file; a line end behind it does not count. Raises DeviceError when it is not there.

    It may come later (a credential that another unit provides, a disk that is mounted late): who needs it tries again.
    """
    if file is None:
        return None
    try:
        with file.open(encoding="utf-8", newline="") as content:
            text = content.read(MAX_SECRET_CHARS + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = str(error)
    else:
        if len(text) <= MAX_SECRET_CHARS:
            return text.rstrip("\r\n")
        reason = f"it has more than {MAX_SECRET_CHARS} characters"
    message = f"cannot read the secret in {file}: {reason}, expected a readable UTF-8 file"
    raise DeviceError(
        message, remedy="put it there, or let edged read it; edged tries again", code="credential-missing"
    )
