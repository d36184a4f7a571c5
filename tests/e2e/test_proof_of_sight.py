"""A box that says nothing is told from one that sees nothing, and one that sees wrong is found out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgectl.cli import main
from edged.assembly.coverage_store import CoverageStore
from fakes.brokers import BrokerProcess
from fakes.commander import Commander
from fakes.daemon import Run, write_config
from fakes.faketpu import FakeTpus, birds, profile
from fakes.liar import HONEST, LIAR, LIE, install_liar, lying_bundle
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.serialline import Sensor
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

SERIAL = '[[source]]\nname = "spindle"\nkind = "serial"\nport = "{port}"\ncolumns = ["x"]\nrate_hz = 500.0\n'
PROFILE = """
name = "lab"
match = { arch = ["x86_64", "aarch64"] }
prefer = [{ accelerator = "cpu", runtime = "liar" }, { accelerator = "cpu", runtime = "tflite" }]
[limits]
memory_mb = 1000
temperature_c = { soft = 85, hard = 95 }
"""
BLIND_S = 6
GREY = 90
PERIOD_S = 4


def coverage(state: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Give what the verb tells, with the minute that goes on: one document, two around midnight."""
    told = []
    for day in CoverageStore(state).days():
        assert main(["coverage", "a", "--day", day, "--state", str(state), "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    return told


def blind_s(told: list[dict[str, Any]], cause: str) -> float:
    return sum(float(one["sum"]["blind_s"].get(cause, 0)) for one in told)


def test_each_blind_second_has_its_cause_and_the_days_minutes_leave_none_out(
    sensor: Sensor,
    hand: Commander,
    broker: BrokerProcess,
    fleet: Subscriber,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    body = SERIAL.format(port=sensor.port) + pipeline("a")
    daemon = run(write_config(tmp_path, broker.port, body))
    until(lambda: len(fleet.of("result/a")) > 10, "results came")

    with sensor.lock:
        sensor.unplug()
    until(lambda: fleet.codes() & {"serial-lost", "serial-missing"}, "the loss is told")
    time.sleep(BLIND_S)
    with sensor.lock:
        sensor.plug()
    before = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) > before + 10, "results came again")
    state = tmp_path / "state"
    until(
        lambda: blind_s(coverage(state, capsys), "source") >= BLIND_S - 1,
        "the fault that was just made is in the table",
    )
    assert hand.ask("pause", pipeline="a")["ok"]
    # It looks once a second: the looks at either end may count for what was before and after.
    time.sleep(BLIND_S + 1)
    assert hand.ask("resume", pipeline="a")["ok"]
    time.sleep(2)
    assert daemon.stop()[0] == 0

    told = coverage(state, capsys)
    assert BLIND_S - 1 <= blind_s(told, "paused") <= BLIND_S + 5
    assert sum(one["sum"]["seen_s"] for one in told) > 3
    for minute in [minute for one in told for minute in one["minutes"]][:-1]:
        assert minute["seen_s"] + sum(minute["blind_s"].values()) + minute["down_s"] == pytest.approx(60)
    (last,) = {json.dumps(document["coverage"]["a"]["day"], sort_keys=True) for document in fleet.of("telemetry")[-1:]}
    assert "seen_s" in json.loads(last)
    assert fleet.last("telemetry")["energy"]["source"] in {"unknown", "rapl", "ina3221"}


def start(run: Run, broker: BrokerProcess, folder: Path, *, honest: bool) -> Path:
    """Start a daemon on an engine that lies once the file is there that is given."""
    lying_bundle(folder / "models" / "level", honest=honest)
    recording = write_windows(folder / "spindle.csv", range(1, 101))
    body = csv_source(recording, more='pace = "recorded"\nloop = true') + pipeline("a")
    config = write_config(folder, broker.port, body)
    (folder / "profiles").mkdir()
    (folder / "profiles" / "lab.toml").write_text(PROFILE, "utf-8")
    extra = f'[profiles]\ndirectories = ["{folder / "profiles"}"]\n[models]\nmeasure = "off"\nselftest_s = {PERIOD_S}\n'
    text = config.read_text("utf-8").replace("[models]\n", extra)
    config.write_text(text.replace("[device]\n", '[device]\nprofile = "lab"\n'), "utf-8")
    lie = folder / "lie"
    run(config, env={"PYTHONPATH": str(install_liar(folder / "packages")), LIE: str(lie)})
    return lie


def is_false(result: dict[str, Any]) -> bool:
    return bool(result["anomaly"]["score"] < 0.5)  # every window scores 1 or more


def test_a_lie_is_found_within_a_period_its_results_are_declared_suspect_and_the_next_rung_takes_over(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    lie = start(run, broker, tmp_path, honest=True)
    until(lambda: len(fleet.of("result/a")) > 20, "results came")
    assert {result["model"]["variant"] for result in fleet.of("result/a")} == {LIAR}

    lie.touch()
    began = time.monotonic()
    until(lambda: [one for one in fleet.of("alert") if one["code"] == "suspect"], "the lie is found", PERIOD_S + 5)
    took_s = time.monotonic() - began
    until(lambda: fleet.last("result/a")["model"]["variant"] == HONEST, "the next rung serves")
    until(lambda: "suspect" in fleet.codes(), "the health says so")

    (alert,) = [one for one in fleet.of("alert") if one["code"] == "suspect"]
    declared = alert["suspect"]
    false = [result for result in fleet.of("result/a") if is_false(result)]
    assert false
    assert took_s <= PERIOD_S + 2
    assert {result["model"]["variant"] for result in false} == {LIAR}
    for result in false:
        is_declared = declared["first_mono_ms"] <= result["mono_ms"] <= declared["last_mono_ms"]
        assert is_declared or result["status"] == "suspect"
        assert is_declared == (declared["first_seq"] <= result["seq"] <= declared["last_seq"])
    assert declared["results"] >= len([one for one in false if one["status"] == "ok"])
    until(lambda: fleet.last("result/a")["status"] == "ok", "the next rung is believed")
    assert not is_false(fleet.last("result/a"))
    assert "quick on cpu answers wrong" in fleet.reason("a")

    lie.unlink()
    until(lambda: fleet.last("result/a")["model"]["variant"] == LIAR, "it is taken back once it answers right")
    until(lambda: not fleet.codes(), "all is well")
    exchanges = [one["message"] for one in fleet.of("alert") if one["code"] == "variant-exchanged"]
    assert len(exchanges) == 2, exchanges


def golden_of_the_fake(bundle: Path) -> None:
    """Give the variant ``tpu`` a golden sample: the fake answers with a class that it counts from its input (FNV-1a)."""
    (bundle / "golden").mkdir()
    cv2.imwrite(str(bundle / "golden" / "grey.png"), np.full((128, 128, 3), GREY, np.uint8))
    counted = 2166136261
    for _ in range(128 * 128 * 3):
        counted = (counted ^ GREY) * 16777619 & 0xFFFFFFFF
    labels = (bundle / "imagenet_labels_1001.txt").read_text("utf-8").splitlines()
    answer = {"classes": [{"label": labels[counted % len(labels)].strip(), "score": 1.0}]}
    (bundle / "golden" / "grey.json").write_text(json.dumps(answer), "utf-8")
    manifest = bundle / "model.toml"
    first, tpu, plain = manifest.read_text("utf-8").split("[[variant]]")
    golden = '[variant.golden]\nsamples = "golden/"\n'
    manifest.write_text(f"{first}[[variant]]{tpu}{golden}\n[[variant]]{plain}", "utf-8")


@pytest.mark.assets
def test_an_edge_tpu_that_lies_is_found_within_a_period_and_the_processor_takes_over(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path, assets: Path
) -> None:
    tpus = FakeTpus(tmp_path / "tpus")
    golden_of_the_fake(birds(tmp_path / "models" / "birds", assets))
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), np.full((128, 128, 3), GREY, np.uint8))
    source = f'[[source]]\nname = "dock"\nkind = "images"\npath = "{tmp_path / "pictures"}"\nloop = true\nfps = 5\n'
    body = source + pipeline("a", source="dock", model="birds")
    config = write_config(tmp_path, broker.port, body, more=profile(tmp_path / "profiles") + tpus.config())
    text = config.read_text("utf-8").replace("[models]\n", f'[models]\nmeasure = "off"\nselftest_s = {PERIOD_S}\n')
    config.write_text(text.replace("[device]\n", '[device]\nprofile = "with-edge-tpu"\n'), "utf-8")
    run(config, env=tpus.env)
    until(lambda: len(fleet.of("result/a")) > 10, "results came")
    assert {(one["model"]["variant"], one["status"]) for one in fleet.of("result/a")} == {("tpu", "ok")}
    (right,) = {one["classes"][0]["label"] for one in fleet.of("result/a")}

    tpus.say("lie")
    until(lambda: [one for one in fleet.of("alert") if one["code"] == "suspect"], "the lie is found", PERIOD_S + 5)
    until(lambda: fleet.last("result/a")["model"]["variant"] == "plain", "the processor serves")

    (alert,) = [one for one in fleet.of("alert") if one["code"] == "suspect"]
    declared = alert["suspect"]
    on_tpu = [one for one in fleet.of("result/a") if one["model"]["variant"] == "tpu"]
    false = [one for one in on_tpu if one["classes"][0]["label"] != right]
    assert false
    for one in false:
        is_declared = declared["first_mono_ms"] <= one["mono_ms"] <= declared["last_mono_ms"]
        assert is_declared or one["status"] == "suspect"


def test_with_no_other_rung_results_go_on_as_suspect_until_the_engine_answers_right_again(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    lie = start(run, broker, tmp_path, honest=False)
    until(lambda: len(fleet.of("result/a")) > 20, "results came")
    assert {result["status"] for result in fleet.of("result/a")} == {"ok"}

    lie.touch()
    until(lambda: fleet.last("result/a")["status"] == "suspect", "the lie is found", PERIOD_S + 5)
    lie.unlink()
    until(lambda: fleet.last("result/a")["status"] == "ok", "it is believed again", PERIOD_S + 5)
    until(lambda: not fleet.codes(), "all is well")

    assert len([one for one in fleet.of("alert") if one["code"] == "suspect"]) == 1
