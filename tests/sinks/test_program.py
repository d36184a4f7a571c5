"""Programs about events, really run."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.sinks import program
from edged.sinks.program import Program
from fakes.waiting import until

EVENT = {"pipeline": "gate", "rule": "r", "phase": "start"}


def script(folder: Path, text: str) -> Path:
    file = folder / "act.sh"
    file.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    file.chmod(0o755)
    return file


def test_it_is_given_the_document_and_its_arguments_and_no_shell(tmp_path: Path) -> None:
    file = script(tmp_path, f'cat > {tmp_path}/given; printf "%s" "$1" > {tmp_path}/argument')
    Program([str(file), "$(reboot); `id`"], 10.0, lambda: False).do(EVENT)

    assert json.loads((tmp_path / "given").read_bytes()) == EVENT
    assert (tmp_path / "argument").read_text() == "$(reboot); `id`"


def test_secrets_of_the_environment_are_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/edged")
    Program([str(script(tmp_path, f"env > {tmp_path}/env"))], 10.0, lambda: False).do(EVENT)

    assert "CREDENTIALS_DIRECTORY" not in (tmp_path / "env").read_text()


def test_one_that_fails_says_what_it_said(tmp_path: Path) -> None:
    file = script(tmp_path, "echo the belt does not stop >&2; exit 7")
    with pytest.raises(DeviceError, match=r"it ends with 7 \(the belt does not stop\), expected 0"):
        Program([str(file)], 10.0, lambda: False).do(EVENT)


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    file = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child; wait")
    began_s = time.monotonic()
    with pytest.raises(DeviceError, match=r"ended after 2 s"):
        Program([str(file)], 2.0, lambda: False).do(EVENT)

    assert time.monotonic() - began_s < 10
    child = int((tmp_path / "child").read_text())
    until(lambda: not _lives(child), "its child has ended", 30)  # who sleeps for 60 s


def test_words_without_end_take_no_memory() -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DeviceError, match="in time"):
        Program(["/usr/bin/yes"], 0.4, lambda: False).do(EVENT)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000


def test_what_it_leaves_running_holds_nobody_up(tmp_path: Path) -> None:
    file = script(tmp_path, f"sleep 60 & echo $! > {tmp_path}/child")
    began_s = time.monotonic()
    Program([str(file)], 30.0, lambda: False).do(EVENT)

    assert time.monotonic() - began_s < 10
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_the_end_of_edged_ends_it_after_a_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "GRACE_S", 0.2)
    with pytest.raises(DeviceError, match="it was ended with edged"):
        Program(["/bin/sleep", "60"], 50.0, lambda: True).do(EVENT)


def test_once_the_grace_is_over_none_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "GRACE_S", 0.0)
    with pytest.raises(DeviceError, match="edged stops"):
        Program([str(script(tmp_path, f"touch {tmp_path}/ran"))], 50.0, lambda: True).do(EVENT)

    assert not (tmp_path / "ran").exists()


def test_a_label_that_is_no_text_is_given_all_the_same(tmp_path: Path) -> None:
    file = script(tmp_path, f"cat > {tmp_path}/given")
    Program([str(file)], 10.0, lambda: False).do(EVENT | {"label": "\udc80"})

    assert json.loads((tmp_path / "given").read_bytes())["label"] == "\udc80"


def test_one_that_reads_nothing_and_one_that_is_not_there(tmp_path: Path) -> None:
    Program([str(script(tmp_path, "exit 0"))], 10.0, lambda: False).do(EVENT | {"pad": "x" * 200_000})
    with pytest.raises(DeviceError, match="No such file or directory, expected a program"):
        Program([str(tmp_path / "gone")], 1.0, lambda: False).do(EVENT)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
