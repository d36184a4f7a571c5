"""``edgectl serial`` on real pseudo-terminals, beside a daemon and without one."""

from __future__ import annotations

import json
import math
import random
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from edgectl.cli import main
from edgectl.holders import holders
from edgectl.serial import search
from edgectl.serial.heard import Setting
from edgectl.serial.line import Line
from edgectl.serial.ports import port_of
from edged.assembly.check import check_all
from edged.config.load import load
from edged.domain.errors import DeviceError
from fakes.daemon import DaemonProcess, Said, edged, write_config
from fakes.sensor import pipeline, sensor_bundle
from fakes.serialline import cobs, record
from fakes.talker import Talker
from fakes.waiting import until

pytestmark = pytest.mark.slow

EDGECTL = (sys.executable, "-c", "from edgectl.cli import main; raise SystemExit(main())")
QUICK = ("--seconds", "1")
RATE_HZ = 200

Sensor = Callable[..., Talker]


@pytest.fixture
def sensor(tmp_path: Path, request: pytest.FixtureRequest) -> Sensor:
    def speak(say: Callable[[int], bytes], rate_hz: float = RATE_HZ) -> Talker:
        made = Talker(tmp_path / "usb-spindle", say, rate_hz)
        request.addfinalizer(made.close)
        return made

    return speak


def csv(at: int) -> bytes:
    return f"{at * 5},{math.sin(at / 19):.3f},{math.cos(at / 27):.3f}\r\n".encode()


Verb = Callable[..., Said]


@pytest.fixture
def look(capsys: pytest.CaptureFixture[str]) -> Verb:
    def run(*words: str | Path) -> Said:
        status = main(["serial", "look", *map(str, words)])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


def pair(at: int) -> tuple[int, int]:
    return round(8000 * math.sin(at / 19)), round(3000 * math.cos(at / 27))


@pytest.mark.parametrize(
    ("say", "wanted"),
    [
        (csv, {"time": "c1", "columns": ["c2", "c3"]}),
        (
            lambda at: b'{"t":%.3f,"acc":{"x":%.3f}}\n' % (at / RATE_HZ, math.sin(at / 9)),
            {"format": "jsonl", "time": "t"},
        ),
        (lambda at: record(struct.pack("<hh", *pair(at)), sync=b"\xaa\x55"), {"format": "binary", "sync": "aa55"}),
        (lambda at: cobs(struct.pack("<Iff", at * 5, *map(float, pair(at)))), {"framing": "cobs", "time": "t"}),
    ],
)
def test_what_is_suggested_reads_every_sample_and_passes_the_check(
    sensor: Sensor, look: Verb, tmp_path: Path, say: Callable[[int], bytes], wanted: dict[str, Any]
) -> None:
    said = look(sensor(say).port, *QUICK, "--json")
    assert said.status == 0, said.err
    told = json.loads(said.out)

    assert told["source"] | wanted == told["source"]
    assert told["samples"]["rate_hz"] == pytest.approx(RATE_HZ, rel=0.1)
    assert told["samples"]["count"] > 0.3 * RATE_HZ  # on a busy machine the last of a second's come after it
    assert not told["dropped"]
    file = write_config(tmp_path, 1883, told["entry"])
    assert load(file).config.source[0].model_dump(mode="json", exclude_defaults=True) == told["source"]
    assert check_all(file).configuration == ()


def test_the_page_names_format_and_figures_and_ends_with_the_entry(sensor: Sensor, look: Verb, tmp_path: Path) -> None:
    said = look(sensor(csv).port, *QUICK, "--name", "spindle", "--plot", tmp_path / "spindle.png")
    assert (said.status, said.err) == (0, "")
    assert "(its baud counts for nothing: any does): csv of c1 (time), c2, c3" in said.out
    assert "samples a second" in said.out
    assert '[[source]]\nname = "spindle"\nkind = "serial"' in said.out
    picture = cv2.imread(str(tmp_path / "spindle.png"))
    assert picture is not None
    assert picture.std() > 10


def test_the_entry_alone_can_be_appended_to_the_configuration(sensor: Sensor, look: Verb, tmp_path: Path) -> None:
    said = look(sensor(csv).port, *QUICK, "--entry")
    assert said.status == 0
    assert load(write_config(tmp_path, 1883, said.out)).config.source[0].name == "usb-spindle"


def test_a_port_that_the_daemon_reads_is_left_alone(
    sensor: Sensor, look: Verb, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    talker = sensor(lambda _: b"-2\n")
    sensor_bundle(tmp_path / "models" / "level")
    source = (
        f'[[source]]\nname = "spindle"\nkind = "serial"\nport = "{talker.port}"\ncolumns = ["x"]\nrate_hz = 200.0\n'
    )
    daemon = DaemonProcess(write_config(tmp_path, 1, source + pipeline("a")))
    request.addfinalizer(daemon.close)
    daemon.start()
    until(lambda: [one for one in holders(talker.port) if one.pid == daemon.pid], "the daemon reads it")

    said = look(talker.port, *QUICK)

    assert (said.status, said.out) == (1, "")
    assert f"edged (process {daemon.pid}) reads it, expected a free port; systemctl stop edged, or" in said.err

    hidden = replace(port_of(talker.port), held=())
    before = termios.tcgetattr(talker.sensor._slave)
    with pytest.raises(DeviceError, match="expected a free port; systemctl stop edged") as caught:
        Line(hidden, Setting(9600))
    assert caught.value.code == "serial-busy"
    assert termios.tcgetattr(talker.sensor._slave) == before, "whoever may not see who holds it leaves it alone as well"
    assert daemon.stop()[0] == 0
    assert "wrong-format" not in daemon.said()


def test_a_silent_sensor_is_told_after_the_patience_that_was_asked_for(sensor: Sensor, look: Verb) -> None:
    began_s = time.monotonic()
    said = look(sensor(lambda _: b"").port, "--patience", "0.5", "--json")
    assert said.status == 1
    assert "no byte in" in said.err
    assert "look at its power" in said.err
    told = json.loads(said.out)
    assert (told["kind"], told["source"]) == ("silence", None)
    assert time.monotonic() - began_s < 8


@pytest.mark.parametrize(
    ("say", "word"),
    [
        (lambda at: b"it is %d degrees and well\n" % at, "text without samples at 115200 8N1"),
        (lambda at: random.Random(at).randbytes(30), "noise at every baud that was tried"),  # noqa: S311 - no secret
    ],
)
def test_what_edged_cannot_read_is_told_with_the_next_step(
    sensor: Sensor, look: Verb, monkeypatch: pytest.MonkeyPatch, say: Callable[[int], bytes], word: str
) -> None:
    for name in ("SHORT_S", "LONG_S"):
        monkeypatch.setattr(search, name, 0.5)
    said = look(sensor(say).port)
    assert said.status == 1
    assert f"{word}, expected lines of numbers" in said.err
    assert "[[source]]" not in said.out


def test_a_sensor_that_is_unplugged_meanwhile_is_told(sensor: Sensor, look: Verb) -> None:
    talker = sensor(lambda _: b"")
    held = str(talker.port.resolve())

    def unplug() -> None:
        until(lambda: open_here().count(held) > 1, "it listens")
        talker.unplug()

    hand = threading.Thread(target=unplug)
    hand.start()
    said = look(talker.port, "--patience", "20")
    hand.join()
    assert said.status == 1
    assert "cannot listen to" in said.err
    assert "look at its plug and power" in said.err


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (
            ("look", "/dev/ttyUSB77"),
            1,
            "no such file or directory, expected a device of this name; edgectl serial list",
        ),
        (("look", "/etc/hostname"), 1, "expected a serial port"),
        (("look",), 2, "Missing argument"),
    ],
)
def test_what_is_no_port_is_told_in_one_line(words: tuple[str, ...], status: int, said: str) -> None:
    done = edged("serial", *words, program=EDGECTL)
    assert done.status == status
    assert said in done.err
    assert "Traceback" not in done.err


def test_the_list_is_one_document_for_programs() -> None:
    said = edged("serial", "list", "--json", program=EDGECTL)
    assert said.status == 0
    told = json.loads(said.out)
    assert told["schema"] == "edged.serial.list/1"
    assert all({"node", "name", "usb", "driver", "held_by", "access"} <= one.keys() for one in told["ports"])


def open_here() -> list[str]:
    """Give what this process has open; other threads open and close meanwhile."""
    found = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(one.readlink()))
    return found


@pytest.fixture(autouse=True)
def no_port_stays_open() -> Iterator[None]:
    before = sorted(one for one in open_here() if one.startswith("/dev/pts/"))
    yield
    assert sorted(one for one in open_here() if one.startswith("/dev/pts/")) == before


@pytest.mark.parametrize(
    ("library", "words", "extra"),
    [("serial", ("serial", "look", "/dev/ttyS0"), "serial"), ("cv2", ("camera", "look", "0"), "camera")],
)
def test_a_box_without_the_libraries_is_told_what_brings_them(library: str, words: tuple[str, ...], extra: str) -> None:
    without = f"import sys; sys.modules[{library!r}] = None; from edgectl.cli import main; raise SystemExit(main())"
    said = edged(*words, program=(sys.executable, "-c", without))
    assert (said.status, said.out) == (1, "")
    assert f"{library} is not installed, expected the libraries of edged[{extra}]; install edged[{extra}]" in said.err
