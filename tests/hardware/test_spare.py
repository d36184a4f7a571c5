from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from edged.hardware.spare import waiting_ns
from fakes.waiting import LONGEST_S

POLITE = """
import os
from edged.hardware.spare import die_with_parent, give_way
die_with_parent()
give_way()
print(os.nice(0), os.sched_getscheduler(0) == os.SCHED_IDLE, open("/proc/self/oom_score_adj").read().strip())
"""
BEHIND = """
import os
from edged.hardware.spare import step_back
step_back()
print(os.nice(0), os.sched_getscheduler(0) == os.SCHED_OTHER)
print(*open("/proc/self/autogroup").read().split() if os.path.exists("/proc/self/autogroup") else "-")
"""
WAITING = """
import os, time
from edged.hardware.spare import waiting_ns
before = waiting_ns("self")
time.sleep(0.001)
print(before, waiting_ns(str(os.getpid())))
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


def python(code: str, *, has_session: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/", start_new_session=has_session)


@pytest.mark.slow
def test_it_runs_on_what_is_left_and_is_the_first_to_go() -> None:
    with python(POLITE) as child:
        said, _ = child.communicate(timeout=LONGEST_S)
    assert said.split() == ["19", "True", "1000"]


@pytest.mark.slow
def test_who_steps_back_in_a_session_of_its_own_leaves_others_most_of_the_processor() -> None:
    with python(BEHIND, has_session=True) as child:
        said, _ = child.communicate(timeout=LONGEST_S)
    own, session = said.splitlines()
    assert own == "19 True"
    assert session == "-" or session.endswith("nice 10")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel has no autogroups")
def test_who_steps_back_in_another_s_session_takes_nothing_from_that() -> None:
    before = Path("/proc/self/autogroup").read_text("ascii")
    with python(BEHIND) as child:
        child.communicate(timeout=LONGEST_S)
    assert Path("/proc/self/autogroup").read_text("ascii") == before


@pytest.mark.slow
def test_it_ends_with_its_parent() -> None:
    with python(ORPHAN) as parent:
        assert parent.stdout is not None
        orphan = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        orphan.wait(LONGEST_S)
    assert not orphan.is_running()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel does not count it")
def test_waiting_is_counted_and_never_less_than_before() -> None:
    # In a process of its own: here another test's thread may end, and its waiting with it.
    with python(WAITING) as child:
        said, _ = child.communicate(timeout=LONGEST_S)
    before, after = (int(word) for word in said.split())
    assert 0 <= before <= after


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    assert waiting_ns("999999999") == 0
