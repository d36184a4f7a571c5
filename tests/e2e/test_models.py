"""Models that come, change and go while the daemon runs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a folder with the model ``level``."""
    sensor_bundle(tmp_path / "models" / "level-1")
    return tmp_path / "models"


@pytest.fixture
def config(models: Path, broker: BrokerProcess, tmp_path: Path) -> Path:
    """Give the configuration of a pipeline with about 16 windows a second and no end."""
    del models
    recording = write_windows(tmp_path / "spindle.csv", range(100))
    source = csv_source(recording, more='pace = "recorded"\nloop = true')
    return write_config(tmp_path, broker.port, source + pipeline("a"))


def version_of(fleet: Subscriber, name: str) -> str:
    return str(fleet.last(f"result/{name}").get("model", {}).get("version", ""))


def test_a_new_version_goes_live_without_a_restart_and_bad_ones_are_refused(
    fleet: Subscriber, run: Run, models: Path, config: Path
) -> None:
    daemon = run(config)
    until(lambda: version_of(fleet, "a") == "1.0.0", "the first version")

    sensor_bundle(models / "level-2", version="2.0.0")
    daemon.reload()
    until(lambda: version_of(fleet, "a") == "2.0.0", "the second version")

    sensor_bundle(models / "level-3", version="3.0.0", golden=5.0)
    daemon.reload()
    until(lambda: slot(fleet).get("state") == "failed", "the third version is refused")
    assert "golden sample first.npy" in slot(fleet)["reason"]

    weights = sensor_bundle(models / "level-4", version="4.0.0") / "model.tflite"
    weights.write_bytes(weights.read_bytes() + b"\0")
    daemon.reload()
    until(lambda: "truncated or altered" in slot(fleet).get("reason", ""), "the fourth version is refused")

    assert slot(fleet)["active"]["version"] == "2.0.0"
    assert slot(fleet)["previous"]["version"] == "1.0.0"
    assert [held["version"] for held in slot(fleet)["quarantined"]] == ["3.0.0"]
    before = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) > before + 5, "it goes on")
    assert daemon.stop()[0] == 0
    versions = [result["model"]["version"] for result in fleet.of("result/a")]
    assert versions == sorted(versions)
    assert set(versions) == {"1.0.0", "2.0.0"}
    frames = [result["frame"] for result in fleet.of("result/a")]
    assert frames == list(range(frames[0], frames[0] + len(frames)))  # the exchange cost no window


def test_other_content_under_the_same_version_goes_live_too(
    fleet: Subscriber, run: Run, models: Path, config: Path
) -> None:
    daemon = run(config)
    until(lambda: fleet.of("result/a"), "a result")
    before = fleet.of("result/a")[-1]["anomaly"]["threshold"]

    manifest = models / "level-1" / "model.toml"
    text, count = re.subn(r"threshold = .*", f"threshold = {before + 1.0}", manifest.read_text(encoding="utf-8"))
    assert count == 1
    manifest.write_text(text, encoding="utf-8")
    daemon.reload()

    until(lambda: fleet.of("result/a")[-1]["anomaly"]["threshold"] == before + 1.0, "the new threshold")
    assert daemon.stop()[0] == 0


def slot(fleet: Subscriber) -> dict[str, Any]:
    return next((model for model in fleet.last("models").get("models", ()) if model["name"] == "level"), {})


def more_results(fleet: Subscriber, count: int = 5) -> None:
    before = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) >= before + count, f"{count} more results")


def test_a_pipeline_whose_model_comes_later_is_told_and_then_runs(
    fleet: Subscriber, run: Run, models: Path, config: Path
) -> None:
    shutil.rmtree(models / "level-1")
    daemon = run(config)
    until(lambda: "cannot find model 'level'" in fleet.reason("a"), "it says so")
    assert fleet.last("health")["state"] == "failed"

    sensor_bundle(models / "level-1")
    daemon.reload()

    more_results(fleet)
    until(lambda: fleet.last("health")["state"] == "ok", "all is well")
    assert daemon.stop()[0] == 0


def test_a_model_whose_folder_goes_away_runs_on_from_the_store(
    fleet: Subscriber, run: Run, models: Path, config: Path
) -> None:
    daemon = run(config)
    more_results(fleet)

    shutil.rmtree(models / "level-1")
    daemon.reload()
    more_results(fleet)
    assert daemon.stop()[0] == 0
    daemon.start()
    more_results(fleet)

    until(lambda: fleet.last("health")["state"] == "ok", "all is well")
    assert daemon.stop()[0] == 0
    assert "Traceback" not in daemon.said()


def test_a_new_version_with_another_window_runs_too(fleet: Subscriber, run: Run, models: Path, config: Path) -> None:
    daemon = run(config)
    more_results(fleet)

    sensor_bundle(models / "level-2", version="2.0.0", length=32)
    daemon.reload()

    until(lambda: version_of(fleet, "a") == "2.0.0", "the second version")
    more_results(fleet)
    until(lambda: fleet.last("health")["state"] == "ok", "all is well")
    assert daemon.stop()[0] == 0


def test_reloads_in_a_burst_bring_the_newest_version(fleet: Subscriber, run: Run, models: Path, config: Path) -> None:
    daemon = run(config)
    more_results(fleet)

    for major in range(2, 6):
        sensor_bundle(models / f"level-{major}", version=f"{major}.0.0")
        daemon.reload()

    until(lambda: version_of(fleet, "a") == "5.0.0", "the newest version")
    more_results(fleet)
    assert daemon.stop()[0] == 0
    assert "Traceback" not in daemon.said()


def test_a_bundle_that_does_not_run_is_told_in_health_until_it_is_cured(
    fleet: Subscriber, run: Run, models: Path, config: Path
) -> None:
    daemon = run(config)
    until(lambda: fleet.of("result/a"), "a result")
    assert "model-refused" not in fleet.codes()

    refused = sensor_bundle(models / "level-2", version="2.0.0", golden=5.0)
    sensor_bundle(models / "other", name="other")
    (models / "other" / "model.toml").write_text("name = ")
    daemon.reload()
    until(lambda: "1.0.0 goes on: cannot activate level 2.0.0: golden sample" in fleet.reason("model:level"), "told")
    until(lambda: "cannot use bundle" in fleet.reason("model:other"), "what nobody asks for is told, too")
    assert fleet.last("health")["state"] == "degraded"

    shutil.rmtree(refused)
    shutil.rmtree(models / "other")
    daemon.reload()
    until(lambda: fleet.codes() == set(), "cured")
    assert daemon.stop()[0] == 0


def test_a_models_directory_that_is_gone_lets_nothing_older_go_live_and_is_told(
    fleet: Subscriber, run: Run, models: Path, broker: BrokerProcess, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    sensor_bundle(stick / "level-2", version="2.0.0")
    recording = write_windows(tmp_path / "s.csv", range(100))
    source = csv_source(recording, more='pace = "recorded"\nloop = true')
    config = write_config(tmp_path, broker.port, source + pipeline("a"), models=(stick, models))
    daemon = run(config)
    until(lambda: version_of(fleet, "a") == "2.0.0", "the stick's version")
    assert daemon.stop()[0] == 0

    stick.rename(tmp_path / "pulled")
    fleet.heard.clear()
    daemon = run(config)
    until(lambda: fleet.of("result/a"), "a result")
    until(lambda: "models-directory-absent" in fleet.codes(), "told")
    assert {result["model"]["version"] for result in fleet.of("result/a")} == {"2.0.0"}

    (tmp_path / "pulled").rename(stick)
    daemon.reload()
    until(lambda: fleet.codes() == set(), "cured")
    assert daemon.stop()[0] == 0


def test_a_new_version_that_takes_longer_windows_goes_live_without_a_failure(
    fleet: Subscriber, run: Run, models: Path, config: Path
) -> None:
    daemon = run(config)
    until(lambda: fleet.of("result/a"), "a result")
    sensor_bundle(models / "level-2", version="2.0.0", length=128)
    daemon.reload()
    until(lambda: version_of(fleet, "a") == "2.0.0", "the second version")
    assert daemon.stop()[0] == 0
    assert {result["status"] for result in fleet.of("result/a")} == {"ok"}
    assert "worker.failed" not in daemon.said()
