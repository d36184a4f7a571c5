from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edged.assembly.ears import Ears
from edged.assembly.homeassistant import HomeAssistant, Withdrawal
from edged.assembly.listeners import NOTE
from edged.config.load import load
from edged.config.schema import Config
from edged.domain.message import Draft
from edged.fleet.link import LinkState
from edged.fleet.session import Inbound
from edged.fleet.topics import Stamper
from fakes.clock import FakeClock
from fakes.hassdiscovery import accept
from fakes.outbox import FakeOutbox
from fakes.toldboxes import event, inventory

TOPIC = "homeassistant/device/press-07/config"
STATES_GONE = ("edged/v1/d/press-07/out/states", b"")
ONLINE, WAITING = LinkState("online", 5), LinkState("waiting", 5)
CAME_UP = Inbound("homeassistant/status", b"online", retained=False)
PIPELINE = """
[[pipeline]]
name = "{name}"
source = "dock"
model = "person"
[[pipeline.rule]]
name = "at-the-gate"
when = {{ label = "person" }}
"""


def configured(folder: Path, *pipelines: str, more: str = "enabled = true") -> Config:
    file = folder / "edged.toml"
    body = "".join(PIPELINE.format(name=name) for name in pipelines)
    file.write_text(
        f'[device]\nid = "press-07"\n[state]\ndirectory = "{folder}"\n[homeassistant]\n{more}\n'
        f'[[source]]\nname = "dock"\nkind = "camera"\nurl = "/dev/video0"\n{body}',
        encoding="utf-8",
    )
    return load(file).config


class Side:
    """Home Assistant's side of a box, with everything that it sends kept."""

    def __init__(self, folder: Path, *pipelines: str, more: str = "enabled = true", jitter: float = 0.5) -> None:
        self.config = configured(folder, *pipelines, more=more)
        self.clock, self.outbox, self.sent = FakeClock(), FakeOutbox(), list[tuple[str, bytes]]()
        self.ears = Ears(self.outbox)
        stamper = Stamper("boot", self.clock)
        self.side = HomeAssistant(self.config, lambda: self.config.pipeline, self.ears, stamper, lambda: jitter)
        self.side.connect(lambda topic, payload: self.sent.append((topic, payload)))

    def online(self) -> None:
        self.side.became(ONLINE)
        self.side.tick()

    def tick(self, after_s: float = 0.0) -> None:
        self.clock.advance(after_s)
        self.side.tick()

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for topic, payload in self.sent if topic == TOPIC]

    def rules(self) -> list[dict[str, Any]]:
        return [body["pipelines"]["people"]["rules"] for body in self.told()]

    def told(self) -> list[Any]:
        return self.outbox.bodies("states")


def test_a_box_is_announced_when_it_is_online_and_not_before(tmp_path: Path) -> None:
    box = Side(tmp_path, "people")
    box.tick()
    assert box.sent == []
    box.online()
    box.tick(1.0)
    ((topic, payload),) = box.sent
    accept(topic, json.loads(payload))


def test_a_box_is_announced_again_at_each_connection(tmp_path: Path) -> None:
    box = Side(tmp_path, "people")
    box.online()
    box.side.became(WAITING)
    box.online()
    assert len(box.sent) == 2


def test_when_home_assistant_comes_up_a_box_answers_after_a_time_of_its_own(tmp_path: Path) -> None:
    box = Side(tmp_path, "people", jitter=0.5)
    box.online()
    assert box.side.take(CAME_UP)
    assert box.side.take(CAME_UP), "a second word changes nothing"
    box.tick(4.9)
    assert len(box.sent) == 1
    box.tick(0.2)
    assert len(box.sent) == 2
    box.tick(100.0)
    assert len(box.sent) == 2


def test_its_farewell_and_other_topics_are_no_reason_to_answer(tmp_path: Path) -> None:
    box = Side(tmp_path, "people")
    box.online()
    assert box.side.take(Inbound("homeassistant/status", b"offline", retained=False))
    assert not box.side.take(Inbound("edged/v1/d/press-07/in/command", b"online", retained=False))
    box.tick(100.0)
    assert len(box.sent) == 1


def test_a_new_pipeline_is_announced_and_one_that_is_gone_removed_first(tmp_path: Path) -> None:
    box = Side(tmp_path, "people", "gate")
    box.online()
    box.config = configured(tmp_path, "people", "yard")
    box.tick()
    first, removal, last = box.documents()
    assert "gate_rate" in first["components"]
    assert removal["components"]["gate_rate"] == {"platform": "sensor"}
    assert removal["components"]["gate_rule_at-the-gate"] == {"platform": "binary_sensor"}
    assert "yard_rate" in last["components"]
    assert "gate_rate" not in last["components"]


def test_what_an_earlier_start_announced_elsewhere_is_taken_back(tmp_path: Path) -> None:
    Side(tmp_path, "people", more='enabled = true\nprefix = "ha"').online()
    box = Side(tmp_path, "people")
    box.online()
    assert box.sent[0] == ("ha/device/press-07/config", b"")
    assert [topic for topic, _ in box.sent[1:]] == [TOPIC]


def test_switched_off_it_is_taken_back_once(tmp_path: Path) -> None:
    Side(tmp_path, "people").online()
    sent: list[tuple[str, bytes]] = []
    side = Withdrawal(configured(tmp_path, "people", more=""), lambda: 0)
    side.connect(lambda topic, payload: sent.append((topic, payload)))
    side.became(WAITING)
    side.tick()
    assert sent == []
    side.became(ONLINE)
    for _ in range(2):
        side.tick()
    side.became(ONLINE)
    assert sent == [(TOPIC, b""), STATES_GONE]
    assert not (tmp_path / NOTE).exists()


def test_what_the_last_start_told_and_could_not_send_does_not_stand_after_it_was_taken_back(tmp_path: Path) -> None:
    Side(tmp_path, "people").online()
    sent: list[tuple[str, bytes]] = []
    waiting = [1]
    side = Withdrawal(configured(tmp_path, "people", more=""), lambda: waiting[0])
    side.connect(lambda topic, payload: sent.append((topic, payload)))
    side.became(ONLINE)
    side.tick()
    assert sent == [(TOPIC, b"")]

    side.became(WAITING)
    waiting[0] = 0
    side.tick()
    assert sent == [(TOPIC, b"")]
    side.became(ONLINE)
    side.tick()

    assert sent == [(TOPIC, b"")] * 2 + [STATES_GONE]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"components": 3}'])
def test_a_damaged_note_keeps_nobody_from_announcing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NOTE).write_bytes(content)
    box = Side(tmp_path, "people")
    box.online()
    assert [topic for topic, _ in box.sent] == [TOPIC]


def test_what_stands_is_told_at_the_start_and_at_each_event(tmp_path: Path) -> None:
    box = Side(tmp_path, "people")
    box.tick()
    for phase in ("start", "ongoing", "end"):
        box.ears.put(Draft("event/people", event("people", "at-the-gate", phase)))
    box.tick()
    assert box.rules() == [{"at-the-gate": False}, {"at-the-gate": True}, {"at-the-gate": False}]
    assert all(draft.retain for draft in box.outbox.drafts if draft.stream == "states")


def test_what_the_outbox_did_not_take_is_told_again(tmp_path: Path) -> None:
    box = Side(tmp_path, "people")
    box.outbox.room = 0
    box.tick()
    box.outbox.room = 9
    box.tick()
    assert box.rules() == [{"at-the-gate": False}]


def test_the_board_is_known_from_the_inventory(tmp_path: Path) -> None:
    box = Side(tmp_path, "people")
    box.ears.put(Draft("inventory", inventory({"people": "person"}) | {"hardware": {"board": "Pi 5"}}, retain=True))
    box.online()
    assert box.documents()[0]["device"]["model"] == "Pi 5"
    assert box.told()[-1]["pipelines"]["people"]["rung"] == "int8"
