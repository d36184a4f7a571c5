"""``edgectl record`` on recordings that a test made, and beside daemons that do not listen."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgectl.cli import main
from edgectl.record import verbs
from edged.assembly.box import survey
from edged.assembly.clip import read_clip
from edged.assembly.models import open_best
from edged.assembly.record_requests import Requests
from edged.assembly.state import LOCK
from edged.update.manifest import read_bundle
from fakes.ptyscreen import PtyScreen
from fakes.sensor import sensor_bundle
from fakes.tape import record, stamped

NAME = "20270115T080000.000Z-a-asked"
SENSOR = {
    "name": "a",
    "source": "s",
    "model": "level",
    "rule": [{"name": "high", "when": {"min_value": 9.0}, "gap_s": 0.0}],
}
SCREEN = """\

 recording                        s   inputs   events    MB   model
 ─────────────────────────────────────────────────────────────────────────────
 20270115T080000.000Z-a-asked   1.4       15        5   0.0   level 1.0.0 fp32
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Give a configuration with one recording."""
    model = open_best(read_bundle(sensor_bundle(tmp_path / "level", threshold=10.0)), survey(Path("/"), "auto", ()))
    levels = [1.0, 2.0, 2.0, 2.0, 4.0] * 3
    frames = [stamped(np.full((64, 1), -level, np.float32), index, 10.0) for index, level in enumerate(levels)]
    record(tmp_path / "state" / "recordings", frames, model, SENSOR)
    file = tmp_path / "edged.toml"
    file.write_text(
        f'[device]\nid = "press-07"\n[state]\ndirectory = "{tmp_path / "state"}"\n[record]\n'
        '[[source]]\nname = "s"\nkind = "csv"\npath = "/absent.csv"\ncolumns = ["x"]\nrate_hz = 10.0\n'
        '[[pipeline]]\nname = "a"\nsource = "s"\nmodel = "level"\n'
    )
    return file


def verb(config: Path, *words: str) -> int:
    return main(["record", *words, "--config", str(config)])


def test_list_tells_what_the_box_has(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb(config, "list", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    (one,) = told["recordings"]
    assert (told["schema"], told["records"], told["folder"]) == (
        "edged.recordings/1",
        True,
        str(config.with_name("state") / "recordings"),
    )
    assert (one["id"], one["pipeline"], one["quality"], one["fault"]) == (NAME, "a", "lossless", "")
    assert one["counts"] == {"missed": 0, "inputs": 15, "results": 15, "events": 5, "readings": 1}


def test_a_torn_one_is_told_in_its_place(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = config.with_name("state") / "recordings"
    (folder / "20270115T080001.000Z-a-high.part").write_bytes((folder / f"{NAME}.zip").read_bytes()[:500])
    (folder / "20270115T080002.000Z-a-high.zip").write_bytes((folder / f"{NAME}.zip").read_bytes()[:500])
    assert verb(config, "list", "--json") == 0
    faults = [one["fault"] for one in json.loads(capsys.readouterr().out)["recordings"]]
    assert [bool(fault) for fault in faults] == [False, True, True]
    assert "it is torn: the power went" in faults[1]
    assert "not a zip file" in faults[2]

    assert verb(config, "list") == 0
    assert "it is torn" in capsys.readouterr().out


def test_a_box_that_records_nothing_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace("[record]\n", "").replace("/state", "/other"))
    assert verb(config, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("nothing is recorded in ")
    assert lines[1] == "nothing is being recorded: the configuration has no [record]"


@pytest.mark.parametrize("name", [NAME, f"{NAME}.zip", "last"])
def test_show_tells_of_one(config: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert verb(config, "show", name) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{NAME}: a on press-07, edged 0"
    assert lines[1].endswith("since somebody asked")
    assert lines[2].startswith("15 inputs (lossless, 0 lost), 15 results, ")
    assert lines[4].startswith("event: high start at input 4, 0.40 s, since ")
    assert "load_1m: 0.5 to 0.5" in lines

    assert verb(config, "show", name, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["events"]) == 5


def test_export_writes_a_file_that_can_be_replayed(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb(config, "export", "last", "--out", str(tmp_path)) == 0
    assert capsys.readouterr().out.endswith(f"edgectl replay {NAME}.zip runs it again\n")
    assert len(read_clip(tmp_path / f"{NAME}.zip").inputs) == 15

    assert verb(config, "export", NAME, "--out", str(tmp_path / "mine.zip"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == (tmp_path / "mine.zip").stat().st_size


def test_what_is_exported_is_for_its_owner_and_never_written_onto_itself(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kept,) = (tmp_path / "state" / "recordings").glob("*.zip")
    before = kept.read_bytes()
    assert verb(config, "export", "last", "--out", str(tmp_path / "x.zip")) == 0
    assert stat.S_IMODE((tmp_path / "x.zip").stat().st_mode) == 0o600
    assert verb(config, "export", "last", "--out", str(kept)) == 2
    assert "it is that recording itself" in capsys.readouterr().err
    assert kept.read_bytes() == before


def test_a_damaged_one_is_not_handed_out(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = config.with_name("state") / "recordings" / f"{NAME}.zip"
    content = bytearray(file.read_bytes())
    content[content.index(b"NUMPY") + 40] ^= 1
    file.write_bytes(content)
    assert verb(config, "export", "last", "--out", str(tmp_path)) == 2
    assert "Bad CRC-32" in capsys.readouterr().err
    assert not (tmp_path / file.name).exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("show", "absent"), 2, f"cannot find recording 'absent': the newest is {NAME}"),
        (("export", "last", "--out", "/proc/absent/x.zip"), 2, "cannot write /proc/absent/x.zip"),
        (("now", "--pipeline", "b"), 2, "cannot record 'b': those that are recorded are a"),
        (("now",), 1, "no edged runs on "),
        (("now", "--seconds", "0"), 2, ""),
    ],
)
def test_what_cannot_be_done_is_one_line_with_the_next_step(
    config: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, said: str
) -> None:
    assert verb(config, *words) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err


def test_without_the_section_now_says_what_to_add(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace("[record]\n", ""))
    assert verb(config, "now") == 2
    assert "add a line [record] and restart edged" in capsys.readouterr().err


@pytest.fixture
def running(config: Path) -> Iterator[Path]:
    """Hold the state directory's lock as a daemon does; gives the folder of recordings."""
    descriptor = os.open(config.with_name("state") / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield config.with_name("state") / "recordings"
    os.close(descriptor)


def test_a_daemon_that_takes_no_notice_is_told(
    config: Path, running: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "TAKEN_WITHIN_S", 0.05)
    monkeypatch.setattr(verbs, "LOOK_S", 0.01)
    assert verb(config, "now") == 1
    assert "the daemon took no notice for 0.05 s" in capsys.readouterr().err
    assert list((running / "now").iterdir()) == []


def test_now_asks_and_waits_for_what_is_written(
    config: Path, running: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "LOOK_S", 0.01)
    heard: list[tuple[str, float]] = []

    def daemon() -> None:
        requests = Requests(running)
        while not heard:
            heard.extend(requests.taken())
            time.sleep(0.01)
        made = running / "20270115T090000.000Z-a-asked.zip"
        made.with_suffix(".new").write_bytes((running / f"{NAME}.zip").read_bytes())
        made.with_suffix(".new").rename(made)

    thread = threading.Thread(target=daemon)
    thread.start()
    assert verb(config, "now", "--seconds", "2.5", "--pipeline", "a", "--json") == 0
    thread.join()
    assert heard == [("a", 2.5)]
    (made,) = json.loads(capsys.readouterr().out)["recordings"]
    assert made["id"] == "20270115T090000.000Z-a-asked"


def test_nothing_that_is_written_is_told(
    config: Path, running: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "_ask", lambda *_: None)
    monkeypatch.setattr(verbs, "WRITTEN_WITHIN_S", 0.05)
    monkeypatch.setattr(verbs, "LOOK_S", 0.01)
    assert verb(config, "now", "--seconds", "0.1") == 1
    assert "see whether the pipeline's source gives anything" in capsys.readouterr().err
    assert running.is_dir()


@pytest.mark.slow
def test_at_a_terminal_of_the_usual_width_it_looks_like_this(config: Path, screens: list[PtyScreen]) -> None:
    screen = PtyScreen("record", "list", "--config", str(config))
    screens.append(screen)
    screen.until(lambda text: "fp32" in text, "the recording")
    assert screen.end("") == 0
    assert screen.text().strip() == SCREEN.strip()
