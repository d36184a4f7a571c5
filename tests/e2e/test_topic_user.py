"""Topic sources on the broker that `edgectl fleet broker` writes, where a user has one connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.daemon import DEVICE, Run, write_config
from fakes.guardedbroker import SCADA, SECRET, guarded, password
from fakes.sensor import pipeline, sensor_bundle
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow

TOPICS = {"oven": "spBv1.0/+/oven", "mill": "spBv1.0/hall/mill"}
SOURCE = """
[[source]]
name = "{name}"
kind = "topic"
topic = "{topic}"
columns = ["x"]
rate_hz = 1000
"""


class Plant:
    """A guarded broker with a device; ``oven`` and ``mill`` are its sources' users."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.desk = Subscriber(port, "edged/v1/#", ("desk", password(folder, "desk")))
        self._sensors = Subscriber(port, "spBv1.0/none", (SCADA, SECRET))

    def config(self, folder: Path, *, own_users: bool) -> Path:
        sensor_bundle(folder / "models" / "level")
        body = ""
        for name, topic in TOPICS.items():
            own = f'password_file = "{self.folder}/passwords/{DEVICE}.{name}"\n' if own_users else ""
            body += SOURCE.format(name=name, topic=topic) + own + pipeline(name, source=name)
        file = write_config(folder, self.port, body)
        login = f'[mqtt]\npassword_file = "{self.folder}/passwords/{DEVICE}"\n'
        file.write_text(file.read_text().replace("[mqtt]\n", login))
        return file

    def say(self, topic: str) -> None:
        for _ in range(64):
            self._sensors.client.publish(topic, '{"x": -3.0}')

    def close(self) -> None:
        self.desk.close()
        self._sensors.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    folder = tmp_path / "broker"
    users = [("source", DEVICE, name, topic) for name, topic in TOPICS.items()]
    with guarded(folder, ("add", DEVICE), *users) as port:
        made = Plant(folder, port)
        yield made
        made.close()


def test_several_topic_sources_and_the_box_itself_stay_connected_side_by_side(
    plant: Plant, run: Run, tmp_path: Path
) -> None:
    daemon = run(plant.config(tmp_path, own_users=True))
    desk = plant.desk

    def both_heard() -> bool:
        plant.say("spBv1.0/hall/oven")
        plant.say("spBv1.0/hall/mill")
        return bool(desk.of("result/oven") and desk.of("result/mill"))

    until(both_heard, "results of both")
    daemon.reload()
    before = len(desk.of("result/oven"))
    until(lambda: both_heard() and len(desk.of("result/oven")) > before + 2, "and after a reload")

    assert daemon.stop()[0] == 0
    assert [line for line in daemon.said().splitlines() if "source.lost" in line or "link.down" in line] == []


def test_a_source_that_shares_the_boxs_user_leaves_it_alone_once_it_is_refused(
    plant: Plant, run: Run, tmp_path: Path
) -> None:
    daemon = run(plant.config(tmp_path, own_users=False))

    def told() -> bool:
        reasons = plant.desk.last("health").get("reasons", ())
        return {"oven", "mill"} <= {
            one["component"] for one in reasons if "edgectl fleet broker source" in one["remedy"]
        }

    until(told, "health says what to do")
    until(lambda: plant.desk.last("status")["state"] == "online", "it is online")
    lost = daemon.said().count("link.down")
    assert lost <= len(TOPICS)
    assert daemon.stop()[0] == 0
    assert daemon.said().count("link.down") == lost
