"""The page on recording: its commands are executed beside a real daemon, and its screen is the code's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.record import places
from edged.assembly.box import survey
from edged.assembly.models import open_best
from edged.config.load import load
from edged.config.share import shipped
from edged.update.manifest import read_bundle
from fakes.brokers import free_port
from fakes.daemon import DaemonProcess, write_config
from fakes.tape import CONVEYOR, conveyor, record
from fakes.waiting import until

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "recording.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
(SECTION,) = (block for language, block in BLOCKS if language == "toml")
(SCREEN,) = (block for language, block in BLOCKS if not language)
BELT = f"""
[[source]]
name = "belt"
kind = "file"
path = "{CONVEYOR}"
pace = "recorded"
loop = true

[[pipeline]]
name = "gate"
source = "belt"
model = "parts"
rule = [{{ name = "bolt", when = {{ label = "bolt", min_score = 0.6 }}, for_s = 0.25, gap_s = 0.5 }}]
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Path]:
    """Give the configuration of a box that has recorded something and runs."""
    more = SECTION.replace("before_s = 10", "before_s = 1").replace("after_s = 10", "after_s = 1")
    config = write_config(tmp_path, free_port(), BELT, more=more)
    daemon = DaemonProcess(config).start()
    yield config
    daemon.close()


@pytest.mark.slow
def test_each_command_of_the_page_does_what_it_says(
    box: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(places, "CONFIG", box)
    monkeypatch.chdir(tmp_path)
    until(lambda: list((tmp_path / "state" / "recordings").glob("*.zip")), "a recording")
    assert {shlex.split(line)[1] for line in COMMANDS} == {"record", "replay"}
    for line in COMMANDS:
        assert main(shlex.split(line)[1:]) == 0, f"{line}: {capsys.readouterr()}"
    assert {file.name for file in (tmp_path / "compare").iterdir()} >= {
        "report.json",
        "results.ndjson",
        "events.ndjson",
    }
    assert "A and B say the same of " in capsys.readouterr().out


@pytest.mark.slow
def test_the_screen_is_that_of_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = open_best(read_bundle(shipped("models") / "parts"), survey(Path("/"), "auto", ()), "large-tflite-int8")
    clip = record(tmp_path, conveyor(120, first=48), model)
    capsys.readouterr()
    assert main(["replay", str(clip), "--against", "parts:small-tflite-int8"]) == 0
    assert worded(capsys.readouterr().out) == worded(SCREEN)


def worded(screen: str) -> list[list[str]]:
    """Give a screen's words; other processors round otherwise, and every one takes its own time."""
    return [
        re.sub(r"[-+]?[\d.]+", "0", line).split()
        for line in screen.splitlines()
        if not line.startswith("frame ") and line.strip()
    ]


def test_the_section_of_the_page_is_one_that_edged_takes(tmp_path: Path) -> None:
    config = load(write_config(tmp_path, 1883, BELT, more=SECTION)).config
    assert config.record is not None
    assert (config.record.max_bytes, config.record.keep_days) == (1 << 30, 7.0)
