"""A file made from another one and what differs: less to send, and of no trust at all, since the result must have the signed digest.

MAGIC, the length of a JSON head (4 bytes, big-endian), the head, and a body compressed by Zstandard. Two formats:

``tdiff1``      the head's ``segments`` in their order: ``["raw", length]`` is in the body as it is; ``["diff", length, offset, width]`` is
                the difference to ``length`` bytes of the base at ``offset``, as integers of ``width`` bytes (``edged.update.lanes``), in
                blocks of ``BLOCK_BYTES``. Streamed: what it needs of memory does not depend on the files.
``zstd-patch``  one Zstandard frame whose dictionary is the whole base, which has to be in memory together with the result.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import zstandard

from edged.domain.errors import BundleError
from edged.domain.strict import read_json
from edged.update.lanes import added

MAGIC = b"EDELTA1\n"
TDIFF, PATCH = "tdiff1", "zstd-patch"
BLOCK_BYTES = 64 * 1024
MAX_HEAD_BYTES = 512 * 1024
MAX_DEPTH = 4
MAX_WINDOW_BYTES = 8 * 1024**2
"""What a streamed body may ask of memory: the window of level 19."""
MAX_PATCH_BYTES = 24 * 1024**2
"""Base and result together: with what Python takes, the child stays within its 50 MB."""
WIDTHS = (1, 2, 4)
HEAD = struct.Struct(">I")


def apply(delta: Path, base: Path, result: Path, length: int) -> str:
    """Write ``result`` and give its SHA-256. No more than ``length`` bytes are written, whatever the file says.

    Raises BundleError, code ``delta``: it is damaged, does not fit the base, or wants too much.
    """
    try:
        with delta.open("rb") as stream, base.open("rb") as held, result.open("wb") as written:
            head = _read_head(stream)
            pieces = _PIECES[head["format"]](stream, held, head, length)
            return _written(pieces, written, length)
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error, zstandard.ZstdError) as error:
        message = (
            f"cannot apply {delta.name}: {' '.join(str(error).split())[:160]}, expected a delta that fits its base"
        )
        raise BundleError(message, code="delta") from error


def _read_head(stream: IO[bytes]) -> dict[str, Any]:
    if stream.read(len(MAGIC)) != MAGIC:
        message = "it does not begin as one"
        raise ValueError(message)
    (size,) = HEAD.unpack(stream.read(HEAD.size))
    if size > MAX_HEAD_BYTES:
        message = f"a head of {size} bytes"
        raise ValueError(message)
    head = read_json(stream.read(size), MAX_DEPTH)
    return dict(head)


def _written(pieces: Iterator[bytes], written: IO[bytes], length: int) -> str:
    digest, left = hashlib.sha256(), length
    for piece in pieces:
        if len(piece) > left:
            message = f"more than the signed {length} bytes come of it"
            raise ValueError(message)
        left -= len(piece)
        digest.update(piece)
        written.write(piece)
    return digest.hexdigest()


def _streamed(stream: IO[bytes], base: IO[bytes], head: dict[str, Any], _length: int) -> Iterator[bytes]:
    body = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).stream_reader(stream)
    for kind, length, *where in head["segments"]:
        if kind == "raw":
            yield from _blocks(body, length)
        else:
            offset, width = where
            if width not in WIDTHS or offset < 0 or length % width:
                message = f"a segment of {length} bytes of width {width} at {offset}"
                raise ValueError(message)
            base.seek(offset)
            for planes in _blocks(body, length):
                yield added(_exactly(base, len(planes)), planes, width)


def _blocks(body: Any, length: int) -> Iterator[bytes]:
    while length > 0:
        block = _exactly(body, min(BLOCK_BYTES, length))
        length -= len(block)
        yield block


def _exactly(stream: Any, size: int) -> bytes:
    block = b""
    while len(block) < size:
        piece = stream.read(size - len(block))
        if not piece:
            message = f"it ends {size - len(block)} bytes early"
            raise ValueError(message)
        block += piece
    return block


def _patched(stream: IO[bytes], base: IO[bytes], _head: dict[str, Any], length: int) -> Iterator[bytes]:
    size = base.seek(0, 2)
    if size + length > MAX_PATCH_BYTES:
        message = f"base and result are {size + length} bytes, more than {MAX_PATCH_BYTES}"
        raise ValueError(message)
    base.seek(0)
    whole = zstandard.ZstdCompressionDict(base.read(), dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    # The window reaches over the base and the result; more than both would be somebody's wish for memory.
    reader = zstandard.ZstdDecompressor(dict_data=whole, max_window_size=_power_of_two(size + length))
    with reader.stream_reader(stream) as body:
        while block := body.read(BLOCK_BYTES):
            yield block


def _power_of_two(size: int) -> int:
    return 1 << max(10, (size - 1).bit_length())


_PIECES = {TDIFF: _streamed, PATCH: _patched}
