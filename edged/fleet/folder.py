"""A repository in a folder: a USB stick, a share, or what another program has synchronised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edged.domain.errors import RetryableError
from edged.fleet.fetch import AbsentError, Reply

BLOCK_BYTES = 256 * 1024


class FolderTransport:
    """Files below ``folder``; no link leads out of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def read(self, path: str, offset: int = 0, tag: str = "") -> Iterator[Reply]:  # noqa: ARG002 - as Transport says
        """Open a file, as ``Transport`` says."""
        if not self._folder.is_dir():
            message = f"cannot read {path}: there is no folder {self._folder}, expected the repository"
            raise RetryableError(message, remedy="plug it in, or mount it", code="network")
        place = inside(self._folder, path)
        with _mapped(place):
            about, stream = place.stat(), place.open("rb")
        with stream:
            begin = offset if offset <= about.st_size else 0
            stream.seek(begin)
            yield Reply(begin, f"{about.st_size}-{about.st_mtime_ns}", _blocks(stream, place))


def _blocks(stream: IO[bytes], place: Path) -> Iterator[bytes]:
    while True:
        with _mapped(place):
            block = stream.read(BLOCK_BYTES)
        if not block:
            return
        yield block


@contextmanager
def _mapped(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot read {place}: {error.strerror}, expected a file of the repository"
        raise RetryableError(message, code="network") from error


def inside(folder: Path, path: str) -> Path:
    """Give a file's place below a folder. Raises AbsentError when there is none, or none that lies inside."""
    try:
        place = (folder / path).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise AbsentError(path) from error
    if not place.is_relative_to(folder.resolve()) or not place.is_file():
        raise AbsentError(path)
    return place
