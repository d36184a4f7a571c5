"""Answers requests for blocks out of a repository's folder: what ``edgectl fleet serve`` does between two messages."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from edged.domain.strict import read_json
from edged.fleet.blocks import ABSENT, BLOCK_BYTES, GET_SCHEMA, OK, Block
from edged.fleet.fetch import AbsentError
from edged.fleet.folder import inside

MAX_REQUEST_BYTES = 4096
MAX_DEPTH = 2
MAX_NAME = 512
_ADDRESSED = re.compile(r"[0-9a-f]{64}\.")
_DIGEST_CHARS = 16


def answer(folder: Path, request: bytes) -> Block | None:
    """Give the block that a request asks for; status 404 when there is no such file; None for what is no request.

    It goes on ``in/file`` of the device on whose ``out/get`` the request came, and nowhere else: only that topic was checked by the broker.
    """
    try:
        if len(request) > MAX_REQUEST_BYTES:
            return None
        return _answer(folder, read_json(request, MAX_DEPTH))
    except (ValueError, KeyError, TypeError, OSError):
        return None


def _answer(folder: Path, wanted: Any) -> Block | None:
    name, file, offset, length = (wanted[key] for key in ("id", "file", "offset", "length"))
    if wanted["schema"] != GET_SCHEMA or not isinstance(name, str) or not isinstance(file, str):
        return None
    if len(name) > MAX_NAME or len(file) > MAX_NAME or offset < 0 or not 0 < length <= BLOCK_BYTES:
        return None
    try:
        place = inside(folder, file)
    except AbsentError:
        return Block(name, file, offset, 0, ABSENT, "", b"")
    about = place.stat()
    with place.open("rb") as stream:
        stream.seek(offset)
        content = stream.read(length)
    return Block(name, file, offset, about.st_size, OK, _tag(place.name, about), content)


def _tag(name: str, about: os.stat_result) -> str:
    # Several servers answer for one repository: a file that is named by its digest is the same on all of them, whenever it was copied.
    return name[:_DIGEST_CHARS] if _ADDRESSED.match(name) else f"{about.st_size}-{about.st_mtime_ns}"
