"""The fleet manager's page: each of its commands is executed, and its tables say what the code does."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from rich.console import Console, RenderableType

from edgectl.cli import main
from edgectl.fleet import planning, screen
from edgectl.fleet.forecast import Forecast
from edgectl.fleet.plan import Plan, read_plan
from edgectl.fleet.rollout import Box, Decision, Status
from edgectl.fleet.settings import read_settings
from edged.config.load import load
from edged.config.share import shipped
from edged.update.manifest import read_bundle
from fakes.brokers import BrokerProcess, free_port
from fakes.fleetbox import FleetBox
from fakes.ladderbundle import ladder_bundle

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "fleet.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(sh|toml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DEVICES = ("press-01", "press-02", "press-03")


class Manager:
    """Does what the page says in a folder of its own; only the port is another one, and looks follow each other faster."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._running: list[subprocess.Popen[str]] = []
        self._boxes: list[FleetBox] = []
        self._broker: BrokerProcess | None = None

    def write(self, text: str) -> None:
        """Write a file that begins with its name."""
        (self.folder / text.split()[1]).write_text(text.replace("port = 1883", f"port = {self.port}"), encoding="utf-8")

    def run(self, line: str) -> int:
        """Carry a command out; what runs until it is stopped goes on beside."""
        program, *words = shlex.split(line)
        if program == "mosquitto":
            self._serve(words)
            return 0
        if words[:3] == ["fleet", "broker", "init"]:
            words += ["--port", str(self.port)]
        if words[:2] == ["fleet", "rollout"]:
            words += ["--every-s", "0.2"]
        if words[:2] == ["fleet", "serve"]:
            command = [sys.executable, "-c", "import sys; from edgectl.cli import main; sys.exit(main())", *words]
            started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
            self._running.append(started)
            assert started.stderr is not None
            return 0 if "serves" in started.stderr.readline() else 1
        assert program == "edgectl"
        return main(words)

    def close(self) -> None:
        for started in self._running:
            started.terminate()
            started.communicate(timeout=60)
        for box in self._boxes:
            box.close()
        if self._broker is not None:
            self._broker.close()

    def _serve(self, words: list[str]) -> None:
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("needs mosquitto: it is not on PATH")
        conf = Path(words[1])
        # Started by root it would become another user, who may not enter the folders of these tests.
        conf.write_text(conf.read_text() + ("user root\n" if os.geteuid() == 0 else ""))
        self._broker = BrokerProcess([program, *words], self.port)
        for name in DEVICES:
            password = Path("broker", "passwords", name).read_text().strip()
            self._boxes.append(FleetBox(self.port, name, model="sensor-forecast", password=password))


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shipped("models") / "sensor-forecast", tmp_path / "sensor-forecast")
    made = Manager(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
def test_each_command_of_the_page_does_what_it_says(manager: Manager, capsys: pytest.CaptureFixture[str]) -> None:
    ends: dict[str, int] = {}
    for language, text in BLOCK.findall(PAGE):
        if language == "toml":
            manager.write(text)
            continue
        for line in text.splitlines():
            ends[line] = manager.run(line)
    said = capsys.readouterr().out
    # The boxes of this test tell no hardware, and `plan` says so with its status.
    assert {line: status for line, status in ends.items() if status} == {"edgectl fleet plan sensor-forecast": 1}
    assert "3 boxes, 3 online" in said
    assert "autumn canary paused" in said
    assert "autumn all finished: 3 succeeded" in said
    assert "5 boxes converged in" in said
    assert read_settings(manager.folder / "fleet.toml").releases().by == "A. Fleet"
    assert read_plan(manager.folder / "autumn.toml").groups == ("line-a",)
    assert load(manager.folder / "edged.toml").faults == ()


def test_every_verb_is_shown() -> None:
    shown = set(re.findall(r"^edgectl fleet (\w+)", PAGE, re.MULTILINE))
    helped = subprocess.run(
        [
            sys.executable,
            "-c",
            "from edgectl.fleet.verbs import app; print(*(one.name or one.callback.__name__ for one in app.registered_commands))",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert shown == {*helped, "broker"}


def test_the_keys_of_a_rollouts_file_are_those_of_the_code() -> None:
    between = PAGE.split("|---|---|---|\n")[1].split("<!-- /generated -->")[0]
    assert between == "".join(f"{row}\n" for row in rows(Plan))


def test_the_rollouts_screen_is_that_of_the_code() -> None:
    plan = Plan.model_validate({"name": "autumn", "model": {"name": "sensor-forecast", "version": "1.0.0"}})
    told = {"committed": 60, "rolled-back": 4, "downloading": 20, "": 16, None: 900}
    states = [state for state, count in told.items() for _ in range(count)]
    boxes = {f"{number}": _box(f"{number}", state) for number, state in enumerate(states)}
    names = list(boxes)
    stages = names[:12], names[12:100], names[100:500], names[500:]
    decision = Decision(Status.RUNNING, 1, "36 boxes are under way")
    assert printed(screen.rollout(plan, stages, boxes, decision, now_s=1.0)) in PAGE


def test_the_plans_table_is_that_of_the_code(tmp_path: Path) -> None:
    bundle = read_bundle(ladder_bundle(tmp_path / "crates"))
    why = "large-tflite-int8: needs the runtime 'tflite', which is not installed"
    found = [
        Forecast("press-01", "pi", (), "large-tflite-int8", "", "cpu", 4, 20.0, 40.0, 50.0, 950.0),
        Forecast("press-02", "pi", (), None, why),
        Forecast(
            "press-03",
            "pi",
            (),
            "large-tflite-int8",
            "",
            "cpu",
            4,
            20.0,
            40.0,
            50.0,
            900.0,
            "",
            "large-tflite-int8",
            44.0,
        ),
    ]
    assert printed(planning.page(bundle, found)) in PAGE


def _box(name: str, state: str | None) -> Box:
    return Box(name, "pi", is_online=True, ordered_s=None if state is None else 0.0, reported=state or "")


def printed(shown: RenderableType) -> str:
    """Give what a terminal of the usual width would show, without its colours and the blanks behind each line."""
    page = Console(highlight=False, width=screen.WIDTH, file=StringIO(), color_system=None)
    with page.capture() as captured:
        page.print(shown)
    lines = "\n".join(line.rstrip() for line in captured.get().splitlines())
    return lines.strip("\n") + "\n"


def rows(part: type[BaseModel], before: str = "") -> Iterator[str]:
    """Give the table of a part's keys: name, default, and the docstring behind the field."""
    for name, field in part.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        inner = next((one for one in kinds if isinstance(one, type) and issubclass(one, BaseModel)), None)
        if inner is None or inner is not field.annotation:
            told = " ".join((field.description or "").split())
            yield f"| `{before}{name}` | {shown(field.get_default())} | {told} |"
        if inner is not None:
            yield from rows(inner, f"{before}{name}.")


def shown(default: Any) -> str:
    if default is PydanticUndefined or default in ((), ""):
        return "needed" if default is PydanticUndefined else "none"
    if isinstance(default, tuple):
        return ", ".join(f"{one.name} {one.share:g}" for one in default)
    return f"`{default:.12g}`" if isinstance(default, float) else f"`{str(default).lower()}`"
