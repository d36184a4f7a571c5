"""``edgectl support`` on a box with a secret in every place, on a real pseudo-terminal and into a pipe."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edgectl.cli import main
from edgectl.support import without_answers
from edged.telemetry.ring import framed
from fakes.ptyscreen import PtyScreen
from fakes.secretbox import CANARY, SecretBox

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "support.md").read_text(encoding="utf-8")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SecretBox:
    made = SecretBox(tmp_path / "box")
    # What cannot be read costs itself alone; the other files of it are what this test is about.
    (made.folder / "conf.d" / "20-broken.toml").unlink()
    (made.folder / "conf.d" / "10-more.toml").unlink()
    monkeypatch.chdir(tmp_path)
    return made


def support(box: SecretBox, *more: str) -> int:
    return main(["support", "--no-doctor", "--config", str(box.config), "--log", str(box.log), *more])


def names(file: Path) -> list[str]:
    with tarfile.open(file) as tar:
        return [name.partition("/")[2] for name in tar.getnames()]


def test_into_a_pipe_it_lists_and_writes_without_asking(box: SecretBox, capsys: pytest.CaptureFixture[str]) -> None:
    assert support(box, "-o", "a.tar.gz") == 0
    said = capsys.readouterr().out
    listed = [line.split()[0] for line in said.splitlines() if re.match(r"\s?[a-z]\S+ +[\d,]+ ", line)]
    assert sorted(listed) == names(Path("a.tar.gz"))[1:]
    assert "sha256" in said.splitlines()[-2]
    assert CANARY not in said


def test_dry_run_lists_and_writes_nothing(box: SecretBox, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert support(box, "--dry-run") == 0
    assert "configuration/edged.toml.json" in capsys.readouterr().out
    assert list(tmp_path.glob("*.tar.gz")) == []


def test_json_is_one_document_with_what_was_written(box: SecretBox, capsys: pytest.CaptureFixture[str]) -> None:
    assert support(box, "--json", "-o", "a.tar.gz") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["schema"] == "edged.support/1"
    assert [one["name"] for one in told["members"]] != []
    assert told["bytes"] == Path("a.tar.gz").stat().st_size
    assert CANARY not in json.dumps(told)
    assert support(box, "--json", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["path"] is None


def test_a_bound_leaves_out_what_is_least_telling(box: SecretBox, capsys: pytest.CaptureFixture[str]) -> None:
    (box.state / "history" / "00000000.ring").write_bytes(framed(b"B", hashlib.shake_256(b"noise").digest(700_000)))
    assert support(box, "--json", "--max-mb", "0.3", "-o", "a.tar.gz") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["left_out"] if "no room" in one["why"]] == ["history/00000000.ring"]
    assert Path("a.tar.gz").stat().st_size <= 300_000


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (("--max-mb", "0.01"), 2, "expected 0.2 to 1000"),
        (("-o", "absent/a.tar.gz"), 2, "is no folder, expected one; make it"),
        (("--config", "absent.toml"), 2, "expected a configuration"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    box: SecretBox, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], status: int, said: str
) -> None:
    assert support(box, *more) == status
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_check_that_breaks_costs_itself_alone_and_is_told(
    box: SecretBox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks(_file: Path) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("edgectl.support.check_all", breaks)
    assert support(box, "--json", "-o", "a.tar.gz") == 0
    assert {"check.json", "models.json"} <= {one["name"] for one in json.loads(capsys.readouterr().out)["members"]}
    with tarfile.open("a.tar.gz") as tar:
        told = json.load(tar.extractfile("a/check.json"))  # type: ignore[arg-type] # it is a file
    assert told["error"] == "ZeroDivisionError()"
    assert "breaks" in " ".join(told["at"])


def test_what_cameras_saw_is_left_out_of_what_the_daemon_says() -> None:
    said = {
        "device": "press-07",
        "pipelines": [{"name": "gate", "answer": "person 0.9", "scores": [1], "events": [2], "unknown": 3}],
    }
    assert without_answers(said) == {"device": "press-07", "pipelines": [{"name": "gate", "unknown": 3}]}


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "is_written"), [("y\r", True), ("n\r", False)])
def test_on_a_terminal_it_asks_first(box: SecretBox, screens: list[PtyScreen], answer: str, is_written: bool) -> None:
    file = box.folder / "a.tar.gz"
    words = ("--no-doctor", "--config", str(box.config), "--log", str(box.log), "-o", str(file))
    screen = PtyScreen("support", *words, columns=100, lines=50)
    screens.append(screen)
    shown = screen.until(lambda text: "[Y/n]" in text and screen.asks, "the question")
    assert "configuration/edged.toml.json" in shown
    assert "the flight recorder" in shown
    assert CANARY not in shown
    assert not file.exists(), "it lists before it writes"
    assert screen.end(answer) == 0
    assert file.exists() == is_written


@pytest.mark.slow
def test_with_doctor_and_a_configuration_that_cannot_be_read_it_is_made_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    box = SecretBox(tmp_path / "box")
    assert main(["support", "--config", str(box.config), "--log", str(box.log), "--json", "-o", "a.tar.gz"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {"doctor.json", "check.json", "configuration/conf.d/20-broken.toml.json"} <= {
        one["name"] for one in told["members"]
    }
    with tarfile.open("a.tar.gz") as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr] # all are files
    assert [name for name, content in files.items() if CANARY.encode() in content] == []


@pytest.mark.slow
def test_the_examples_of_the_page_run(box: SecretBox) -> None:
    for line in (line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()):
        program, verb, *words = shlex.split(line)
        if (program, verb) == ("edgectl", "support"):
            assert main([verb, *words, "--no-doctor", "--config", str(box.config)]) == 0, line
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    with tarfile.open("support.tar.gz") as tar:
        manifest = json.load(tar.extractfile(tar.getnames()[0]))  # type: ignore[arg-type] # it is a file
    assert manifest.keys() == json.loads(example).keys()
    for part in ("members", "left_out"):
        assert manifest[part][0].keys() == json.loads(example)[part][0].keys()
