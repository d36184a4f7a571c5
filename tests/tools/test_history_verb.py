"""``edgectl history`` on a night that a test recorded; its screen is the page's."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.braille import braille
from edgectl.cli import main
from edgectl.history import moment_ms
from edgectl.history_screen import number
from edged.domain.errors import ConfigError
from fakes.clock import SECOND_NS
from fakes.ptyscreen import PtyScreen
from fakes.recordedday import record

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
(GOLDEN,) = re.findall(r"^```\n(\d\d-.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
END_NS = 1_800_000_000 * SECOND_NS
NIGHT = ("--since", "2027-01-15T06:00:00Z", "--until", "2027-01-15T08:00:00Z")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("state")
    record(made, 7200, END_NS)
    return made


def history(state: Path, *more: str) -> int:
    return main(["history", *more, "--state", str(state)])


@pytest.fixture
def screen(state: Path) -> Iterator[PtyScreen]:
    made = PtyScreen("history", "--state", str(state), *NIGHT, columns=80, lines=60)
    yield made
    made.close()


@pytest.mark.slow
def test_the_screen_is_the_pages(screen: PtyScreen) -> None:
    screen.until(lambda shown: "edged started" in shown, "the last line")
    assert screen.end("") == 0
    assert screen.text() == GOLDEN


def test_into_a_pipe_goes_the_same_without_colours(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, *NIGHT) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[0] == "01-15 06:00:00 to 01-15 08:00:00 (UTC)"
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 100


def test_few_curves_are_drawn_high(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, "temperature", *NIGHT) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("temperature ")
    assert lines[1].endswith(" 76.1")
    assert lines[8].endswith(" 48.3")


def test_json_tells_curves_and_what_happened(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, "rate", "--json", *NIGHT) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["from"], told["step_s"]) == ("edged.history/1", "2027-01-15T06:00:00.000Z", 12.0)
    assert [(one["name"], one["pipeline"]) for one in told["curves"]] == [("rate", "bearing"), ("rate", "gate")]
    assert {mark["kind"] for mark in told["marks"]} == {"start", "governor", "model", "health", "broker"}


def test_a_metric_goes_by_a_part_of_its_name(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert history(state, "frame_p95", 'dropped_total{pipeline="gate"', "--json", *NIGHT) == 0
    curves = json.loads(capsys.readouterr().out)["curves"]
    assert [one["name"] for one in curves] == [
        'frame_p95_seconds{pipeline="gate"}',
        'frame_p95_seconds{pipeline="bearing"}',
        'frames_dropped_total{pipeline="gate",reason="rate"}',
    ]
    assert curves[2]["unit"] == "/s"


def test_csv_has_every_second_as_it_was_recorded(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "rate.csv"
    assert (
        history(state, "rate", "--csv", str(file), "--since", "2027-01-15T06:00:00Z", "--until", "2027-01-15T06:01:39Z")
        == 0
    )
    header, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    assert header == [
        "at",
        'edged_results_total{pipeline="gate",status="ok"}',
        'edged_results_total{pipeline="bearing",status="ok"}',
    ]
    assert rows[0] == ["2027-01-15T06:00:00.000Z", "10", "1"]
    assert rows[-1] == ["2027-01-15T06:01:39.000Z", "1000", "100"]
    assert len(rows) == 100


@pytest.mark.slow
def test_the_picture_is_drawn(state: Path, tmp_path: Path) -> None:
    assert history(state, "--png", str(tmp_path / "night.png"), *NIGHT) == 0
    assert (tmp_path / "night.png").read_bytes().startswith(b"\x89PNG")
    assert history(state, "--png", str(tmp_path / "absent" / "night.png"), *NIGHT) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("temprature", *NIGHT), "try temperature"),
        (("--since", "soon"), "expected one such as 90s, 30m"),
        (("--since", "1h", "--until", "2h"), "expected --since to lie before --until"),
        (
            ("--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z"),
            "what is kept is of 2027-01-15T06:00:00.000Z",
        ),
    ],
)
def test_what_cannot_be_drawn_is_told_in_one_line_with_the_next_step(
    state: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert history(state, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_box_that_recorded_nothing_says_what_would_change_that(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert history(tmp_path) == 2
    assert "start edged with [telemetry] history = true" in capsys.readouterr().err


def test_a_state_directory_that_may_not_be_read_is_told_with_the_command_that_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.R_OK | os.X_OK)
    assert history(tmp_path) == 2
    assert capsys.readouterr().err.endswith("expected the state directory of edged; sudo edgectl history\n")


@pytest.mark.parametrize(
    ("told", "ago_s"), [("90s", 90), ("90", 90), ("1.5h", 5400), ("30 min", 1800), ("2d", 172_800), ("10m", 600)]
)
def test_times_are_read_as_people_write_them(told: str, ago_s: int) -> None:
    assert moment_ms(told, 10**12) == 10**12 - 1000 * ago_s


@pytest.mark.parametrize("told", ["", "h", "-1h", "1y", "1h30", "yesterday"])
def test_what_is_no_time_is_refused(told: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the time"):
        moment_ms(told, 0)


def test_a_band_is_drawn_from_low_to_high_with_gaps() -> None:
    nan = float("nan")
    assert braille([0, 0, nan, 3], [0, 3, nan, 3], 0, 3, 1) == ["⣸⠈"]
    assert braille([0.0] * 4, [0.0] * 4, 0, 1, 2) == ["⠀⠀", "⣀⣀"]


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0, "0"), (0.1234, "0.12"), (52.34, "52.3"), (3993.2, "3993"), (1.5e7, "1.5e+07"), (float("nan"), "-")],
)
def test_numbers_are_short(value: float, told: str) -> None:
    assert number(value) == told


@pytest.mark.slow
def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    record(tmp_path, 7 * 3600, time.time_ns())
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in (line for block in blocks for line in block.splitlines()):
        assert main([*shlex.split(line)[1:], "--state", str(tmp_path)]) == 0, line
    assert {"night.png", "heat.csv"} <= {file.name for file in tmp_path.iterdir()}
