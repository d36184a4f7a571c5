"""The daemon's life as a user and a service manager see it: how it begins and ends."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes import brokers
from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import Run, edged, write_config
from fakes.recordedlevels import SQUARES, endless, scores
from fakes.sensor import csv_source, picture_bundle, pipeline
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("models")]


@pytest.mark.parametrize("make", [brokers.mosquitto, brokers.amqtt])
def test_a_recording_at_full_speed_ends_the_process_with_every_result_delivered(
    make: Callable[[Path], BrokerProcess], run: Run, recording: Path, tmp_path: Path
) -> None:
    broker: BrokerProcess = make(tmp_path)
    fleet = Subscriber(broker.port)
    daemon = run(write_config(tmp_path, broker.port, csv_source(recording) + pipeline("a")))

    assert daemon.wait() == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    fleet.close()
    broker.close()

    assert numbers(fleet.of("result/a")) == list(range(1, 101))
    assert scores(fleet, "a") == pytest.approx(SQUARES)


def test_sigterm_ends_it_within_5_s_with_exit_status_0_and_a_retained_farewell(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    daemon = run(write_config(tmp_path, broker.port, endless(recording) + pipeline("a")))
    until(lambda: fleet.of("result/a"), "a result")

    status, took_s = daemon.stop()

    assert status == 0
    assert took_s < 5
    late = Subscriber(broker.port)
    until(lambda: late.last("status"), "the retained status")
    late.close()
    (retained,) = [(body["state"], retained) for topic, body, retained in late.heard if topic.endswith("/out/status")]
    assert retained == ("offline", True)
    assert numbers(fleet.of("result/a")) == list(range(1, len(fleet.of("result/a")) + 1))


def test_sigterm_ends_it_within_5_s_while_the_broker_is_away(run: Run, recording: Path, tmp_path: Path) -> None:
    daemon = run(write_config(tmp_path, free_port(), endless(recording) + pipeline("a")))
    until(lambda: "cannot connect to" in daemon.said(), "it tried the broker")

    status, took_s = daemon.stop()

    assert status == 0
    assert took_s < 5


def test_sigterm_ends_it_within_5_s_while_a_camera_does_not_answer(
    broker: BrokerProcess, fleet: Subscriber, run: Run, models: Path, tmp_path: Path
) -> None:
    picture_bundle(models / "still")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/stream"
        body = f'[[source]]\nname = "dock"\nkind = "camera"\nurl = "{url}"\n'
        daemon = run(write_config(tmp_path, broker.port, body + pipeline("a", source="dock", model="still")))
        silent.settimeout(20)
        with silent.accept()[0]:
            status, took_s = daemon.stop()

    assert status == 0
    assert took_s < 5
    until(lambda: fleet.last("status").get("state") == "offline", "offline")


def test_without_a_broker_it_starts_and_delivers_everything_when_one_comes(
    run: Run, recording: Path, tmp_path: Path
) -> None:
    broker = brokers.journaling(tmp_path)
    broker.close()
    daemon = run(write_config(tmp_path, broker.port, csv_source(recording) + pipeline("a")))
    until(lambda: "source.ended" in daemon.said(), "the recording was read")
    assert not daemon.ended

    broker.start()

    assert daemon.wait() == 0
    broker.close()
    told = journal(tmp_path, "result/a")
    assert [body["seq"] for body in told] == list(range(1, 101))


def journal(folder: Path, stream: str) -> list[dict[str, object]]:
    lines = [line.split("\t", 1) for line in (folder / "journal").read_text().splitlines()]
    return [json.loads(payload) for topic, payload in lines if topic.endswith(f"/out/{stream}")]


def test_a_second_daemon_on_the_same_state_directory_says_so_and_ends_with_1(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.port, endless(recording) + pipeline("a"))
    run(config)
    until(lambda: fleet.of("result/a"), "the first one runs")

    second = edged("run", "--config", config)

    assert second.status == 1
    (line,) = second.err.splitlines()
    assert line.startswith(
        f"edged: cannot start: another edged uses {tmp_path / 'state'}, expected to be the only one; "
    )


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Give the socket on which a service manager listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


def test_the_service_manager_hears_ready_then_the_watchdog_then_stopping(
    broker: BrokerProcess, run: Run, recording: Path, manager: socket.socket, tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.port, endless(recording) + pipeline("a"))
    daemon = run(config, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    heard: list[str] = []

    def hear(key: str) -> bool:
        try:
            while True:
                heard.extend(manager.recv(4096).decode().splitlines())
        except BlockingIOError:
            return any(line.startswith(f"{key}=") for line in heard)

    until(lambda: hear("READY"), "ready")
    until(lambda: hear("WATCHDOG"), "the watchdog's ping")
    until(lambda: hear("STATUS") and "STATUS=ok" in heard, "that all is well")
    daemon.reload()
    until(lambda: hear("RELOADING"), "reloading")
    daemon.stop()
    until(lambda: hear("STOPPING"), "stopping")
    keys = [line.split("=", 1)[0] for line in heard]
    assert keys.index("READY") < keys.index("WATCHDOG") < keys.index("RELOADING") < keys.index("STOPPING")


KILLED_WHILE_IT_IMPORTS = """
import os, signal, sys

class Killer:
    def find_spec(self, name, path=None, target=None):
        if name == "edged.assembly.wiring":
            os.kill(os.getpid(), signal.{signal})

sys.meta_path.insert(0, Killer())
from edged.cli import main
raise SystemExit(main())
"""


def test_sigterm_while_it_still_imports_ends_it_with_0(tmp_path: Path) -> None:
    program = (sys.executable, "-c", KILLED_WHILE_IT_IMPORTS.format(signal="SIGTERM"))
    said = edged("run", "--config", write_config(tmp_path, free_port(), ""), program=program)
    assert (said.status, said.out, said.err) == (0, "", "")


def test_sighup_while_it_still_imports_ends_nothing(
    broker: BrokerProcess, run: Run, recording: Path, tmp_path: Path
) -> None:
    program = (sys.executable, "-c", KILLED_WHILE_IT_IMPORTS.format(signal="SIGHUP"))
    daemon = run(write_config(tmp_path, broker.port, csv_source(recording) + pipeline("a")), program=program)
    assert daemon.wait() == 0
    assert "source.ended" in daemon.said()


def test_a_pipeline_that_was_stopped_says_so_in_the_last_telemetry(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    daemon = run(write_config(tmp_path, broker.port, endless(recording) + pipeline("a")))
    until(lambda: fleet.of("result/a"), "a result")
    assert daemon.stop()[0] == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    assert fleet.last("telemetry")["pipelines"]["a"]["state"] == "stopped"


def test_a_topic_of_the_broker_is_a_source(broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path) -> None:
    source = '[[source]]\nname = "oven"\nkind = "topic"\ntopic = "plant/oven"\ncolumns = ["x"]\nrate_hz = 1000\n'
    daemon = run(write_config(tmp_path, broker.port, source + pipeline("a", source="oven")))

    def heard() -> bool:
        for _ in range(64):
            fleet.client.publish("plant/oven", '{"x": -3.0}', 1)
        return bool(fleet.of("result/a"))

    until(heard, "a result")
    assert scores(fleet, "a")[0] == pytest.approx(9.0)
    assert daemon.stop()[0] == 0
