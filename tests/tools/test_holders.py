from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.holders import Holder, holders, step


@pytest.fixture
def terminal() -> Iterator[tuple[int, Path]]:
    master, slave = pty.openpty()
    name = Path(os.ttyname(slave))
    os.close(slave)
    yield master, name
    os.close(master)


def test_who_has_a_device_open_is_named(terminal: tuple[int, Path], tmp_path: Path) -> None:
    link = tmp_path / "usb-sensor"
    link.symlink_to(terminal[1])
    code = "import sys; kept = open(sys.argv[1], 'rb', buffering=0); print('open', flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(link)], stdin=pipe, stdout=pipe) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        (found,) = holders(link)
        reader.communicate()
    assert (found.pid, found.is_edged) == (reader.pid, False)
    assert step((found,), "wait") == f"end {found} first, such as with kill {reader.pid}"
    assert holders(link) == ()


def test_the_other_end_of_a_pseudo_terminal_does_not_hold_it(terminal: tuple[int, Path]) -> None:
    slave = os.open(terminal[1], os.O_RDWR | os.O_NOCTTY)
    try:
        assert holders(terminal[1]) == ()
    finally:
        os.close(slave)


@pytest.mark.parametrize(
    ("comm", "cmdline", "is_edged"),
    [
        ("edged", "/opt/edged/bin/python\0/opt/edged/bin/edged\0run\0", True),
        ("python3", "python3\0-c\0from edged.cli import main; raise SystemExit(main())\0run\0", True),
        ("edgectl", "/usr/bin/python3\0/usr/bin/edgectl\0serial\0look\0", False),
        ("minicom", "minicom\0-D\0/dev/ttyUSB0\0", False),
    ],
)
def test_the_daemon_is_known_by_its_command(tmp_path: Path, comm: str, cmdline: str, is_edged: bool) -> None:
    process = tmp_path / "proc" / "812"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "5").symlink_to("/dev/ttyUSB0")
    (process / "comm").write_text(comm + "\n")
    (process / "cmdline").write_text(cmdline)
    (found,) = holders(Path("/dev/ttyUSB0"), tmp_path / "proc")
    assert found == Holder(812, comm, is_edged)


def test_the_daemon_is_stopped_by_its_service_or_asked_instead() -> None:
    assert step((Holder(3, "edged", is_edged=True),), "see its page") == "systemctl stop edged, or see its page"


def test_a_descriptor_that_is_closed_meanwhile_hides_no_holder(tmp_path: Path) -> None:
    process = tmp_path / "proc" / "812"
    (process / "fd").mkdir(parents=True)
    (process / "fd" / "4").touch()  # what is no link reads like one that went
    (process / "fd" / "5").symlink_to("/dev/ttyUSB0")
    (process / "comm").write_text("minicom\n")
    (process / "cmdline").write_text("minicom\0")
    assert holders(Path("/dev/ttyUSB0"), tmp_path / "proc") == (Holder(812, "minicom", is_edged=False),)
