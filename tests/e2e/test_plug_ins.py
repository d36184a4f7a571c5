"""The example package and the page about plug-ins: installed, asked for as the page says, and at work."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.sensor import csv_source, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until
from fakes.wheel import CHECKOUT, installed

pytestmark = pytest.mark.slow

PAGE = (CHECKOUT / "docs" / "plug-ins.md").read_text(encoding="utf-8")
PACKAGE = CHECKOUT / "tests" / "example-package"
SHOWN = re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CONFIGURATION, MANIFEST = re.findall(r":\n\n```toml\n(.*?)^```$", PAGE.split("## Asking")[1], re.DOTALL | re.MULTILINE)
LENGTH = 20


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder that the example package is installed in."""
    return installed(PACKAGE, tmp_path_factory.mktemp("packages"))


def bundle(folder: Path) -> None:
    """Write the page's bundle: it doubles what it is given."""
    folder.mkdir(parents=True)
    np.save(folder / "weights.npy", np.full((LENGTH, 1), 2.0, np.float32))
    digest = hashlib.sha256((folder / "weights.npy").read_bytes()).hexdigest()
    (folder / "model.toml").write_text(MANIFEST.replace("0" * 64, digest), encoding="utf-8")


def test_the_page_shows_the_example_package_whole() -> None:
    files = dict(SHOWN)
    wanted = [file for file in PACKAGE.rglob("*") if file.suffix in {".py", ".toml"} and file.stat().st_size]
    assert files == {str(file.relative_to(PACKAGE)): file.read_text(encoding="utf-8") for file in wanted}


def test_one_of_each_that_a_package_brings_is_at_work(
    packages: Path, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    bundle(tmp_path / "models" / "doubled")
    notes = tmp_path / "notes"
    env = {"PYTHONPATH": str(packages), "EDGED_EXAMPLE_NOTES": str(notes)}
    journal = tmp_path / "everything"
    config = write_config(tmp_path, broker.port, CONFIGURATION.replace("/var/lib/edged/everything", str(journal)))
    assert edged("check", "--config", config, env=env).status == 0

    daemon = run(config, env=env)

    until(lambda: fleet.of("event/glow"), "the event")
    until(notes.exists, "the note of it")
    until(lambda: fleet.of("result/glow"), "the result, which is less urgent than the event")
    result, event = fleet.of("result/glow")[0], fleet.of("event/glow")[0]
    assert result["anomaly"] == {"score": 6.0, "threshold": 5.0, "is_anomaly": True}
    assert (result["model"]["runtime"], result["model"]["accelerator"]) == ("npy", "cpu")
    until(lambda: fleet.last("health") and not fleet.codes(), "all is well")
    assert daemon.stop()[0] == 0
    noted = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    assert [one["phase"] for one in noted] == ["start", "end"]
    assert noted[0] == {key: value for key, value in event.items() if key not in {"device", "seq"}}
    told = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert {"health", "inventory", "models", "result/glow", "event/glow"} <= {one["stream"] for one in told}
    assert {"seq": event["seq"], **next(one for one in told if one["stream"] == "event/glow")} == {
        **event,
        "stream": "event/glow",
    }


def test_an_action_that_fails_costs_no_result_and_is_told(
    packages: Path, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    bundle(tmp_path / "models" / "doubled")

    daemon = run(write_config(tmp_path, broker.port, CONFIGURATION), env={"PYTHONPATH": str(packages)})

    until(lambda: "action-failing" in fleet.codes(), "the failure is told")
    assert "1 of its last 1 runs failed, lately: KeyError: 'EDGED_EXAMPLE_NOTES'" in fleet.reason("glow")
    before = len(fleet.of("result/glow"))
    until(lambda: len(fleet.of("result/glow")) > before + 3, "results go on")
    assert daemon.stop()[0] == 0


def test_a_recording_ends_with_everything_told_to_the_sink(
    packages: Path, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(20))
    journal = tmp_path / "everything"
    sink = f'[[sink]]\nname = "everything"\nkind = "journal"\noptions = {{ file = "{journal}" }}\n'
    body = csv_source(recording) + '[[pipeline]]\nname = "a"\nsource = "spindle"\nmodel = "level"\n'

    daemon = run(write_config(tmp_path, broker.port, body, more=sink), env={"PYTHONPATH": str(packages)})

    assert daemon.wait() == 0
    told = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    until(lambda: len(fleet.of("result/a")) == 20, "all results at the broker")
    assert [one["frame"] for one in told if one["stream"] == "result/a"] == [
        one["frame"] for one in fleet.of("result/a")
    ]


def test_without_the_package_each_fault_is_told(tmp_path: Path) -> None:
    bundle(tmp_path / "models" / "doubled")
    said = edged("check", "--config", write_config(tmp_path, 1, CONFIGURATION))
    assert said.status == 2
    assert "source[0].kind: cannot use 'steady': expected one of 'camera'" in said.out
    assert (
        "cannot find action 'note' among the [[action]] tables and what installed packages bring: expected none"
        in said.out
    )
    assert "cannot find sink 'journal' among what installed packages bring: expected none" in said.out
