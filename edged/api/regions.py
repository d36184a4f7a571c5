"""System shared memory: regions that clients of this machine register, and tensors that lie in them. Thread-safe.

Regions are read and written through their descriptor and never mapped: a client that makes its file shorter would kill, by SIGBUS,
who has it mapped. The copy of 600 KB takes 0.1 ms.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edged.api.refusal import RefusedError, invalid

FOLDER = Path("/dev/shm")  # noqa: S108 - where Linux keeps POSIX shared memory (shm_overview(7))
KEY = re.compile(r"/?[^/\0]{1,250}")
MOST_REGIONS = 64
MOST_READ_BYTES = 1 << 27
"""For one request: its inputs may all lie in one region, which is read for each of them."""


@dataclass(frozen=True, slots=True)
class Region:
    """``size`` bytes from ``offset`` of the shared memory object ``key``, open as ``descriptor``."""

    name: str
    key: str
    offset: int
    size: int
    descriptor: int


class Regions:
    """What is registered. ``folder`` is where shared memory objects are files."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder
        self._regions: dict[str, Region] = {}
        self._lock = threading.Lock()

    def register(self, name: str, key: Any, offset: Any, size: Any) -> None:
        """Open a region. Raises RefusedError when there is one of that name, or no such object that is long enough."""
        if not isinstance(key, str) or not KEY.fullmatch(key) or key.strip("/") in {".", "..", ""}:
            message = f"cannot register {name!r:.80}: its key is {key!r:.80}, expected a name such as '/input'"
            raise invalid(message)
        if not _is_whole(offset) or not _is_whole(size) or size == 0:
            message = f"cannot register {name!r:.80}: offset {offset!r:.20} and byte_size {size!r:.20}, expected whole numbers"
            raise invalid(message)
        with self._lock:
            if name in self._regions or len(self._regions) >= MOST_REGIONS:
                message = (
                    f"cannot register {name!r:.80}: it is registered, or {MOST_REGIONS} others are, expected a new one"
                )
                raise invalid(message)
            self._regions[name] = self._open(name, key, offset, size)

    def unregister(self, name: str = "") -> None:
        """Let a region go, or all of them. One that is not there is no fault, as in the protocol."""
        with self._lock:
            gone = [name] if name else list(self._regions)
            for region in [self._regions.pop(one) for one in gone if one in self._regions]:
                os.close(region.descriptor)

    def status(self, name: str = "") -> list[dict[str, Any]]:
        """Give what is registered. Raises RefusedError for a name that is not."""
        with self._lock:
            if name and name not in self._regions:
                raise _unknown(name)
            found = [self._regions[name]] if name else list(self._regions.values())
        return [{"name": one.name, "key": one.key, "offset": one.offset, "byte_size": one.size} for one in found]

    def read(self, name: Any, offset: Any, size: Any) -> memoryview:
        """Give a copy of ``size`` bytes from ``offset`` of a region. Raises RefusedError when they do not all lie there."""
        with self._lock:
            region = self._within(name, offset, size)
            found = os.pread(region.descriptor, size, region.offset + offset)
        if len(found) != size:
            message = f"cannot read shared memory {name!r:.80}: it holds {len(found)} bytes there, expected {size}"
            raise invalid(message)
        return memoryview(found)

    def write(self, name: Any, offset: Any, room: Any, body: bytes) -> None:
        """Put ``body`` at ``offset`` of a region, where there is ``room`` for so many bytes. Raises RefusedError when there is not."""
        with self._lock:
            region = self._within(name, offset, room)
            if len(body) > room:
                message = f"cannot write {len(body)} bytes to shared memory {name!r:.80}: there is room for {room}"
                raise invalid(message)
            # A file that is shorter by now would grow: not what was registered.
            if os.fstat(region.descriptor).st_size < region.offset + offset + len(body):
                message = f"cannot write to shared memory {name!r:.80}: it is shorter than it was"
                raise invalid(message)
            os.pwrite(region.descriptor, body, region.offset + offset)

    def _within(self, name: Any, offset: Any, size: Any) -> Region:
        if not isinstance(name, str) or name not in self._regions:
            raise _unknown(name)
        region = self._regions[name]
        if not _is_whole(offset) or not _is_whole(size) or offset + size > region.size:
            seen = f"offset {offset!r:.20} and size {size!r:.20}"
            message = f"cannot use shared memory {name!r:.80}: {seen}, expected them within {region.size} bytes"
            raise invalid(message)
        return region

    def _open(self, name: str, key: str, offset: int, size: int) -> Region:
        try:
            descriptor = os.open(
                self._folder / key.lstrip("/"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            )
        except OSError as error:
            message = f"cannot register {name!r:.80}: shared memory {key!r:.80}: {error.strerror}"
            raise invalid(message) from error
        length = os.fstat(descriptor).st_size
        if length < offset + size:
            os.close(descriptor)
            message = f"cannot register {name!r:.80}: {key!r:.80} has {length} bytes, expected {offset + size}"
            raise invalid(message)
        return Region(name, key, offset, size, descriptor)


class Reader:
    """Reads the tensors of one request, which are so many bytes together at most."""

    def __init__(self, regions: Regions) -> None:
        self._regions, self._left = regions, MOST_READ_BYTES

    def read(self, name: Any, offset: Any, size: Any) -> memoryview:
        """Give a copy, as ``Regions.read`` does. Raises RefusedError."""
        self._left -= size if _is_whole(size) else 0
        if self._left < 0:
            message = f"cannot read inputs from shared memory: they are more than {MOST_READ_BYTES} bytes together"
            raise invalid(message)
        return self._regions.read(name, offset, size)


def of_parameters(parameters: Mapping[str, Any]) -> tuple[Any, Any, Any] | None:
    """Give region, offset and size of a tensor that lies in shared memory; None of one that does not."""
    region = parameters.get("shared_memory_region")
    if region is None:
        return None
    return region, parameters.get("shared_memory_offset", 0), parameters.get("shared_memory_byte_size")


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 48


def _unknown(name: Any) -> RefusedError:
    return RefusedError(f"cannot find shared memory region {name!r:.80}, expected one that is registered", "invalid")
