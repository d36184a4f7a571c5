"""What a real box does about events: a command, a server, a serial line, the broker; and the log of it."""

from __future__ import annotations

import json
import os
import pty
import socket
import tty
from functools import partial
from pathlib import Path

import pytest

from edged.assembly.acting import FOLDER
from edged.update.journal import read_journal
from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.hooked import hooked
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

FAKE_GPIO = Path(__file__).parents[1] / "fakes" / "gpio"

ACTIONS = """
[[action]]
name = "stop-belt"
kind = "command"
run = ["{script}", "--gently"]
[[action]]
name = "stop-all"
kind = "command"
run = ["{script}", "--all"]
interlock = {{ path = "{folder}/armed" }}
[[action]]
name = "horn"
kind = "serial"
port = "{port}"
text = "HORN {{device}} {{rule}} {{phase}}\\n"
on = ["start", "end"]
[[action]]
name = "mes"
kind = "webhook"
url = "{url}"
token_file = "{folder}/token"
[[action]]
name = "anybody"
kind = "publish"
retain = true
[[action]]
name = "would"
kind = "command"
run = ["/nowhere/at-all"]
dry_run = true
"""
NAMED = '["stop-belt", "stop-all", "horn", "mes", "anybody", "would"]'
RULE = f'[[pipeline.rule]]\nname = "loud"\nwhen = {{ anomaly = true }}\naction = {NAMED}\n'


def test_each_action_is_done_about_the_event_and_noted(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level", threshold=100.0)
    recording = write_windows(tmp_path / "spindle.csv", [*[0] * 5, *[20] * 5, *[0] * 60])
    script = tmp_path / "act.sh"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/ran\ncat > {tmp_path}/given\n', "utf-8")
    script.chmod(0o755)
    (tmp_path / "token").write_text("seven\n", "utf-8")
    master, slave = pty.openpty()
    tty.setraw(slave)
    with hooked(503) as server:
        text = ACTIONS.format(script=script, folder=tmp_path, port=os.ttyname(slave), url=server.url)
        body = csv_source(recording) + pipeline("a", more=RULE)
        config = write_config(tmp_path, broker.port, body, more=text)
        assert edged("check", "--config", config).status == 0

        daemon = run(config)

        assert daemon.wait() == 0
        said = os.read(master, 1000).decode()
        sent = list(server.sent)
    os.close(master)
    os.close(slave)
    until(lambda: fleet.of("action/anybody") and fleet.of("event/a"), "what is published")
    event = next(one for one in fleet.of("event/a") if one["phase"] == "start")
    own = {key: value for key, value in event.items() if key not in {"device", "seq", "schema"}}
    assert (tmp_path / "ran").read_text() == "--gently\n"
    assert own.items() <= json.loads((tmp_path / "given").read_bytes()).items()
    assert said == "HORN press-07 loud start\nHORN press-07 loud end\n"
    assert [headers["authorization"] for headers, _ in sent] == ["Bearer seven"] * len(sent)
    assert own.items() <= sent[0][1].items()
    assert own.items() <= fleet.of("action/anybody")[0].items()
    entries = list(read_journal(tmp_path / "state" / FOLDER))
    done = {(entry.fields["action"], entry.fields["what"], entry.fields["phase"]) for entry in entries}
    assert {
        ("stop-belt", "does", "start"),
        ("stop-all", "refused", "start"),
        ("horn", "does", "start"),
        ("horn", "does", "end"),
        ("mes", "does", "start"),
        ("anybody", "does", "start"),
        ("would", "would-do", "start"),
    } <= done
    assert not [entry for entry in entries if entry.broken]


LASTING = """
[[action]]
name = "lamp"
kind = "gpio"
chip = "{folder}/chip"
line = 17
active_low = {active_low}
[[action]]
name = "hangs"
kind = "webhook"
url = "{hanging}"
timeout_s = 60
[[action]]
name = "tries"
kind = "webhook"
url = "{faulty}"
on = ["start", "end"]
[[action]]
name = "runs"
kind = "command"
run = ["/bin/sh", "-c", "echo $$ > {folder}/pid; exec sleep 600"]
timeout_s = 600
[[action]]
name = "last"
kind = "publish"
on = ["end"]
"""
LOUD = '[[pipeline.rule]]\nname = "{name}"\nwhen = {{ anomaly = true }}\naction = ["lamp", "hangs", "tries", "runs", "last"]\n'


def test_while_an_event_lasts_a_lamp_follows_reloads_and_ends_and_nothing_holds_up_the_end(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level", threshold=100.0)
    recording = write_windows(tmp_path / "spindle.csv", [*[0] * 3, *[20] * 1000])
    chip = tmp_path / "chip"
    chip.mkdir()
    (chip / "17").write_text("1")  # as a killed edged left it
    level = partial((chip / "17").read_text, "utf-8")
    sources = csv_source(recording) + csv_source(recording, "other")
    a, b = (
        pipeline(name, source=source, more=LOUD.format(name="loud"))
        for name, source in (("a", "spindle"), ("b", "other"))
    )
    with hooked(*[503] * 1000) as faulty, socket.create_server(("127.0.0.1", 0)) as hanging:
        urls = {"faulty": faulty.url, "hanging": f"http://127.0.0.1:{hanging.getsockname()[1]}/"}
        table = partial(LASTING.format, folder=tmp_path, **urls)
        config = write_config(tmp_path, broker.port, sources + a, more=table(active_low="false"))

        daemon = run(config, env={"PYTHONPATH": str(FAKE_GPIO)})
        until(lambda: level() == "0", "the lamp that was left on is off before there is an event")
        until(lambda: level() == "1", "it is on")
        write_config(tmp_path, broker.port, sources + a + b, more=table(active_low="false"))
        daemon.reload()
        until(lambda: [one for one in fleet.of("event/b") if one["phase"] == "start"], "the second pipeline's event")
        until(lambda: faulty.sent and (tmp_path / "pid").exists(), "all are at work")
        status, took_s = daemon.stop()

    assert (status, level()) == (0, "0")
    assert took_s < 5
    until(lambda: {one["pipeline"] for one in fleet.of("action/last")} == {"a", "b"}, "both ends are told")
    program = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{program}").exists()
