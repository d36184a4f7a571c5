from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from edged.hardware.process import ProcessProbe, Usage, serving_mb

MORE_BYTES = 50_000_000


def test_it_reads_what_this_process_takes(tmp_path: Path) -> None:
    usage = ProcessProbe(tmp_path)()
    assert usage.memory_mb is not None
    assert usage.memory_mb > 5
    assert usage.threads is not None
    assert usage.threads >= 1
    assert usage.disk_free_mb is not None


def test_a_childs_memory_counts_too(tmp_path: Path) -> None:
    with python("input()"):
        with_child = ProcessProbe(tmp_path)().memory_mb
    alone = ProcessProbe(tmp_path)().memory_mb
    assert with_child is not None
    assert alone is not None
    assert with_child > alone


@contextmanager
def python(code: str, nice: int = 0) -> Iterator[None]:
    """Run a child until the end of the block, with an interpreter's memory and some more, from when it has that."""
    command = [
        sys.executable,
        "-c",
        f"import os; os.nice({nice}); more = b'x' * {MORE_BYTES}; print(flush=True); {code}",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        yield
        child.communicate(b"\n")


@pytest.mark.parametrize(("steps_back", "counts"), [(False, True), (True, False)])
def test_of_what_serves_a_child_that_takes_what_is_left_over_is_no_part(steps_back: bool, counts: bool) -> None:
    before_mb = serving_mb()
    with python("input()", nice=steps_back * 19):
        with_child_mb = serving_mb()
    assert before_mb is not None
    assert with_child_mb is not None
    assert (with_child_mb - before_mb > MORE_BYTES / 2**20 - 10) == counts


def test_a_disk_that_is_not_there_is_unknown() -> None:
    assert ProcessProbe(Path("/nowhere/at/all"))().disk_free_mb is None


def test_a_process_that_sees_nothing_of_itself_reads_nothing_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = tmp_path / "proc"
    hidden.mkdir()
    probe = ProcessProbe(tmp_path)
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(hidden))  # psutil's own setting
    usage = probe()
    assert (usage.memory_mb, usage.disk_free_mb is None) == (None, False)
    assert ProcessProbe(tmp_path)() == Usage(disk_free_mb=ProcessProbe(tmp_path)().disk_free_mb)
