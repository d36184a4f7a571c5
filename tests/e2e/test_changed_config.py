"""A configuration that is faulty, unreadable, absent, or changed while the daemon runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.recordedlevels import endless
from fakes.sensor import pipeline
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("models")]


BAD_SECTION = '[[pipeline]]\nname = "typo"\nsource = "spindle"\nmodle = "level"\n'


def test_one_faulty_pipeline_never_stops_the_others_and_is_named(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    body = endless(recording) + pipeline("a") + pipeline("stranger", model="unheard-of") + BAD_SECTION
    body += '[[source]]\nname = "gone"\nkind = "csv"\npath = "/absent.csv"\ncolumns = ["x"]\nrate_hz = 1\n'
    body += pipeline("blind", source="gone")
    config = write_config(tmp_path, broker.port, body)
    daemon = run(config)

    until(lambda: fleet.of("result/a"), "results of the good one")
    until(lambda: all(fleet.reason(name) for name in ("stranger", "typo", "gone")), "all three in the health")

    assert "unheard-of" in fleet.reason("stranger")
    assert "modle" in fleet.reason("typo")
    assert "/absent.csv" in fleet.reason("gone")
    assert fleet.last("health")["state"] == "degraded"
    assert daemon.stop()[0] == 0
    check = edged("check", "--config", config, "--json")
    assert check.status == 2
    assert {fault["pipeline"] for fault in json.loads(check.out)["faults"]} >= {"stranger", "typo"}


def test_a_configuration_that_cannot_be_read_falls_back_on_the_last_that_ran(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.port, endless(recording) + pipeline("a"))
    first = run(config)
    until(lambda: fleet.of("result/a"), "it ran once")
    first.stop()
    before = len(fleet.of("result/a"))
    config.write_text("[device\n")

    run(config, env={"STATE_DIRECTORY": str(tmp_path / "state")})

    until(lambda: "config-fallback" in fleet.codes(), "it says so")
    until(lambda: len(fleet.of("result/a")) > before, "it runs")
    assert str(config) in fleet.reason("config")


def test_without_one_it_ends_with_2_and_one_line(tmp_path: Path) -> None:
    config = tmp_path / "edged.toml"
    config.write_text("[device\n")

    done = edged("run", "--config", config, env={"STATE_DIRECTORY": str(tmp_path / "state")})

    assert done.status == 2
    (line,) = done.err.splitlines()
    assert str(config) in line


def test_a_reload_starts_what_is_new_and_leaves_alone_what_is_not(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.port, endless(recording) + pipeline("a"))
    daemon = run(config)
    until(lambda: fleet.of("result/a"), "the first pipeline")

    body = endless(recording) + endless(recording, "other") + pipeline("a") + pipeline("b", source="other")
    write_config(tmp_path, broker.port, body)
    daemon.reload()
    until(lambda: len(fleet.of("result/b")) > 2, "the second pipeline")
    daemon.stop()

    frames = [result["frame"] for result in fleet.of("result/a")]
    assert frames == sorted(set(frames))  # it was not begun anew
    assert numbers(fleet.of("result/b"))[:3] == [1, 2, 3]


def test_a_reload_while_it_still_starts_is_done_once_it_stands(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.port, endless(recording) + pipeline("a"))
    daemon = run(config)
    until((tmp_path / "state" / "lock").exists, "it has read its configuration")

    write_config(tmp_path, broker.port, endless(recording) + pipeline("b"))
    daemon.reload()

    until(lambda: fleet.of("result/b"), "the pipeline of the second configuration")
    assert daemon.stop()[0] == 0


def test_a_reload_of_a_bad_file_keeps_what_runs_and_says_so(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.port, endless(recording) + pipeline("a"))
    good = config.read_text()
    daemon = run(config)
    until(lambda: fleet.of("result/a"), "it runs")

    config.write_text("[device\n")
    daemon.reload()
    until(lambda: "reload-refused" in fleet.codes(), "the refusal")
    assert str(config) in fleet.reason("config")
    before = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) > before + 5, "it goes on")
    config.write_text(good)
    daemon.reload()
    until(lambda: fleet.last("health")["state"] == "ok", "all is well again")

    assert daemon.stop()[0] == 0
