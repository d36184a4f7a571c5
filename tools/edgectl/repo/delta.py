"""Makes the smaller of two differences between a release's file and one that boxes have; ``edged.update.delta`` says what they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import zstandard

from edged.update.archive import Entry, entries
from edged.update.delta import BLOCK_BYTES, HEAD, MAGIC, MAX_PATCH_BYTES, PATCH, TDIFF, WIDTHS
from edged.update.lanes import difference

LEVEL, QUICK_LEVEL = 19, 3
"""Level 3 overlooks what level 19 finds: 59 % instead of 6 % of a network whose last layer changed."""
WORTH = 0.6
"""A delta of more of the whole file is not offered: the whole one always works."""


def make(base: Path, result: Path) -> bytes | None:
    """Give the smaller delta, or None when it is not worth it. Both files are packed bundles. Raises BundleError for others."""
    old, new = base.read_bytes(), result.read_bytes()
    found = [_tdiff(old, new, base.name, result.name)]
    if len(old) + len(new) <= MAX_PATCH_BYTES:
        found.append(_patch(old, new))
    smallest = min(found, key=len)
    return smallest if len(smallest) < WORTH * len(new) else None


def _packed(head: dict[str, Any], body: bytes) -> bytes:
    told = json.dumps(head, separators=(",", ":")).encode()
    return MAGIC + HEAD.pack(len(told)) + told + body


def _patch(old: bytes, new: bytes) -> bytes:
    whole = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    window = max(10, (len(old) + len(new) - 1).bit_length())
    settings = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, window_log=window, enable_ldm=True, source_size=len(new), dict_size=len(old)
    )
    return _packed(
        {"format": PATCH}, zstandard.ZstdCompressor(dict_data=whole, compression_params=settings).compress(new)
    )


def _tdiff(old: bytes, new: bytes, old_name: str, new_name: str) -> bytes:
    before = {entry.path: entry for entry in entries(BytesIO(old), old_name)}
    pieces = list(_pieces(old, new, before, entries(BytesIO(new), new_name)))
    body = zstandard.ZstdCompressor(level=LEVEL).compress(b"".join(content for _, content in pieces))
    return _packed({"format": TDIFF, "segments": [segment for segment, _ in pieces]}, body)


def _pieces(
    old: bytes, new: bytes, before: dict[PurePosixPath, Entry], after: tuple[Entry, ...]
) -> Iterator[tuple[list[Any], bytes]]:
    """Cut the new file into segments, each with what the body holds of it."""
    at = 0
    for entry in after:
        partner = before.get(entry.path)
        if partner is None or partner.size != entry.size or not entry.size:
            continue
        if entry.offset > at:
            yield ["raw", entry.offset - at], new[at : entry.offset]
        base, content = (data[one.offset :][: one.size] for data, one in ((old, partner), (new, entry)))
        width, body = _best(base, content)
        yield (["diff", entry.size, partner.offset, width], body) if width else (["raw", entry.size], content)
        at = entry.offset + entry.size
    if at < len(new):
        yield ["raw", len(new) - at], new[at:]


def _best(base: bytes, content: bytes) -> tuple[int, bytes]:
    """Give the width whose differences compress best, and those; 0 and nothing when the content itself does better."""
    quick = zstandard.ZstdCompressor(level=QUICK_LEVEL)
    width, body, least = 0, b"", len(quick.compress(content))
    for each in WIDTHS:
        if len(content) % each:
            continue
        differing = b"".join(_differences(base, content, each))
        size = len(quick.compress(differing))
        if size < least:
            width, body, least = each, differing, size
    return width, body


def _differences(base: bytes, content: bytes, width: int) -> Iterator[bytes]:
    for at in range(0, len(content), BLOCK_BYTES):
        yield difference(base[at : at + BLOCK_BYTES], content[at : at + BLOCK_BYTES], width)
