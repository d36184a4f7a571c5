"""The demo as people start it: in a pipe, in a terminal, with either broker."""

from __future__ import annotations

import codecs
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
SECONDS = "170"
"""More than any of what is waited for takes, even on a busy machine; a demo that shows it is ended then."""
SHOWN = (
    r"^bearing: \d+ results, [\d.]+/s, unknown: calibrating$",
    r"^bearing: (1[1-9]|[2-9]\d|\d{3,}) results, [\d.]+/s, normal, score [01]\.\d+ of [23]\.\d+$",
    r"^parts: \d+ results, [\d.]+/s, .*(washer|nut|bolt|scratched|bent) 0\.\d\d",
    r"parts: bolt-in-the-middle start +\(.*bolt 0\.",
    r"parts: scratched-part start +\(.*scratched 0\.",
)
"""Of each pipeline, from its beginning on, and of its events."""
UP = "\x1b[1A"
"""ECMA-48, CUU: what moves a terminal's cursor back over the table."""


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_both_pipelines_an_event_and_a_summary_come_over_a_real_broker(broker: str, start: Start) -> None:
    _need(broker)

    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": {**os.environ, "COLUMNS": "120"}}
    demo = start("--broker", broker, **piped)
    assert demo.stdout is not None
    assert demo.stderr is not None
    with demo.stdout, demo.stderr:
        out = ""
        while _missing(out) and (line := demo.stdout.readline()):
            out += line
        demo.send_signal(signal.SIGINT)
        out, err = out + demo.stdout.read(), demo.stderr.read()

    assert (_missing(out), demo.wait(60), err) == ([], 0, "")
    assert out.startswith(f"edged demo: two pipelines over {broker} on 127.0.0.1:")
    assert "\x1b" not in out
    counts, latency = out.split("latency, p50 / p99 ms")
    for name in ("bearing", "parts"):
        (row,) = re.findall(rf"│ {name} +│ +(\d+) │ +(\d+) │ +(\d+) │ (.*?) +│", counts.split("summary")[1])
        frames, results, events = map(int, row[:3])
        assert frames >= results > 10
        assert events >= len(re.findall(rf"^[\d:]+  {name}: \S+ start +\(", counts, re.MULTILINE))
        if name == "parts":  # of the sensor, frames are what its windows are cut from
            assert frames == results + sum(int(count) for count in re.findall(r"(\d+) [a-z]", row[3]))
        (stages,) = re.findall(rf"│ {name} +│(.+)│", latency)
        pairs = [[float(value) for value in pair.split("/")] for pair in stages.split("│")]
        assert all(p99 >= p50 > 0 for p50, p99 in pairs), stages


def test_without_a_wish_it_takes_mosquitto_where_it_is_installed() -> None:
    _need("mosquitto")
    assert edged("demo", "--seconds", "1.5").out.startswith("edged demo: two pipelines over mosquitto on ")


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a function that starts the demo; one that a test leaves behind ends with it."""
    started: list[subprocess.Popen[str]] = []

    def begin(*more: str, **settings: Any) -> subprocess.Popen[str]:
        command = [*PROGRAM, "demo", "--seconds", SECONDS, *more]
        started.append(subprocess.Popen(command, cwd=ELSEWHERE, text=True, **settings))
        return started[-1]

    yield begin
    for demo in started:
        demo.terminate()
        demo.wait(60)


def test_in_a_terminal_the_table_updates_in_place(start: Start) -> None:
    terminal, theirs = pty.openpty()
    size = {"TERM": "xterm", "COLUMNS": "110", "LINES": "40"}
    demo = start(stdout=theirs, stderr=theirs, stdin=theirs, env={**os.environ, **size})
    os.close(theirs)
    shown = _all_of(terminal, lambda so_far: "vibration tflite-int8 (cpu)" in so_far and _frames(so_far) > 5)
    demo.send_signal(signal.SIGINT)
    shown += _all_of(terminal)
    os.close(terminal)

    assert demo.wait(60) == 0
    assert _frames(shown) > 5
    assert shown.count(UP) > 5 * _frames(shown)
    assert "vibration tflite-int8 (cpu)" in shown
    assert "latency, p50 / p99 ms" in shown.rsplit(UP, 1)[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_stopped_sums_up_and_leaves_nothing_behind(start: Start, number: int) -> None:
    demo = start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert demo.stdout is not None
    with demo.stdout:
        first = demo.stdout.readline()
        lines = iter(demo.stdout.readline, "")
        assert next(line for line in lines if line.startswith("parts: "))
        demo.send_signal(number)
        rest = "".join(lines)

    assert demo.wait(60) == 0
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


def _missing(out: str) -> list[str]:
    return [fact for fact in SHOWN if not re.search(fact, out, re.MULTILINE)]


def _frames(shown: str) -> int:
    return shown.count("edged demo: two pipelines over")


def _all_of(terminal: int, is_enough: Callable[[str], bool] = lambda _so_far: False) -> str:
    """Give what is shown until it is enough, or the last program has left the terminal."""
    shown, decoder = "", codecs.getincrementaldecoder("utf-8")()
    while not is_enough(shown):
        try:
            read = os.read(terminal, 65536)
        except OSError:  # as Linux says that it has
            break
        shown += decoder.decode(read)
    return shown
