"""Somebody whom a folder is closed to, whoever runs the tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65_534


@contextmanager
def closed_to(folder: Path) -> Iterator[None]:
    """Close ``folder`` to the one who looks: its owner has no right to it, and root, whom nothing stops, looks as nobody."""
    mode, user = folder.stat().st_mode, os.geteuid()
    folder.chmod(0)
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(mode)
