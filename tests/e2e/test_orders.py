"""Commands to the daemon over a real broker."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.commander import Commander, rfc3339
from fakes.daemon import DaemonProcess, Run, write_config
from fakes.recording import write_video
from fakes.sensor import csv_source, picture_bundle, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def fleet(broker: BrokerProcess) -> Iterator[Subscriber]:
    """Give a client that hears what devices say, and not what is said to them."""
    made = Subscriber(broker.port, "edged/v1/d/+/out/#")
    yield made
    made.close()


@pytest.fixture
def daemon(broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path) -> DaemonProcess:
    """Give a daemon with two pipelines that goes on for ever, once both give results."""
    sensor_bundle(tmp_path / "models" / "level-1")
    recording = write_windows(tmp_path / "spindle.csv", range(100))
    source = csv_source(recording, more='pace = "recorded"\nloop = true')
    made = run(write_config(tmp_path, broker.port, source + pipeline("a") + pipeline("b")))
    until(lambda: fleet.of("result/a") and fleet.of("result/b"), "results")
    return made


def test_a_ping_is_answered_on_the_response_topic_with_its_correlation_data(
    daemon: DaemonProcess, hand: Commander
) -> None:
    assert not daemon.ended
    body = {"id": "p-1", "verb": "ping", "args": {}, "expires_at": rfc3339(time.time() + 60)}
    own = "edged/v1/d/press-07/out/reply/console"
    hand.publish(json.dumps(body).encode(), ResponseTopic=own, CorrelationData=b"\x00\xff42")
    until(lambda: hand.heard, "an answer")
    stream, answer, correlation = hand.heard[0]
    assert (stream, correlation) == ("reply/console", b"\x00\xff42")
    assert (answer["schema"], answer["id"], answer["ok"], answer["seq"]) == ("edged.reply/1", "p-1", True, 1)

    hand.publish(json.dumps(body | {"id": "p-2"}).encode(), ResponseTopic="elsewhere/reply")
    until(lambda: len(hand.heard) == 2, "an answer")
    assert hand.heard[1][0] == "reply"


def test_a_paused_pipeline_gives_no_results_says_so_and_goes_on_when_resumed(
    daemon: DaemonProcess, hand: Commander, fleet: Subscriber
) -> None:
    assert hand.ask("pause", pipeline="a")["result"] == {"pipelines": ["a"]}
    until(lambda: fleet.last("telemetry").get("pipelines", {}).get("a", {}).get("state") == "paused", "telemetry")
    until(lambda: "paused" in fleet.codes(), "health")
    assert fleet.last("health")["state"] == "degraded"
    said, other = len(fleet.of("result/a")), len(fleet.of("result/b"))
    until(lambda: len(fleet.of("result/b")) > other + 10, "the other one goes on")
    assert len(fleet.of("result/a")) == said

    assert hand.ask("resume")["result"] == {"pipelines": ["a", "b"]}
    until(lambda: len(fleet.of("result/a")) > said + 3, "results again")
    until(lambda: fleet.last("health")["state"] == "ok", "well again")
    assert numbers(fleet.of("result/a")) == list(range(1, len(fleet.of("result/a")) + 1))
    assert not daemon.ended


def test_a_restart_happens_once_in_place_and_ends_a_pause(
    daemon: DaemonProcess, hand: Commander, fleet: Subscriber
) -> None:
    assert hand.ask("pause")["ok"]
    assert hand.ask("restart", id_="r-1")["ok"]
    until(lambda: [body["state"] for body in fleet.of("status")] == ["online", "offline", "online"], "again")
    said = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) > said, "results")
    assert hand.ask("restart", id_="r-1")["code"] == "duplicate"
    assert hand.ask("ping")["ok"]
    assert not daemon.ended
    assert len(fleet.of("status")) == 3
    assert numbers(fleet.of("reply")) == list(range(1, len(fleet.of("reply")) + 1))


def test_a_restart_on_a_file_that_cannot_be_read_falls_back_on_what_ran(
    daemon: DaemonProcess, hand: Commander, fleet: Subscriber
) -> None:
    daemon.config.write_text("[device\n")

    assert hand.ask("restart")["ok"]

    until(lambda: "config-fallback" in fleet.codes(), "it runs, and says so")
    said = len(fleet.of("result/a"))
    until(lambda: len(fleet.of("result/a")) > said, "results")


def test_a_retained_command_is_never_done(
    daemon: DaemonProcess, hand: Commander, fleet: Subscriber, broker: BrokerProcess, run: Run
) -> None:
    assert hand.ask("restart", retain=True)["code"] == "retained"
    broker.kill()
    broker.start()
    daemon.kill()
    run(daemon.config)
    until(lambda: len(fleet.of("status")) >= 2, "online again")
    assert "stopping" not in daemon.said()
    assert len([state for state in fleet.of("status") if state["state"] == "offline"]) <= 1


def test_a_reload_is_done_and_said(daemon: DaemonProcess, hand: Commander, fleet: Subscriber) -> None:
    daemon.config.write_text(daemon.config.read_text().replace('name = "b"', 'name = "c"'))
    assert hand.ask("reload")["ok"]
    until(lambda: fleet.of("result/c"), "the new pipeline")


def test_a_snapshot_of_a_camera_comes_with_the_next_frame(
    broker: BrokerProcess, fleet: Subscriber, hand: Commander, run: Run, tmp_path: Path
) -> None:
    pytest.importorskip("cv2")
    picture_bundle(tmp_path / "models" / "still")
    video = write_video(tmp_path / "dock.mp4", frames=50)
    source = f'[[source]]\nname = "dock"\nkind = "file"\npath = "{video}"\npace = "recorded"\nloop = true\n'
    run(write_config(tmp_path, broker.port, source + pipeline("a", source="dock", model="still")))
    until(lambda: fleet.of("result/a"), "a result")
    answer = hand.ask("snapshot")
    assert answer["result"] == {"pipelines": ["a"]}, answer
    until(lambda: fleet.of("event/a"), "the picture")
    (picture,) = fleet.of("event/a")
    assert (picture["schema"], picture["rule"]) == ("edged.snapshot/1", "")
    assert base64.b64decode(picture["jpeg"])[:2] == b"\xff\xd8"


def test_a_snapshot_of_a_sensor_or_an_expired_command_is_refused_with_the_reason(
    daemon: DaemonProcess, hand: Commander
) -> None:
    assert hand.ask("snapshot")["code"] == "unknown-pipeline"
    assert hand.ask("restart", valid_s=-5)["code"] == "expired"
    assert "cannot explode" in hand.ask("explode")["message"] or hand.ask("explode")["code"] == "unknown-verb"
    assert not daemon.ended


def test_thousands_of_hostile_payloads_do_no_harm(daemon: DaemonProcess, hand: Commander, fleet: Subscriber) -> None:
    chance = random.Random(3)  # noqa: S311  (no secrets)
    hostile = [b"[" * 16_000, b'{"a":' * 3000, b'{"id":NaN}', b'{"id":1,"id":2}', b"\xff" * 500, b"9" * 100_000, b""]
    sent = [
        hand.client.publish(
            "edged/v1/d/press-07/in/command",
            chance.choice(hostile) if chance.random() < 0.3 else chance.randbytes(chance.randrange(300)),
            1,
        )
        for _ in range(4000)
    ]
    for one in sent:
        one.wait_for_publish(60)
    said = len(fleet.of("result/a"))
    assert ping_gets_through(hand)
    until(lambda: len(fleet.of("result/a")) > said + 5, "results go on")
    # Everything is counted, what found the queue full among it.
    until(lambda: sum(fleet.last("telemetry")["commands"].values()) >= 4000, "counted")
    until(lambda: fleet.last("health")["state"] == "ok", "all is well")
    assert not daemon.ended
    assert "Traceback" not in daemon.said()


def ping_gets_through(hand: Commander) -> bool:
    """Send pings until one is answered: those that find the queue full are dropped."""
    for _ in range(30):
        hand.send("ping")
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            if any(body["ok"] for _, body, _ in list(hand.heard)):
                return True
            time.sleep(0.02)
    return False
