from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from edged.hardware.process import ProcessProbe, Usage


def test_it_reads_what_this_process_takes(tmp_path: Path) -> None:
    usage = ProcessProbe(tmp_path)()
    assert usage.memory_mb is not None
    assert usage.memory_mb > 5
    assert usage.threads is not None
    assert usage.threads >= 1
    assert usage.disk_free_mb is not None


def test_a_childs_memory_counts_too(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        with_child = ProcessProbe(tmp_path)().memory_mb
        assert child.stdin is not None
        child.stdin.close()
    alone = ProcessProbe(tmp_path)().memory_mb
    assert with_child is not None
    assert alone is not None
    assert with_child > alone


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
