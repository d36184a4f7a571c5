"""``edgectl coverage`` on days that a test wrote."""

from __future__ import annotations

import json
from datetime import date, datetime, tzinfo
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgectl import coverage_screen as screen
from edgectl.cli import main
from edged.assembly.coverage_store import CoverageStore
from edged.telemetry.coverage import CAUSES, MINUTES_A_DAY, Minute, total

DAY = (date(2026, 11, 20) - date(1970, 1, 1)).days
FIRST = DAY * MINUTES_A_DAY


class Noon(datetime):
    """A clock that stands at 12:00:25."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Noon:
        return cls(2026, 11, 20, 12, 0, 25, tzinfo=tz)


def minute(at: int, **parts_ms: int) -> Minute:
    seen_ms = parts_ms.pop("seen", 60_000 - sum(parts_ms.values()))
    return Minute(FIRST + at, seen_ms, tuple(parts_ms.get(cause, 0) for cause in CAUSES))


def a_day() -> list[Minute]:
    """Give a night with a loose cable, a hung engine, a pause, heat, a quiet noon, and two hours without power."""
    told = []
    for at in range(MINUTES_A_DAY):
        hour = at // 60
        causes = {
            2: {"source": 60_000 if at % 7 < 3 else 20_000},
            5: {"engine": 45_000 if 300 <= at < 312 else 0},
            8: {"paused": 60_000 if at % 60 > 30 else 0},
            14: {"thinned": (at % 60) * 1000},
            12: {"gate": 50_000},
            20: {"calibrating": 60_000 if at % 60 < 6 else 0},
        }.get(hour, {})
        told.append(Minute.unknown(FIRST + at) if hour in {17, 18} else minute(at, **causes))
    return told


@pytest.fixture
def state(tmp_path: Path) -> Path:
    store = CoverageStore(tmp_path)
    for one in a_day():
        store.write("gate", one)
    return tmp_path


def coverage(state: Path, *more: str | Path) -> int:
    return main(["coverage", "gate", "--day", "2026-11-20", "--state", str(state), *map(str, more)])


def test_a_row_an_hour_shows_each_minute_by_what_it_mostly_was(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage(state) == 0
    title, _, *rows = capsys.readouterr().out.splitlines()
    assert title == "gate, 2026-11-20 (UTC)"
    assert rows[0] == f"00 {'█' * 60} 100 %"
    assert rows[2].startswith("02 sss")
    assert rows[5] == f"05 {'e' * 12}{'█' * 48}  85 %"
    assert rows[8] == f"08 {'█' * 31}{'p' * 29}  52 %"
    assert rows[12] == f"12 {'g' * 60}  17 %"
    assert rows[17] == f"17 {'·' * 60}   0 %"
    assert any(row.startswith("ee engine        9 min 00 s  no engine gave") for row in rows[24:])


def test_json_tells_every_known_minute_and_the_sum(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage(state, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["pipeline"], told["day"]) == ("edged.coverage/1", "gate", "2026-11-20")
    assert len(told["minutes"]) == MINUTES_A_DAY - 120
    assert told["minutes"][300] == {
        "at": "2026-11-20T05:00:00.000Z",
        "seen_s": 15.0,
        "blind_s": {"engine": 45.0},
        "down_s": 0.0,
    }
    assert told["sum"] == total(a_day()).told()


def test_the_picture_shows_each_minutes_shares(state: Path, tmp_path: Path) -> None:
    assert coverage(state, "--plot", tmp_path / "day.png") == 0
    picture = cv2.imread(str(tmp_path / "day.png"))
    assert picture is not None
    colors = {tuple(color) for color in np.unique(picture.reshape(-1, 3)[:, ::-1], axis=0).tolist()}
    assert {tuple(bytes.fromhex(color[1:])) for color in screen.COLORS.values()} <= colors


def test_a_cell_is_filled_from_below_by_what_was_seen() -> None:
    column = screen.pixels([minute(0, source=15_000)])[: screen.PARTS, 0]
    seen, source = (tuple(bytes.fromhex(screen.COLORS[name][1:])) for name in ("seen", "source"))
    assert [tuple(pixel) for pixel in column.tolist()] == [source] * 3 + [seen] * 9


def test_what_lies_ahead_of_a_day_stays_empty() -> None:
    rows = str(screen.grid([minute(0), minute(1)], "gate")).splitlines()
    assert rows[2] == f"00 ██{' ' * 58} 100 %"
    assert rows[3].strip() == "01"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gate", "--day", "2026-11-19"), "the days are 2026-11-20 to 2026-11-20"),
        (("dock", "--day", "2026-11-20"), "those of the day are gate"),
        (("gate", "--day", "20261120"), "expected a date such as"),
        (("gate", "--day", "2026-02-30"), "expected a date such as"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(
    state: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert main(["coverage", *arguments, "--state", str(state)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_picture_that_cannot_be_written_is_the_requests_fault(state: Path, tmp_path: Path) -> None:
    assert coverage(state, "--plot", tmp_path / "absent" / "day.png") == 2


def test_the_minute_that_goes_on_is_in_as_far_as_it_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgectl.coverage.datetime", Noon)
    CoverageStore(tmp_path).write("gate", minute(719))
    CoverageStore(tmp_path).write("gate", minute(720, seen=5_000, source=15_000))
    assert coverage(tmp_path, "--json", "--plot", tmp_path / "day.png") == 0
    told = json.loads(capsys.readouterr().out)
    goes_on = {"at": "2026-11-20T12:00:00.000Z", "seen_s": 5.0, "blind_s": {"source": 15.0}, "down_s": 0.0}
    assert told["minutes"][-1] == goes_on
    assert told["sum"] == {"seen_s": 65.0, "blind_s": {"source": 15.0}, "down_s": 719 * 60.0}
    assert coverage(tmp_path) == 0
    row = capsys.readouterr().out.splitlines()[2 + 12]
    assert row.split() == ["12", "s", "25", "%"]


def test_of_a_minute_that_has_only_begun_nothing_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgectl.coverage.datetime", Noon)
    CoverageStore(tmp_path).write("gate", minute(719))
    assert coverage(tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[2 + 12].split() == ["12"]
