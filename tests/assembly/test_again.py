from __future__ import annotations

import subprocess
import sys

import pytest

from edged.assembly.again import start_again
from edged.domain.errors import DeviceError


def test_under_a_service_manager_it_only_returns() -> None:
    start_again({"INVOCATION_ID": "x"}, ["/nowhere/edged"])


def test_a_program_that_is_gone_is_said_plainly() -> None:
    with pytest.raises(DeviceError, match="cannot start /nowhere/edged again"):
        start_again({}, ["/nowhere/edged"])


def test_elsewhere_the_process_becomes_a_new_one_in_place() -> None:
    code = (
        "import os, sys; from edged.assembly.again import start_again\n"
        "print(os.getpid(), flush=True); start_again({}, [sys.executable, '-c', 'import os; print(os.getpid())'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    first, second = done.stdout.split()
    assert first == second
