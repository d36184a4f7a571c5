"""A pipeline learns what is normal on its box: through the real daemon, over a real broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fakes.brokers import BrokerProcess
from fakes.commander import Commander
from fakes.daemon import DaemonProcess, Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle
from fakes.subscriber import Document, Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

CALIBRATION = "\n[calibration]\nseconds = 3\nunlike = 2.5\n"
"""47 windows of 64 samples at a thousand a second."""
RULE = '[[pipeline.rule]]\nname = "shakes"\nwhen = { anomaly = true }\nfor_s = 0.2\n'


@pytest.fixture
def fleet(broker: BrokerProcess) -> Iterator[Subscriber]:
    """Give a client that hears what devices say, and not what is said to them."""
    made = Subscriber(broker.port, "edged/v1/d/+/out/#")
    yield made
    made.close()


def write_noise(file: Path, *, strength: float = 1.0, seconds: int = 10) -> Path:
    """Write a recording of noise: normal running at strength 1."""
    values = np.random.default_rng(3).normal(5.0, strength, seconds * 1000)
    file.write_text("x\n" + "\n".join(f"{value:.5f}" for value in values) + "\n")
    return file


@pytest.fixture
def config(tmp_path: Path, broker: BrokerProcess) -> Path:
    """Give the configuration of a sensor that runs normally for ever."""
    bundle = sensor_bundle(tmp_path / "models" / "level")
    with (bundle / "model.toml").open("a") as manifest:
        manifest.write(CALIBRATION)
    source = csv_source(write_noise(tmp_path / "spindle.csv"), more='pace = "recorded"\nloop = true')
    return write_config(tmp_path, broker.port, source + pipeline("a", more=RULE))


def results(fleet: Subscriber) -> list[Document]:
    return fleet.of("result/a")


def calibration(fleet: Subscriber) -> Document:
    """Give what the newest word about the models says of the pipeline."""
    return next(iter(fleet.last("models").get("calibrations", ())), {})


def states(fleet: Subscriber) -> list[str]:
    """Give what each word about the models says of the pipeline."""
    return [calibration["state"] for models in fleet.of("models") for calibration in models["calibrations"]]


def learning(fleet: Subscriber) -> list[Document]:
    """Give each health that says that it learns."""
    return [one for one in fleet.of("health") if "calibrating" in {reason["code"] for reason in one["reasons"]}]


def until_calibrated(fleet: Subscriber) -> Document:
    until(lambda: calibration(fleet).get("state") == "calibrated", "calibrated")
    return calibration(fleet)


def test_results_are_unknown_until_it_has_learned_and_health_says_so(config: Path, run: Run, fleet: Subscriber) -> None:
    run(config)
    learned = until_calibrated(fleet)
    assert {health["state"] for health in learning(fleet)} == {"ok"}, "it is said, and no fault"
    until(lambda: results(fleet)[-1]["status"] == "ok", "an answer")
    until(lambda: "calibrating" not in fleet.codes(), "it says no more that it learns")

    told = [(one["status"], one.get("reason")) for one in results(fleet)]
    unknown = told.count(("unknown", "calibrating"))
    assert told[:unknown] == [("unknown", "calibrating")] * unknown
    assert unknown == learned["windows"] == 47
    assert not any("anomaly" in one for one in results(fleet)[:unknown])
    assert results(fleet)[unknown]["anomaly"]["threshold"] == pytest.approx(learned["threshold"], abs=1e-6)
    assert (learned["pipeline"], learned["model"], learned["version"]) == ("a", "level", "1.0.0")
    assert learned["seconds"] == pytest.approx(3.0, abs=0.1)
    assert not fleet.of("event/a")


def test_it_remembers_across_restarts_and_tells_a_fault_at_once(config: Path, run: Run, fleet: Subscriber) -> None:
    first = run(config)
    learned = until_calibrated(fleet)
    assert first.stop()[0] == 0
    until(lambda: fleet.last("status")["state"] == "offline", "the last that it says")
    before = len(results(fleet))

    write_noise(config.with_name("spindle.csv"), strength=4.0)
    run(config)
    until(lambda: len(results(fleet)) > before + 10, "results")
    until(lambda: fleet.of("event/a"), "an event")

    assert {one["status"] for one in results(fleet)[before:]} == {"ok"}
    assert all(one["anomaly"]["is_anomaly"] for one in results(fleet)[before:])
    assert calibration(fleet) == learned


def test_a_kill_while_it_learns_leaves_nothing_half_learned(config: Path, run: Run, fleet: Subscriber) -> None:
    first = run(config)
    until(lambda: len(results(fleet)) > 20, "results")
    first.kill()
    before = len(results(fleet))
    run(config)
    until_calibrated(fleet)
    until(lambda: results(fleet)[-1]["status"] == "ok", "an answer")
    # What was on its way when it was killed may be sent twice: its number says so.
    said = {one["seq"] for one in results(fleet)[:before]}
    again = {one["seq"]: one["status"] for one in results(fleet)[before:] if one["seq"] not in said}
    assert list(again.values()).count("unknown") == 47


def test_recalibrate_forgets_and_learns_anew(config: Path, run: Run, fleet: Subscriber, hand: Commander) -> None:
    daemon: DaemonProcess = run(config)
    before = until_calibrated(fleet)
    kept = config.with_name("state") / "calibration" / "a.npz"
    assert kept.exists()

    nobody = hand.ask("recalibrate")
    assert (nobody["ok"], nobody["code"]) == (False, "unknown-pipeline")
    assert nobody["message"] == "cannot recalibrate all pipelines: expected one that learns what is normal: a"
    assert kept.exists()

    said, told = len(states(fleet)), len(results(fleet))
    answer = hand.ask("recalibrate", pipeline="a")
    assert (answer["ok"], answer["result"]) == (True, {"pipelines": ["a"]})
    assert not kept.exists()
    until(lambda: "calibrating" in {one.get("reason") for one in results(fleet)[told:]}, "its results are unknown")
    until(
        lambda: states(fleet)[said:][-1:] == ["calibrated"] and "calibrating" in states(fleet)[said:], "it learns anew"
    )
    assert calibration(fleet)["since"] > before["since"]
    assert kept.exists()
    assert not daemon.ended


def test_a_sensor_that_stands_still_teaches_nothing(config: Path, run: Run, fleet: Subscriber) -> None:
    write_noise(config.with_name("spindle.csv"), strength=0.0)
    run(config)
    until(lambda: "calibration-refused" in fleet.codes(), "refused")
    refused = (
        "cannot calibrate: channel 0 stood still in 47 of 47 windows, expected a sensor that varies in 90% of them"
    )
    assert refused in fleet.reason("a")
    assert fleet.last("health")["state"] == "degraded"
    until(lambda: calibration(fleet).get("reason"), "the models' word")
    assert calibration(fleet)["state"] == "calibrating"
    assert {one["status"] for one in results(fleet)} == {"unknown"}
    assert not (config.with_name("state") / "calibration").exists()


def test_a_recording_at_full_speed_calibrates_as_well_and_a_pipeline_may_ask_for_longer(
    config: Path, run: Run, fleet: Subscriber
) -> None:
    text = config.read_text().replace('pace = "recorded"\nloop = true', 'pace = "fast"')
    config.write_text(text.replace('model = "level"', 'model = "level"\ncalibrate_s = 6'))
    assert run(config).wait() == 0
    until(lambda: len(results(fleet)) >= 156, "every result")
    told = [one["status"] for one in results(fleet)]
    assert told == ["unknown"] * 94 + ["ok"] * 62
    assert (config.with_name("state") / "calibration" / "a.npz").exists()
