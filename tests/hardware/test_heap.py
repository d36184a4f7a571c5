from __future__ import annotations

import ctypes
import mmap
import os
import platform
from pathlib import Path

import pytest

from edged.hardware import heap

BLOCK_BYTES, BLOCKS = 64 * 1024, 512


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, whose heap this is about")
def test_trimming_gives_freed_memory_back_to_the_box() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [libc.malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK_BYTES)
    # The last block stays: it lies above the others and keeps glibc from giving them back by itself.
    for block in blocks[:-1]:
        libc.free(block)
    before = _resident_bytes()
    heap.trim()
    given_back = before - _resident_bytes()
    libc.free(blocks[-1])
    assert given_back > BLOCK_BYTES * BLOCKS / 2


def test_the_number_of_arenas_can_be_bounded_again_and_again() -> None:
    heap.limit_arenas()
    heap.limit_arenas()


def test_a_c_library_without_such_functions_is_left_alone() -> None:
    assert heap._find("there_is_no_such_function") is None


def test_the_pages_of_a_mapped_file_are_given_back_and_can_be_read_again(tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(bytes(range(256)) * 4096 * 8)
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
        checksum = sum(mapped[:: mmap.PAGESIZE])
        before = _resident_bytes()
        heap.drop_file_pages(file)
        assert before - _resident_bytes() > file.stat().st_size / 2
        assert sum(mapped[:: mmap.PAGESIZE]) == checksum


def test_a_file_that_is_not_mapped_has_no_pages_to_give_back(tmp_path: Path) -> None:
    heap.drop_file_pages(tmp_path / "nothing")
