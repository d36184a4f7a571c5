"""`edgectl watch` on a real broker and a real pseudo-terminal: its screens are those of the page about it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.watch import verb
from fakes.brokers import BrokerProcess
from fakes.daemon import DEVICE, DaemonProcess, write_config
from fakes.ptyscreen import PtyScreen
from fakes.sensor import csv_source, sensor_bundle, write_windows
from fakes.toldboxes import AT, ToldBoxes, event, figures

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")
MANY, ONE = re.findall(r"^```\n(\d+ box.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
STEP = "does less: variant from int8 to small-int8"
MANY_BOXES = 200


@pytest.fixture
def boxes(broker: BrokerProcess) -> Iterator[ToldBoxes]:
    made = ToldBoxes(broker.port)
    yield made
    made.close()


@pytest.fixture
def three(boxes: ToldBoxes) -> ToldBoxes:
    """Give the three boxes of the page."""
    failing = {"people": figures(9.8, drops=12345), "gate": figures(0, state="failed")}
    boxes.tell_all("press-07", {"people": "person", "gate": "parts"}, figures=failing)
    governed = {"bearing": {"level": "hard", "rung": "small-int8", "reason": "82 °C", "cause": "temperature"}}
    why = {
        "code": "governed",
        "component": "bearing",
        "since": AT,
        "message": "does less (variant small-int8): 82 °C",
        "remedy": "it does all of it again once the box is well",
    }
    boxes.tell_all(
        "press-08", {"bearing": "vibration"}, "degraded", temp_c=82.0, level="hard", reasons=[why], governed=governed
    )
    boxes.tell_all("press-09", {"people": "person"})
    return boxes


def happen(boxes: ToldBoxes) -> None:
    """Tell the page's event and alert, in this order."""
    alert = {"schema": "edged.alert/1", "code": "governor-step", "component": "bearing", "message": STEP}
    boxes.tell("press-07", "event/people", event("people", "at-the-gate", "start"), retain=False)
    boxes.tell("press-08", "alert", {**alert, "at": AT.replace(":11.", ":12.")}, retain=False)


def show(screens: list[PtyScreen], broker: BrokerProcess, *words: str, columns: int = 80, lines: int = 24) -> PtyScreen:
    made = PtyScreen("watch", *words, "--broker", f"127.0.0.1:{broker.port}", columns=columns, lines=lines)
    screens.append(made)
    return made


def same_as(golden: str, broker: BrokerProcess) -> str:
    return golden.replace("127.0.0.1:1883", f"127.0.0.1:{broker.port}")


def test_many_boxes_are_shown_as_on_the_page_and_an_idle_line_carries_nothing(
    broker: BrokerProcess, three: ToldBoxes, screens: list[PtyScreen]
) -> None:
    screen = show(screens, broker, "--every", "0.2", lines=13)
    screen.until(lambda text: "press-09" in text, "the boxes")
    happen(three)
    screen.until(lambda text: text == same_as(MANY, broker), "the page's screen")

    before = screen.sent
    three.tell("press-09", "telemetry", {"schema": "edged.telemetry/1", "pipelines": {"people": figures(7.5)}})
    screen.until(lambda text: "7.5" in text, "the new rate")

    assert screen.sent - before < 200, "one line, and not the screen"
    assert screen.end() == 0


def test_a_box_is_shown_whole_and_keys_lead_there_and_back(
    broker: BrokerProcess, three: ToldBoxes, screens: list[PtyScreen]
) -> None:
    screen = show(screens, broker, "press-08", "--every", "0.2", lines=15)
    screen.until(lambda text: "vibration" in text, "the box")
    happen(three)
    screen.press("\r")
    screen.until(lambda text: text == same_as(ONE, broker), "the page's screen of a box")
    screen.press("\x1b")
    screen.until(lambda text: "enter box" in text, "all boxes again")
    assert screen.end() == 0


@pytest.mark.usefixtures("three")
def test_any_column_sorts_and_the_other_way_round(broker: BrokerProcess, screens: list[PtyScreen]) -> None:
    screen = show(screens, broker, "--every", "0.2")
    first = lambda text: text.splitlines()[2].split()[:2] if text.count("\n") > 2 else []  # noqa: E731
    screen.until(lambda text: first(text) == ["press-07", "gate"], "trouble on top")
    screen.press("ss" + "sss")
    screen.until(lambda text: first(text) == ["press-08", "bearing"], "the hottest on top")
    screen.press("r")
    screen.until(lambda text: first(text) == ["press-07", "gate"], "the coolest on top")
    assert screen.end("\x03") == 0


@pytest.mark.usefixtures("three")
def test_a_terminal_is_given_back_as_it_was_when_it_is_told_to_end(
    broker: BrokerProcess, screens: list[PtyScreen]
) -> None:
    screen = show(screens, broker)
    screen.until(lambda text: "press-07" in text, "the boxes")
    screen.terminate()
    assert screen.end("") == 0
    assert screen.has_cursor


def test_200_boxes_scroll_on_one_screen(broker: BrokerProcess, boxes: ToldBoxes, screens: list[PtyScreen]) -> None:
    online = {"schema": "edged.status/1", "state": "online"}
    names = [f"box-{number:03}" for number in range(MANY_BOXES)]
    boxes.tell_many((name, "status", online) for name in names)
    boxes.tell_many(
        (name, "telemetry", {"schema": "edged.telemetry/1", "pipelines": {"p": figures(number)}})
        for number, name in enumerate(names)
    )
    screen = show(screens, broker, "--every", "0.2", columns=100, lines=30)
    screen.until(lambda text: "200 boxes, 200 online" in text and "173 more below" in text, "all are known")
    screen.press("\x1b[F")
    screen.until(lambda text: "box-199" in text and "more below" not in text, "the last")
    screen.resize(80, 12)
    screen.until(
        lambda text: text.startswith("200 boxes") and "box-199" in text and "box-185" not in text, "less of it"
    )
    assert screen.end() == 0


RESIZED = """
from edgectl.watch.terminal import Terminal
with Terminal() as terminal:
    size = terminal.size
    for letter in ("a", "b"):
        columns, lines = size
        terminal.draw(["head"] + [letter * columns] * (lines - 1), size)
        terminal.keys(60)
    columns, lines = size = terminal.size
    terminal.draw(["head"] + ["c" * columns] * (lines - 1), size)
    terminal.keys(60)
"""
"""A page is made; the terminal becomes smaller before it is drawn; the next page is made for that."""


def test_a_terminal_that_becomes_smaller_before_a_page_is_drawn_shows_the_next_one_whole(
    screens: list[PtyScreen],
) -> None:
    screen = PtyScreen(program=(sys.executable, "-c", RESIZED), columns=40, lines=12)
    screens.append(screen)
    screen.until(lambda text: text.count("a" * 40) == 11, "the first page")
    screen.resize(20, 5)
    screen.press(" ")
    screen.until(lambda text: "b" in text, "the page of the larger terminal")
    screen.press(" ")
    screen.until(lambda text: text.splitlines() == ["head", *["c" * 20] * 4], "the page of the smaller one")
    assert screen.end(" ") == 0


def test_a_broker_that_is_killed_is_told_and_found_again(
    broker: BrokerProcess, three: ToldBoxes, screens: list[PtyScreen]
) -> None:
    screen = show(screens, broker, "--every", "0.2", columns=100)
    screen.until(lambda text: "3 boxes, 3 online" in text, "the boxes")
    broker.kill()
    gone = screen.until(lambda text: "the broker is away" in text, "that it is away")
    assert "press-07" in gone, "what was known stays"
    broker.start()
    screen.until(lambda text: "the broker is away" not in text, "that it is back")
    three.tell("press-10", "status", {"schema": "edged.status/1", "state": "online"})
    screen.until(lambda text: "press-10" in text, "what boxes tell since")
    assert screen.end() == 0


@pytest.mark.usefixtures("three")
def test_a_table_and_a_document_for_programs(broker: BrokerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--broker", f"127.0.0.1:{broker.port}"]
    assert main(["watch", *where, "--once"]) == 0
    table = capsys.readouterr().out
    assert [line.split()[:3] for line in table.splitlines()[1:3]] == [
        ["press-07", "gate", "failed"],
        ["press-08", "bearing", "degraded"],
    ]
    assert main(["watch", *where, "press-09", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "edged.watch/1"
    assert [(row["box"], row["rate_hz"], row["drops"]) for row in told["rows"]] == [("press-09", 9.8, 0)]


@pytest.mark.usefixtures("three")
def test_each_command_of_the_page_runs_and_gives_its_result_when_piped(
    broker: BrokerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verb, "QUIET_S", 0.3)
    (tmp_path / "fleet.toml").write_text(f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n', encoding="utf-8")
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in commands.replace("broker.plant.local", f"127.0.0.1:{broker.port}").splitlines():
        assert main(shlex.split(line)[1:]) == 0
        assert "press-07" in capsys.readouterr().out


def test_a_broker_without_boxes_is_a_fault_with_the_next_step(
    broker: BrokerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "--broker", f"127.0.0.1:{broker.port}", "--once"]) == 1
    assert "no box told anything" in capsys.readouterr().err


def alive(daemon: DaemonProcess, text: str) -> str:
    assert not daemon.ended, daemon.said()[-3000:]
    return text


def test_a_real_box_is_seen_at_work_and_after_its_end(
    broker: BrokerProcess, screens: list[PtyScreen], tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    write_windows(tmp_path / "spindle.csv", [1.0] * 400)
    body = csv_source(tmp_path / "spindle.csv", rate_hz=640, more='pace = "recorded"\nloop = true') + LIVE
    config = write_config(tmp_path, broker.port, body)
    daemon = DaemonProcess(config).start()
    try:
        screen = show(screens, broker, "--every", "0.2", columns=100)
        screen.until(lambda text: re.search(rf"{DEVICE} +load +(ok|degraded) +\d", alive(daemon, text)), "its rate")
        screen.until(lambda text: "level 1.0.0" in text, "its version")
        daemon.stop()
        screen.until(lambda text: re.search(rf"{DEVICE} +load +offline", text), "that it is gone")
        assert screen.end() == 0
    finally:
        daemon.close()


LIVE = """
[[pipeline]]
name = "load"
source = "spindle"
model = "level"
"""
