"""``edgectl doctor hardware`` on the real sandbox, with the double of an Edge TPU and boxes made to order."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgectl.checks import hardware
from edgectl.checks.hardware import PLUG_S
from edgectl.checks.rows import Ground, Row
from edgectl.checks.table import GROUPS
from edgectl.cli import main
from edgectl.doctor import examine
from edged.assembly.box import Box
from edged.assembly.compiling import Compiling
from edged.assembly.engines import Engines
from edged.config.schema import Config
from edged.domain.device import Accelerator, Evidence
from edged.hardware.interpreters import Interpreter
from edged.hardware.inventory import take_inventory
from fakes.box import accelerator, inventory, profile
from fakes.faketpu import FakeTpus, birds

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"
STICK = replace(accelerator("edgetpu"), address="2-1", speed_mbps=480, name="Coral USB Accelerator")
GPU = replace(accelerator("nvidia-gpu"), bus="pci", address="0000:01:00.0")


def ground(tmp_path: Path, *found: Accelerator, there: Interpreter | None = None, **more: Any) -> Ground:
    config = Config.model_validate({"device": {"id": "press-07"}, "state": {"directory": str(tmp_path)}})
    has = inventory(*found)
    compiling = Compiling(has, {}, tmp_path, lambda _python: there or Interpreter())
    engines = Engines(state=tmp_path, compiling=compiling)
    box = Box(has, profile({"accelerator": "cpu"}), (), is_this_machine=True, engines=engines)
    return Ground(config, box, **more)


def rows(there: Ground) -> dict[tuple[str, str], Row]:
    return {(row.subject.partition(" ")[0], row.check): row for row in hardware.rows(there)}


def test_a_box_without_accelerators_says_so_and_nothing_fails(tmp_path: Path) -> None:
    found = rows(ground(tmp_path))
    assert found["accelerators", "found"].status == "skipped"
    assert {row.status for row in found.values()} == {"skipped"}


def test_where_it_could_not_look_it_does_not_say_that_there_is_none(tmp_path: Path) -> None:
    there = ground(tmp_path)
    blind = replace(there, box=replace(there.box, inventory=take_inventory(tmp_path)))
    assert rows(blind)["accelerators", "found"].evidence == (
        "unknown: no sys/bus/usb/devices, no sys/bus/pci/devices, no proc/device-tree/compatible"
    )


def test_a_driver_that_is_missing_fails_with_what_installs_it_and_all_else_is_skipped(tmp_path: Path) -> None:
    reason = "no driver is bound: install NVIDIA's driver (module nvidia)"
    found = rows(ground(tmp_path, replace(GPU, usable=False, state="driver-missing", reason=reason)))
    assert found["cuda", "driver"].status == "fail"
    assert found["cuda", "driver"].remedy == "install NVIDIA's driver (module nvidia)"
    assert {found["cuda", name].evidence for name in ("permissions", "runtime", "canary", "hang")} == {"after driver"}
    assert found["tensorrt", "driver"].status == "fail"


def test_a_package_that_is_missing_fails_with_the_command_that_installs_it(tmp_path: Path) -> None:
    found = rows(ground(tmp_path, GPU, there=Interpreter(None, {"onnxruntime": "1.31.1"})))
    assert found["cuda", "runtime"].evidence == "needs onnxruntime-gpu: edged's own interpreter has onnxruntime 1.31.1"
    assert found["cuda", "runtime"].remedy.endswith("-m pip install onnxruntime-gpu")


def test_what_edged_drives_not_is_a_warning(tmp_path: Path) -> None:
    found = rows(ground(tmp_path, accelerator("hailo")))
    assert found["hailo", "found"].status == "warn"
    assert ("hailo", "canary") not in found


def test_a_slow_link_is_a_warning_with_what_to_do(tmp_path: Path) -> None:
    row = rows(ground(tmp_path, STICK))["edgetpu", "link"]
    assert (row.status, row.evidence) == ("warn", "480 Mb/s")
    assert "USB 3" in row.remedy


def test_a_node_that_may_not_be_opened_names_its_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "apex_0").touch()
    card = replace(STICK, bus="pcie", evidence=(Evidence("dev/apex_0", "present"),))
    assert rows(ground(tmp_path, card, root=tmp_path))["edgetpu", "permissions"].status == "ok"
    monkeypatch.setattr(os, "access", lambda *_: False)
    row = rows(ground(tmp_path, card, root=tmp_path))["edgetpu", "permissions"]
    assert row.status == "fail"
    assert re.fullmatch(r"sudo usermod -aG \w+ edged", row.remedy)


def test_a_node_that_a_process_holds_names_it_and_what_frees_it(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    node = tmp_path / "dev" / "apex_0"
    node.touch()
    card = replace(STICK, bus="pcie", evidence=(Evidence("dev/apex_0", "present"),))
    with node.open("rb"):
        row = rows(ground(tmp_path, card, root=tmp_path))["edgetpu", "permissions"]
    assert f"process {os.getpid()}" in row.evidence
    assert row.remedy == "sudo systemctl stop edged"


@pytest.mark.parametrize(
    ("answers", "status", "evidence"),
    [
        ([True, True], "fail", "it did not come back"),
        ([False], "skipped", "as was wished"),
        ([True, False], "skipped", "as was wished"),
    ],
)
def test_whoever_stands_there_is_asked_to_unplug_and_plug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bool], status: str, evidence: str
) -> None:
    monkeypatch.setattr(hardware, "PLUG_S", 0.0)
    assert PLUG_S > 1
    asked: list[str] = []

    def ask(question: str) -> bool:
        asked.append(question)
        return answers[len(asked) - 1]

    subject = hardware.Subject(STICK, "edgetpu", str(tmp_path))
    check = hardware.STEPS[-1]
    # No stick is on this root's bus: it is gone at once, and never back.
    assert check.run(subject, ground(tmp_path, STICK, ask=ask, root=tmp_path))[:2] == (status, evidence)
    assert asked == ["unplug the Coral USB Accelerator", "plug it in again"][: len(answers)]


class TestVerb:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        file = tmp_path / "edged.toml"
        file.write_text(f'[state]\ndirectory = "{tmp_path}"\n[mqtt]\nhots = "broker"\n', "utf-8")
        return file

    def test_a_group_that_is_not_there_is_a_wrong_request(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["doctor", "brokers"]) == 2
        assert "cannot check brokers, expected one of system, packages" in capsys.readouterr().err

    def test_a_configuration_that_is_not_there_is_a_wrong_request(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["doctor", "clock", "--config", str(tmp_path / "none.toml")]) == 2
        assert "expected a configuration; name one with --config" in capsys.readouterr().err

    def test_only_faults_are_shown_when_they_alone_are_wanted_and_a_command_is_whole_when_piped(
        self, config: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["doctor", "configuration", "heat", "disk", "--faults", "--config", str(config)]) == 1
        out = capsys.readouterr().out
        assert out.splitlines()[0] == "configuration"
        assert f"        $ sudoedit {config} && edged check --config {config}\n" in out
        assert not re.search(r"^ +(ok|-) |\x1b", out, re.MULTILINE)

    def test_a_report_names_its_groups_in_their_order_and_counts_its_rows(self, config: Path) -> None:
        report = examine(config, ["heat", "configuration"])
        document = report.document()
        assert document["groups"] == ["configuration", "heat"]
        assert document["daemon"] == {"runs": False, "pid": None}
        assert sum(document["counts"].values()) == len(document["rows"])
        assert document["fails"] == document["counts"]["fail"] == 1


@pytest.mark.slow
@pytest.mark.assets
class TestOnADouble:
    @pytest.fixture
    def tpus(self, tmp_path: Path, assets: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTpus:
        made = FakeTpus(tmp_path / "tpus")
        monkeypatch.setenv("FAKE_EDGETPU", made.env["FAKE_EDGETPU"])
        birds(tmp_path / "models" / "birds", assets)
        config = (
            f'[state]\ndirectory = "{tmp_path}"\n[models]\ndirectories = ["{tmp_path / "models"}"]\n{made.config()}'
        )
        (tmp_path / "edged.toml").write_text(config, "utf-8")
        return made

    def report(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
        status = main(["doctor", "--hardware", "--json", "--config", str(tmp_path / "edged.toml")])
        return status, json.loads(capsys.readouterr().out)

    def test_a_device_that_works_passes_each_check_and_is_open_again_after_a_hang(
        self, tpus: FakeTpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        status, report = self.report(tmp_path, capsys)
        told = {row["check"]: row for row in report["rows"] if row["subject"].startswith("edgetpu")}
        assert {name: row["status"] for name, row in told.items()} == {
            **dict.fromkeys(("found", "driver", "runtime", "canary", "hang"), "ok"),
            **dict.fromkeys(("permissions", "link", "replug"), "skipped"),
        }
        assert told["runtime"]["evidence"] == str(tpus.library)
        assert told["canary"]["details"]["figures"]["runs"] == 30
        assert "libedgetpu.so.1" in told["canary"]["details"]["libraries"]
        assert re.fullmatch(r"ended after \d\.\d s, and opened again within \d\.\d s", told["hang"]["evidence"])
        assert (status, report["fails"]) == (0, 0)
        assert json.loads((tmp_path / "doctor.json").read_text("utf-8")) == report

    def test_a_device_that_does_not_open_fails_the_canary_in_its_words_and_the_status_says_so(
        self, tpus: FakeTpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tpus.say("vanish")
        status, report = self.report(tmp_path, capsys)
        told = {row["check"]: row for row in report["rows"] if row["subject"].startswith("edgetpu")}
        assert told["canary"]["status"] == "fail"
        assert "cannot open Edge TPU usb:0" in told["canary"]["evidence"]
        assert told["canary"]["remedy"].startswith("unplug it")
        assert (told["hang"]["status"], told["hang"]["evidence"]) == ("skipped", "after canary")
        assert (status, report["fails"]) == (1, 1)


@pytest.mark.slow
def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    (tmp_path / "edged.toml").write_text(f'[state]\ndirectory = "{tmp_path}"\n', "utf-8")
    for line in commands:
        # A machine with an accelerator of its own may have one that fails.
        assert main([*shlex.split(line)[1:], "--config", "edged.toml"]) in {0, 1}, capsys.readouterr().out
    kept = json.loads(Path("check.json").read_text(encoding="utf-8"))
    (example,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert kept.keys() == json.loads(example).keys()
    assert kept["rows"][0].keys() == json.loads(example)["rows"][0].keys()


def test_the_page_lists_every_group_and_every_step_of_an_accelerator() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", page, re.MULTILINE) == list(GROUPS)
    steps = page.partition("## `hardware`")[2].partition("\n## ")[0]
    told = re.findall(r"^\| (\w+) \| .+ \|$", steps, re.MULTILINE)
    assert [step.name for step in hardware.STEPS] == told[1:]
