from __future__ import annotations

import ctypes
import mmap
import os
import platform
import subprocess
import sys
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


SMAPS = """\
7f10-7f20 r-xp 00000000 08:01 11 /usr/lib/libwhole.so
Rss:                 500 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7f20-7f28 r--p 00010000 08:01 11 /usr/lib/librelocated.so
Anonymous:             4 kB
Swap:                  0 kB
7f28-7f30 r--p 00000000 08:01 15 /var/lib/models/net.tflite
Anonymous:             0 kB
Swap:                  0 kB
7f30-7f40 rw-p 00020000 08:01 11 /usr/lib/libdata.so
Anonymous:             0 kB
Swap:                  0 kB
7f40-7f50 r--s 00000000 08:01 12 /usr/lib/shared.so
Anonymous:             0 kB
Swap:                  0 kB
7f50-7f60 r--p 00000000 00:06 13 /dev/video0
Anonymous:             0 kB
Swap:                  0 kB
7f60-7f70 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
Swap:                  0 kB
7f70-7f80 r--p 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
7f80-7f90 r--p 00000000 08:01 14 /opt/a folder/with spaces.so (deleted)
Anonymous:             0 kB
Swap:                  0 kB
7f90-7fa0 r--p 00010000 08:01 11 /usr/lib/libswapped.so
Anonymous:             0 kB
Swap:                 12 kB
"""


def test_only_what_a_library_brings_back_unchanged_counts_as_untouched() -> None:
    assert list(heap.untouched(SMAPS.splitlines())) == ["7f10-7f20", "7f80-7f90"]


def test_a_library_runs_on_after_its_pages_were_given_back(tmp_path: Path) -> None:
    code = (
        "import sqlite3, decimal, os, sys; from edged.hardware import heap\n"
        "resident = lambda: int(open('/proc/self/statm').read().split()[1])\n"
        "before = resident(); heap.drop_library_pages(); given_back = before - resident()\n"
        "answer = sqlite3.connect(':memory:').execute('SELECT 6 * 7').fetchone()[0]\n"
        "print(answer, decimal.Decimal('0.1') + 1, given_back * os.sysconf('SC_PAGE_SIZE') > 1e6)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout.split(), done.stderr) == (["42", "1.1", "True"], "")


def test_without_the_kernels_table_nothing_is_given_back(tmp_path: Path) -> None:
    assert heap._lines_of(tmp_path / "smaps") == []
