"""Texts on a line, at the other end of a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import tty
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError
from edged.sinks.serial_text import SerialText

EVENT = {"pipeline": "gate", "rule": "at-the-gate", "phase": "start"}


def heard(master: int, size: int) -> bytes:
    """Read so many bytes: the kernel hands what was written over piece by piece."""
    told = b""
    while len(told) < size:
        told += os.read(master, size - len(told))
    return told


def test_a_text_arrives_filled_in_and_the_port_stays_open() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    line = SerialText(Path(os.ttyname(slave)), 9600, "ALARM {device} {pipeline} {rule} {phase}\r\n", "press-07")
    for _ in range(2):
        line.do(EVENT)
    told = heard(master, 78)
    line.close()
    line.close()
    os.close(master)
    os.close(slave)

    assert told == 2 * b"ALARM press-07 gate at-the-gate start\r\n"


def test_a_line_that_was_plugged_anew_is_opened_anew_for_the_same_text(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    line = SerialText(port, 9600, "{phase};", "press-07")
    told = []
    for _ in range(2):
        master, slave = pty.openpty()
        tty.setraw(slave)
        port.symlink_to(os.ttyname(slave))
        line.do(EVENT)
        told.append(heard(master, 6))
        port.unlink()
        os.close(slave)
        os.close(master)
    line.close()

    assert told == [b"start;", b"start;"]


def test_a_line_that_is_not_there_is_told_and_tried_again_when_it_came(tmp_path: Path) -> None:
    line = SerialText(tmp_path / "ttyUSB0", 9600, "on", "press-07")
    with pytest.raises(DeviceError, match="cannot write to"):
        line.do(EVENT)
    master, slave = pty.openpty()
    tty.setraw(slave)
    (tmp_path / "ttyUSB0").symlink_to(os.ttyname(slave))
    line.do(EVENT)
    told = heard(master, 2)
    line.close()
    os.close(master)
    os.close(slave)

    assert told == b"on"
