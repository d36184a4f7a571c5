"""Pictures kept on the box: a folder that never grows past its bounds, the oldest going first."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

from edged.telemetry import logs

MAX_FILES = 1000
MAX_BYTES = 200 * 1024 * 1024
"""A thousand pictures of 1080p. A box's disk belongs to its models and its outbox."""
SUFFIX, PART = ".jpg", ".part"

_LOG = logging.getLogger("edged.album")


class Album:
    """One pipeline's folder. Names sort by time. Owned by one thread.

    A picture is no state that a power cut must spare: it is written beside and renamed, but not forced to the disk.
    """

    def __init__(self, folder: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._kept: deque[tuple[Path, int]] | None = None
        self._bytes = 0
        self.failures = 0

    def __repr__(self) -> str:
        kept = "not opened" if self._kept is None else f"{len(self._kept)} pictures, {self._bytes} bytes"
        return f"<Album {self._folder}: {kept}, {self.failures} failures>"

    def add(self, name: str, data: bytes) -> Path | None:
        """Keep a picture as ``name``.jpg and let the oldest go; None, counted and logged, when the disk refuses."""
        try:
            kept = self._opened()
            path = self._folder / f"{name}{SUFFIX}"
            part = path.with_suffix(PART)
            part.write_bytes(data)
            part.replace(path)
            kept.append((path, len(data)))
            self._bytes += len(data)
            self._thin(kept)
        except OSError as error:
            self.failures += 1
            logs.event(_LOG, "snapshot.failed", level=logging.WARNING, folder=str(self._folder), reason=error.strerror)
            return None
        return path

    def _opened(self) -> deque[tuple[Path, int]]:
        if self._kept is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left_over in self._folder.glob(f"*{PART}"):
                left_over.unlink(missing_ok=True)
            found = sorted(self._folder.glob(f"*{SUFFIX}"))
            self._kept = deque((path, path.stat().st_size) for path in found)
            self._bytes = sum(size for _, size in self._kept)
        return self._kept

    def _thin(self, kept: deque[tuple[Path, int]]) -> None:
        while len(kept) > self._max_files or (self._bytes > self._max_bytes and len(kept) > 1):
            path, size = kept[0]
            path.unlink(missing_ok=True)
            kept.popleft()
            self._bytes -= size
