"""What runs untried reaches nobody: shown in real children."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.hardware import jail

pytestmark = pytest.mark.slow

CLOSED = "from edged.hardware import jail; jail.close_off()\n"


def child(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "reach",
    [
        "import socket; socket.socket()",
        "import socket; socket.socketpair()",
        "import os; os.execv('/bin/true', ['true'])",
        "import threading, socket; threading.excepthook = print; one = threading.Thread(target=socket.socket); one.start(); one.join()",
    ],
)
def test_what_is_closed_off_reaches_nobody(reach: str) -> None:
    done = child(CLOSED + reach)
    assert "Operation not permitted" in done.stdout + done.stderr


def test_what_is_closed_off_computes_and_reads() -> None:
    done = child(CLOSED + "import numpy; print(numpy.ones(3).sum(), open('/proc/self/comm').read())")
    assert done.stdout.startswith("3.0 python")


def test_processor_time_ends() -> None:
    done = child("from edged.hardware import jail; jail.limit(1.0)\nwhile True: pass")
    assert done.returncode < 0


def test_a_file_has_an_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    code = f"""
from edged.hardware import jail
jail.MAX_FILE_BYTES = 4096
jail.limit(60)
open({str(file)!r}, 'wb', 0).write(bytes(9000))
"""
    assert child(code).returncode == 0
    assert file.stat().st_size == 4096


def test_a_machine_whose_calls_are_not_listed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(DeviceError, match="cannot close off a process on riscv64"):
        jail.close_off()
