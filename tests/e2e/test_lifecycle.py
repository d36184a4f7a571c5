"""The daemon's life as a user and a service manager see it."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakes import brokers
from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import Run, edged, write_config
from fakes.recording import write_pictures, write_video
from fakes.sensor import csv_source, picture_bundle, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow

SQUARES = [float(level**2) for level in range(100)]


@pytest.fixture(autouse=True)
def models(tmp_path: Path) -> Path:
    """Give a folder with the model ``level``."""
    sensor_bundle(tmp_path / "models" / "level-1")
    return tmp_path / "models"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_windows(tmp_path / "spindle.csv", range(100))


def endless(recording: Path, name: str = "spindle") -> str:
    """Give a source that goes on at about 16 windows a second."""
    return csv_source(recording, name, more='pace = "recorded"\nloop = true')


def scores(fleet: Subscriber, name: str) -> list[float]:
    return [result["anomaly"]["score"] for result in fleet.of(f"result/{name}")]


# -- beginning and end


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
    daemon.reload()
    until(lambda: hear("RELOADING"), "reloading")
    daemon.stop()
    until(lambda: hear("STOPPING"), "stopping")
    keys = [line.split("=", 1)[0] for line in heard]
    assert keys.index("READY") < keys.index("WATCHDOG") < keys.index("RELOADING") < keys.index("STOPPING")
    assert "STATUS=ok" in heard


# -- sources


def opened(pid: int) -> list[str]:
    """Give what the process's descriptors lead to."""
    found: list[str] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            found.append(str(entry.readlink()))
    return found


def test_pipelines_on_one_source_share_one_open_file_and_each_has_every_result(
    broker: BrokerProcess, fleet: Subscriber, run: Run, models: Path, recording: Path, tmp_path: Path
) -> None:
    picture_bundle(models / "still")
    video = write_video(tmp_path / "v.avi", frames=60, codec="mjpeg", container="avi")
    body = f'[[source]]\nname = "dock"\nkind = "file"\npath = "{video}"\npace = "recorded"\nloop = true\n'
    body += endless(recording) + "".join(pipeline(name) for name in "ab")
    body += "".join(pipeline(name, source="dock", model="still") for name in "cd")
    daemon = run(write_config(tmp_path, broker.port, body))
    until(lambda: all(len(fleet.of(f"result/{name}")) > 5 for name in "abcd"), "results of all")

    named = opened(daemon.pid)
    daemon.stop()

    assert [named.count(str(file)) for file in (recording, video)] == [1, 1]
    for one, other in ("ab", "cd"):
        frames = [[result["frame"] for result in fleet.of(f"result/{name}")] for name in (one, other)]
        assert set(frames[0][:5]) & set(frames[1][:5])


def test_a_video_that_ends_in_the_middle_of_a_frame_gives_what_can_be_decoded_and_says_where_it_ends(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    picture_bundle(tmp_path / "models" / "still")
    video = write_video(tmp_path / "v.avi", frames=40, codec="mjpeg", container="avi")
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    body = f'[[source]]\nname = "dock"\nkind = "file"\npath = "{video}"\n' + pipeline("a", source="dock", model="still")
    daemon = run(write_config(tmp_path, broker.port, body))

    until(lambda: "video-damaged" in fleet.codes(), "the reason")

    assert "a picture's data are incomplete at" in fleet.reason("dock")
    told = fleet.of("result/a")
    assert [result["frame"] for result in told] == list(range(len(told)))
    assert 5 < len(told) < 40
    assert fleet.last("health")["state"] == "failed"
    assert daemon.stop()[0] == 0


def test_a_small_file_that_stands_for_a_picture_beyond_all_memory_is_passed_over(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    picture_bundle(tmp_path / "models" / "still")
    folder = write_pictures(tmp_path / "upload", 2)
    cv2.imwrite(str(folder / "000-huge.png"), np.zeros((8200, 8200), np.uint8))
    body = f'[[source]]\nname = "dock"\nkind = "images"\npath = "{folder}"\n'
    daemon = run(write_config(tmp_path, broker.port, body + pipeline("a", source="dock", model="still")))

    assert daemon.wait() == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    assert [result["frame"] for result in fleet.of("result/a")] == [0, 1]
    assert "it has more pixels than OPENCV_IO_MAX_IMAGE_PIXELS allows" in daemon.said()


def test_a_recording_at_its_own_rate_gives_every_window_however_short_they_are(
    broker: BrokerProcess, fleet: Subscriber, run: Run, models: Path, tmp_path: Path
) -> None:
    sensor_bundle(models / "short", name="short", length=8)
    recording = write_windows(tmp_path / "short.csv", range(200), length=8)
    source = csv_source(recording, rate_hz=800, more='pace = "recorded"')

    assert run(write_config(tmp_path, broker.port, source + pipeline("a", model="short"))).wait() == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")

    assert scores(fleet, "a") == pytest.approx([float(level**2) for level in range(200)])
    assert fleet.last("telemetry")["pipelines"]["a"]["drops"] == {}


# -- faults in the configuration


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


# -- reload


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


def test_a_sample_that_no_tensor_holds_costs_one_window_and_no_restart(
    broker: BrokerProcess, fleet: Subscriber, run: Run, recording: Path, tmp_path: Path
) -> None:
    lines = recording.read_text().splitlines()
    lines[1 + 64 * 3] = "1e39"
    recording.write_text("\n".join(lines))
    daemon = run(write_config(tmp_path, broker.port, csv_source(recording) + pipeline("a")))
    assert daemon.wait() == 0
    until(lambda: len(fleet.of("result/a")) == 100, "every result")
    told = [(result["status"], result.get("reason", "")) for result in fleet.of("result/a")]
    assert told == [("ok", "")] * 3 + [("unknown", "samples-invalid")] + [("ok", "")] * 96
    assert "worker.failed" not in daemon.said()


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
