"""docs/install.md: its commands are executed, and what it shows is what they say."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.config.changes import CHANGES
from edgectl.setup.plan import DROP_INS
from edged.cli import main as edged_main
from fakes.devicetree import build
from fakes.ptyscreen import PtyScreen

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "install.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMANDS = [text.strip().splitlines() for kind, text in BLOCK.findall(PAGE) if kind == "sh"]
SHOWN = [text for kind, text in BLOCK.findall(PAGE) if kind != "sh"]
THREE, DRY_RUN, DIALOGUE, MERGED = SHOWN
TREE = """\
etc/machine-id = 0123456789abcdef0123456789abcdef
proc/device-tree/model = Raspberry Pi 4 Model B Rev 1.4
sys/class/video4linux/video0/name = C922 Pro Stream Webcam
sys/class/video4linux/video0/index = 0
dev/video0
dev/ttyUSB0
sys/class/tty/ttyUSB0/device/
dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0 -> ../../ttyUSB0
"""
ANSWERS = ("Press 7", "press-07", "broker.plant.local:8883", "press-07", "secret", "y", "", "parts", "y", "", "", "")


def squeezed(table: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with the root of an image in it, for a program that the page's reader has in /opt."""
    if os.geteuid() != 0 or shutil.which("systemd-sysusers") is None:
        pytest.skip("needs root and systemd's programs: an image's folders are given to other users")
    (tmp_path / "image").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_command_of_the_page_does_what_it_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said: dict[str, str] = {}
    for line in (line for block in COMMANDS for line in block):
        program, *words = shlex.split(line)
        more = ["--program", "/opt/edged/bin/edged"] if words[0] == "install" else []
        assert (edged_main if program == "edged" else main)([*words, *more]) == 0
        said[line] = capsys.readouterr().out
    assert said["edgectl install --dry-run --root image"] == DRY_RUN
    merged = re.sub(
        r'"/[^"]*/(parts/demo/conveyor.mp4|state)"',
        r'"…/\1"',
        said["edgectl config show --config edged.toml --only-set"],
    )
    assert squeezed(merged) == squeezed(MERGED)
    assert said["edged check --config edged.toml"] == "ok: edged.toml\n"
    assert (folder / "image" / "etc" / "edged").is_dir()


def test_the_dialogue_is_as_the_page_shows_it(tmp_path: Path) -> None:
    if Path("/dev/video0").exists():
        pytest.skip("needs a machine without a camera: the page's is one of another machine")
    file = tmp_path / "edged.toml"
    words = ("config", "init", "--config", str(file), "--sysroot", str(build(TREE, tmp_path / "box")))
    screen = PtyScreen(*words, columns=82, lines=60)
    try:
        for number, answer in enumerate(ANSWERS):
            screen.until(
                lambda shown, asked=number: len(asked_in(shown)) > asked and screen.asks, f"question {number + 1}"
            )
            screen.press(f"{answer}\r")
        shown = screen.until(lambda text: "next: " in text, "the end")
    finally:
        screen.close()
    assert shown[: shown.index("written: ")] == DIALOGUE
    assert "secret" not in shown
    assert (tmp_path / "mqtt.password").read_text() == "secret\n"


def asked_in(shown: str) -> list[str]:
    return re.findall(r"^(?:Name|Broker|User|Password|Use|Address|Model|Bits|Samples)\b", shown, re.MULTILINE)


def test_every_drop_in_and_every_change_is_on_the_page() -> None:
    assert {name for name in DROP_INS if f"`{name}`" in PAGE} == {*DROP_INS}
    assert {name for change in CHANGES for name in change.values if name in PAGE} == {
        name for change in CHANGES for name in change.values
    }


def test_the_three_commands_are_pipx_install_and_init() -> None:
    assert [line.replace("sudo ~/.local/bin/", "").split()[:2] for line in THREE.splitlines()] == [
        ["pipx", "install"],
        ["edgectl", "install"],
        ["edgectl", "config"],
    ]
