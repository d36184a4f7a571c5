"""The pages about cameras and serial lines: each of their commands is executed, and their screens are those of a terminal."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edgectl.bundle import terminal
from edgectl.camera.found import by_formats, cameras
from edgectl.camera.verbs import COLUMN_NAMES
from edgectl.cli import main
from edgectl.holders import Holder
from fakes.mjpeg import PASSWORD, JpegCamera
from fakes.ptyscreen import PtyScreen
from fakes.talker import Talker
from fakes.waiting import until
from fakes.webcam import Webcam

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[2] / "docs"
CAMERA, SERIAL = ((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("camera", "serial"))
STREAM, PORT = "rtsp://10.0.0.7/stream", "/dev/serial/by-id/usb-spindle"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COLUMNS = 80
BRIEF = ["--seconds", "1"]
"""The last of two is taken: how long is looked changes nothing but the figures."""
PLOT = re.compile(r"[\u2800-\u28ff]|^c\d *$|^ +\d+\.\d s *$")
"""Lines of a plot, its names and its axis: what they show is another at every run."""


def commands(page: str) -> list[str]:
    return [line for language, block in BLOCK.findall(page) if language == "sh" for line in block.splitlines()]


def screen(page: str, held: str) -> str:
    return next(str(block) for language, block in BLOCK.findall(page) if not language and held in block)


def alike(shown: str, places: dict[str, str] | None = None) -> str:
    """Make two runs comparable: without the plot and the little picture, every number the same, without blanks."""
    whole = re.sub(rf"^(.{{{COLUMNS}}})\n", r"\1", shown, flags=re.MULTILINE)
    for place, name in (places or {}).items():
        whole = whole.replace(place, name)
    kept = " ".join(line for line in whole.splitlines() if not PLOT.search(line) and "▀" not in line)
    return "".join(re.sub(r"-?\d+(\.\d+)?", "0", kept.replace("─", "")).split())


def sample(at: int) -> bytes:
    return b"%d,%.3f,%.3f,%.3f\r\n" % (at * 5, (at % 40) / 20 - 1, (at % 14) / 10 - 0.7, 9.8 + (at % 3) / 100)


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Talker]:
    made = Talker(tmp_path / "usb-spindle", sample, 200)
    yield made
    made.close()


@pytest.fixture
def seen() -> Iterator[Callable[..., str]]:
    made: list[PtyScreen] = []

    def show(*words: str, last: str, lines: int) -> str:
        made.append(PtyScreen(*words, lines=lines))
        made[-1].until(lambda text: last in text, "its end")
        assert made[-1].end("") == 0
        return made[-1].text()

    yield show
    for one in made:
        one.close()


def test_each_command_about_cameras_does_what_the_page_says(
    jpegs: JpegCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dock.password").write_text(PASSWORD + "\n")
    for line in commands(CAMERA):
        words = shlex.split(line.replace(STREAM, f"{jpegs.url}/{'basic' if '--username' in line else 'ok'}"))[1:]
        assert main(words + (BRIEF if "look" in words else [])) == 0, f"{line}: {capsys.readouterr()}"
    assert sorted(file.name for file in tmp_path.glob("*.*")) == ["dock.jpg", "dock.mp4", "dock.password", "tensor.png"]


def test_each_command_about_serial_lines_does_what_the_page_says(
    sensor: Talker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for line in commands(SERIAL):
        words = shlex.split(line.replace(PORT, str(sensor.port)))[1:]
        assert main(words + (BRIEF if "look" in words else [])) == 0, f"{line}: {capsys.readouterr()}"
    assert Path("spindle.png").stat().st_size > 10_000
    assert Path("spindle.csv").read_text()[:20] == "t,c2,c3,c4\n0.000000,"


def test_the_screen_of_a_look_through_a_camera_is_the_pages(jpegs: JpegCamera, seen: Callable[..., str]) -> None:
    place = f"{jpegs.url}/ok"
    shown = seen("camera", "look", place, "--name", "dock", *BRIEF, last="url =", lines=40)
    assert shown.count("▀") > 500
    assert alike(shown, {place: STREAM}) == alike(screen(CAMERA, "opened"))


def test_the_screen_of_what_a_model_sees_is_the_pages(jpegs: JpegCamera, seen: Callable[..., str]) -> None:
    shown = seen("camera", "look", f"{jpegs.url}/ok", "--model", "parts", *BRIEF, last="url =", lines=40)
    assert alike(screen(CAMERA, "letterbox")).partition("sees")[2] in alike(shown)


def test_the_screen_of_a_look_at_a_serial_line_is_the_pages(sensor: Talker, seen: Callable[..., str]) -> None:
    shown = ""

    def is_steady() -> bool:
        nonlocal shown
        shown = seen("serial", "look", str(sensor.port), "--name", "spindle", *BRIEF, last="time =", lines=60)
        return "rate_hz" in shown

    until(is_steady, "the sensor was in time, which on a busy machine it may not be")
    assert re.findall(r"^(c\d) *$", shown, re.MULTILINE) == ["c2", "c3", "c4"], "a plot for each channel"
    assert alike(shown, {str(sensor.port): PORT}) == alike(screen(SERIAL, "setting"))


def test_the_list_of_the_page_is_that_of_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "video0").touch()
    (found,) = cameras(tmp_path, Webcam().ioctl)
    held = replace(found, held=(Holder(812, "edged", is_edged=True),))
    terminal.print_table(COLUMN_NAMES, by_formats([held]))
    assert alike(capsys.readouterr().out, {str(tmp_path): "/dev"}) == alike(screen(CAMERA, "node"))
