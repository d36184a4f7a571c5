"""A child on this interpreter, with one of edged's own programs."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

from edged.hardware.libraries import SURROUNDINGS

ELSEWHERE = "/"
"""In its working directory Python would look for modules first."""


def start_child(program: str, *words: str, stdin: int, log: IO[bytes], bufsize: int = -1) -> subprocess.Popen[bytes]:
    """Start it; it imports what this process can, and says on ``log`` what goes to standard error. Raises OSError as ``Popen`` does."""
    return subprocess.Popen(  # noqa: S603 - our own interpreter, with our own words
        [sys.executable, "-c", program, *words],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=ELSEWHERE,
        env={**SURROUNDINGS, **os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        # A group of its own: a Ctrl-C at the terminal is not for it, and whatever it starts ends with it.
        start_new_session=True,
        bufsize=bufsize,
    )
