"""The demo as people start it: in a pipe, in a terminal, with either broker."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.demo.broker import Broker
from edged.domain.errors import DeviceError
from fakes.daemon import ELSEWHERE, PROGRAM, edged

pytestmark = pytest.mark.slow

Start = Callable[..., "subprocess.Popen[str]"]
SECONDS = "22"
"""The first bolt and a scratched part have passed the middle within them, and the fan's normal running was learned."""
UP = "\x1b[1A"
"""ECMA-48, CUU: what moves a terminal's cursor back over the table."""


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_both_pipelines_an_event_and_a_summary_come_over_a_real_broker(broker: str) -> None:
    _need(broker)

    said = edged("demo", "--seconds", SECONDS, "--broker", broker, env={"COLUMNS": "120"})

    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"edged demo: two pipelines over {broker} on 127.0.0.1:")
    assert re.search(r"^bearing: \d+ results, [\d.]+/s, unknown: calibrating$", said.out, re.MULTILINE)
    assert re.search(r"^bearing: \d+ results, [\d.]+/s, normal, score [01]\.\d+ of [23]\.\d+$", said.out, re.MULTILINE)
    assert re.search(
        r"^parts: \d+ results, [\d.]+/s, .*(washer|nut|bolt|scratched|bent) 0\.\d\d", said.out, re.MULTILINE
    )
    assert re.search(r"parts: bolt-in-the-middle start +\(.*bolt 0\.", said.out)
    assert re.search(r"parts: scratched-part start +\(.*scratched 0\.", said.out)
    assert "\x1b" not in said.out
    counts, latency = said.out.split("latency, p50 / p99 ms")
    for name in ("bearing", "parts"):
        (row,) = re.findall(rf"│ {name} +│ +(\d+) │ +(\d+) │ +(\d+) │ (.*?) +│", counts.split("summary")[1])
        assert int(row[0]) >= int(row[1]) > 10
        assert re.search(rf"│ {name} +│ +\d+\.\d\d / \d+\.\d\d", latency)


def test_without_a_wish_it_takes_mosquitto_where_it_is_installed() -> None:
    _need("mosquitto")
    assert edged("demo", "--seconds", "1.5").out.startswith("edged demo: two pipelines over mosquitto on ")


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a function that starts the demo; one that a test leaves behind ends with it."""
    started: list[subprocess.Popen[str]] = []

    def begin(seconds: float, **settings: Any) -> subprocess.Popen[str]:
        command = [*PROGRAM, "demo", "--seconds", str(seconds)]
        started.append(subprocess.Popen(command, cwd=ELSEWHERE, text=True, **settings))
        return started[-1]

    yield begin
    for demo in started:
        demo.terminate()
        demo.wait(30)


def test_in_a_terminal_the_table_updates_in_place(start: Start) -> None:
    terminal, theirs = pty.openpty()
    size = {"TERM": "xterm", "COLUMNS": "110", "LINES": "40"}
    demo = start(4, stdout=theirs, stderr=theirs, stdin=theirs, env={**os.environ, **size})
    os.close(theirs)
    shown = _all_of(terminal)

    assert demo.wait(30) == 0
    frames = shown.count("edged demo: two pipelines over")
    assert frames > 5
    assert shown.count(UP) > 5 * frames
    assert "vibration tflite-int8 (cpu)" in shown
    assert "latency, p50 / p99 ms" in shown.rsplit(UP, 1)[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_sums_up_and_leaves_nothing_behind(start: Start, number: int) -> None:
    demo = start(60, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert demo.stdout is not None
    with demo.stdout:
        first = demo.stdout.readline()
        lines = iter(demo.stdout.readline, "")
        assert next(line for line in lines if line.startswith("parts: "))
        demo.send_signal(number)
        rest = "".join(lines)

    assert demo.wait(30) == 0
    assert "summary" in rest
    port = int(first.rsplit(":", 1)[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_without_its_libraries_the_demo_says_what_to_install() -> None:
    program = 'import sys; sys.modules["rich"] = None; from edged.cli import main; raise SystemExit(main())'
    said = edged("demo", program=(sys.executable, "-c", program))
    assert (said.status, said.out) == (1, "")
    assert said.err.endswith("; install edged[demo]\n")
    assert said.err.count("\n") == 1


def test_a_broker_that_does_not_start_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "mosquitto"
    program.write_text("#!/bin/sh\necho 'Error: no more ports'\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DeviceError, match="cannot start the demo's broker mosquitto: Error: no more ports"):
        Broker(tmp_path)


def _need(broker: str) -> None:
    if broker == "amqtt":
        pytest.importorskip("amqtt", reason="needs amqtt (extra `demo`)")
    elif shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        pytest.skip("needs mosquitto: it is not installed")


def _all_of(terminal: int) -> str:
    shown = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # Linux answers EIO when the last program has left the terminal
            read = b""
        if not read:
            os.close(terminal)
            return shown.decode()
        shown += read
