from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from edged.hardware.spare import waiting_ns

POLITE = """
import os
from edged.hardware.spare import die_with_parent, give_way
die_with_parent()
give_way()
print(os.nice(0), os.sched_getscheduler(0) == os.SCHED_IDLE, open("/proc/self/oom_score_adj").read().strip())
"""
ORPHAN = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    "from edged.hardware.spare import die_with_parent; die_with_parent(); print('up', flush=True); import time; time.sleep(60)"],
    stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd="/")


@pytest.mark.slow
def test_it_runs_on_what_is_left_and_is_the_first_to_go() -> None:
    with python(POLITE) as child:
        said, _ = child.communicate(timeout=30)
    assert said.split() == ["19", "True", "1000"]


@pytest.mark.slow
def test_it_ends_with_its_parent() -> None:
    with python(ORPHAN) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        orphan.wait(10)
    assert not orphan.is_running()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count it")
def test_waiting_is_counted_and_never_less_than_before() -> None:
    before = waiting_ns("self")
    time.sleep(0.001)
    assert 0 <= before <= waiting_ns(str(os.getpid()))


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert waiting_ns("999999999") == 0
