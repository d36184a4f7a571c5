"""Keeps off the terminal what a runtime's own code writes there when it opens a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hushed() -> Iterator[None]:
    """Lead standard error to nowhere meanwhile, that of this whole process; errors are raised, not written."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
