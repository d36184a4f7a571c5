from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from edged.assembly.orders import MAX_STREAMS, REFUSALS_AT_ONCE, Controls, Orders
from edged.control.command import VERBS
from edged.domain.errors import DeviceError
from edged.domain.health import Reason
from edged.fleet.schemas import ReplyDocument
from edged.fleet.session import Inbound
from edged.fleet.topics import Stamper
from edged.pipeline.feed import Feed
from edged.pipeline.line import Line, Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.worker import Worker
from edged.telemetry.metrics import PipelineMetrics
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox

TOPIC = "edged/v1/d/press-07/in/command"
SOON = "2027-01-15T09:00:00Z"
"""An hour after the fake clock's start."""


def never() -> Any:
    raise AssertionError("nothing is opened here")


@dataclass
class Desk:
    """Orders on a state directory, with everything that they move."""

    state: Path
    clock: FakeClock = field(default_factory=FakeClock)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)
    moved: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.workers = {name: Worker(name, never, self.clock) for name in ("gate", "bearing")}
        pipelines = [
            Pipeline(name, worker, Mailbox(name), PipelineMetrics(), lambda: None)
            for name, worker in self.workers.items()
        ]
        pipelines[0] = replace(
            pipelines[0],
            snapshot=lambda: self.moved.append("snapshot"),
            record=lambda seconds: self.moved.append(f"record {seconds}"),
        )
        self.line = Line(Feed("dock", never, self.clock), pipelines)
        self.open()

    def open(self) -> Orders:
        """Start anew on the same directory."""
        self.orders = Orders(self.outbox, Stamper("boot-1", self.clock), self.state)
        self.orders.steer(
            Controls(lambda: self.moved.append("reload"), lambda: self.moved.append("restart"), lambda: [self.line])
        )
        self.orders.begin()
        return self.orders

    def send(self, verb: str = "ping", id_: str = "c-1", **more: Any) -> dict[str, Any]:
        """Send a command and give the answer."""
        fields = {"retained": False, "topic": TOPIC} | {
            name: more.pop(name)
            for name in ("retained", "topic", "response_stream", "correlation", "traceparent")
            if name in more
        }
        return self.send_raw(json.dumps({"id": id_, "verb": verb, "expires_at": SOON, **more}).encode(), **fields)

    def send_raw(self, payload: bytes, topic: str = TOPIC, **fields: Any) -> dict[str, Any]:
        before = len(self.outbox.drafts)
        self.orders.take(Inbound(topic, payload, **({"retained": False} | fields)))
        new = self.outbox.drafts[before:]
        return dict(new[0].body) if new else {}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    return Desk(tmp_path)


def test_a_ping_is_answered_with_its_id_as_the_schema_says(desk: Desk) -> None:
    answer = desk.send()
    assert (answer["id"], answer["verb"], answer["ok"], answer["code"]) == ("c-1", "ping", True, "")
    ReplyDocument.model_validate({**answer, "device": "press-07", "seq": 1})
    assert desk.outbox.drafts[0].stream == "reply"
    assert not desk.outbox.drafts[0].retain


@pytest.mark.parametrize("verb", ["reload", "restart"])
def test_reload_and_restart_reach_the_daemon_once(desk: Desk, verb: str) -> None:
    assert desk.send(verb)["ok"]
    assert desk.send(verb)["code"] == "duplicate"
    assert desk.moved == [verb]


def test_support_rests_after_two_in_a_row_and_is_done_again_later(desk: Desk) -> None:
    made: list[int] = []
    desk.orders.steer(Controls(lambda: None, lambda: None, list, lambda: made.append(1) or {}))  # type: ignore[func-returns-value] # None is false
    codes = [desk.send("support", f"c-{number}")["code"] for number in range(3)]
    assert (codes, len(made)) == (["", "", "too-soon"], 2)
    assert desk.send("ping", "c-4")["ok"], "nothing else has to rest"
    desk.clock.advance(VERBS["support"].rest_s - 1)
    assert desk.send("support", "c-5")["code"] == "too-soon"
    desk.clock.advance(1)
    assert desk.send("support", "c-2")["ok"], "what was refused was not handled"
    assert len(made) == 3


def test_support_answers_with_what_was_written(desk: Desk) -> None:
    written = {"path": "/var/lib/edged/support/a.tar.gz", "bytes": 4711}
    desk.orders.steer(Controls(lambda: None, lambda: None, list, lambda: written))
    answer = desk.send("support")
    assert (answer["ok"], answer["result"]) == (True, written)
    ReplyDocument.model_validate({**answer, "device": "press-07", "seq": 1})


def test_support_on_a_disk_that_takes_nothing_says_so(desk: Desk) -> None:
    def full() -> dict[str, Any]:
        message = "cannot write a.tar.gz: No space left on device"
        raise DeviceError(message)

    desk.orders.steer(Controls(lambda: None, lambda: None, list, full))
    answer = desk.send("support")
    assert (answer["ok"], answer["code"]) == (False, "disk")
    assert "No space left" in answer["message"]


def test_an_id_is_remembered_across_restarts(desk: Desk) -> None:
    assert desk.send("restart")["ok"]
    desk.open()
    assert desk.send("restart")["code"] == "duplicate"
    assert desk.moved == ["restart"]


def test_the_id_is_on_the_disk_before_anything_moves(desk: Desk) -> None:
    seen: list[str] = []
    file = desk.state / "commands.json"
    desk.orders.steer(Controls(lambda: seen.append(file.read_text()), lambda: None, list))
    desk.send("reload")
    assert "c-1" in seen[0]


def test_without_a_disk_only_what_has_no_effect_is_done(desk: Desk) -> None:
    (desk.state / ".commands.json.new").mkdir()  # whoever may write everything cannot write this
    assert desk.send("restart")["code"] == "not-remembered"
    assert desk.send("ping", "c-2")["ok"]
    assert desk.send("ping", "c-2")["code"] == "duplicate"
    assert desk.moved == []


def test_a_damaged_memory_is_begun_anew(desk: Desk) -> None:
    (desk.state / "commands.json").write_bytes(b"\xff")
    desk.open()
    assert desk.send()["ok"]


def test_pause_and_resume_reach_the_pipeline_that_is_named_or_every_one(desk: Desk) -> None:
    assert desk.send("pause", "1", args={"pipeline": "gate"})["result"] == {"pipelines": ["gate"]}
    assert [worker.reason is not None for worker in desk.workers.values()] == [True, False]
    assert desk.send("pause", "2")["result"] == {"pipelines": ["gate", "bearing"]}
    assert desk.send("resume", "3", args={"pipeline": "bearing"})["ok"]
    assert [reason.code for reason in desk.line.reasons()] == ["paused"]
    assert desk.send("resume", "4")["ok"]
    assert desk.line.reasons() == []


def test_a_snapshot_is_asked_of_those_that_have_pictures_and_go_on(desk: Desk) -> None:
    assert desk.send("snapshot", "1")["result"] == {"pipelines": ["gate"]}
    assert desk.send("snapshot", "2", args={"pipeline": "bearing"})["code"] == "unknown-pipeline"
    desk.workers["gate"].state = "paused"
    assert "one of none" in desk.send("snapshot", "3")["message"]
    assert desk.moved == ["snapshot"]


def test_record_reaches_those_that_are_recorded(desk: Desk) -> None:
    assert desk.send("record", "1")["result"] == {"pipelines": ["gate"], "seconds": 10.0}
    assert desk.send("record", "2", args={"pipeline": "gate", "seconds": "2.5"})["result"]["seconds"] == 2.5
    refused = desk.send("record", "3", args={"pipeline": "bearing"})
    assert (refused["code"], "expected one of gate" in refused["message"]) == ("unknown-pipeline", True)
    assert desk.moved == ["record 10.0", "record 2.5"]


@pytest.mark.parametrize("seconds", ["0", "301", "-1", "nan", "1e2", ""])
def test_record_takes_no_odd_number_of_seconds(desk: Desk, seconds: str) -> None:
    answer = desk.send("record", args={"seconds": seconds})
    assert (answer["ok"], answer["code"]) == (False, "malformed")
    assert desk.moved == []


@dataclass
class Pupil:
    """What a pipeline learns; ``trouble`` is what the disk says when it is to forget."""

    forgot: int = 0
    is_wanted: bool = True
    trouble: DeviceError | None = None

    def recalibrate(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.forgot += 1

    def reasons(self) -> list[Reason]:
        return []


def test_recalibrate_reaches_the_one_pipeline_that_is_named(desk: Desk) -> None:
    pupils = {"gate": Pupil(is_wanted=False), "bearing": Pupil()}
    desk.line.pipelines = tuple(replace(one, learning=pupils[one.name]) for one in desk.line.pipelines)
    assert desk.send("recalibrate", "1", args={"pipeline": "bearing"})["result"] == {"pipelines": ["bearing"]}
    for id_, args in (("2", {}), ("3", {"pipeline": "gate"}), ("4", {"pipeline": "gaet"})):
        answer = desk.send("recalibrate", id_, args=args)
        assert (answer["code"], answer["message"].endswith("learns what is normal: bearing")) == (
            "unknown-pipeline",
            True,
        )
    assert [pupil.forgot for pupil in pupils.values()] == [0, 1]
    pupils["bearing"].trouble = DeviceError("cannot remove it: read-only")
    assert desk.send("recalibrate", "5", args={"pipeline": "bearing"})["code"] == "disk"


def test_a_pipeline_that_does_not_run_is_said_with_those_that_do(desk: Desk) -> None:
    answer = desk.send("pause", args={"pipeline": "gaet"})
    assert (answer["ok"], answer["code"]) == (False, "unknown-pipeline")
    assert "gate, bearing" in answer["message"]


def test_expired_retained_and_unreadable_ones_are_refused_with_a_reply(desk: Desk) -> None:
    assert desk.send("restart", "1", expires_at="2027-01-15T07:59:59Z")["code"] == "expired"
    assert desk.send("restart", "2", retained=True)["code"] == "retained"
    assert desk.send_raw(b"[" * 10_000)["code"] == "malformed"
    assert desk.send_raw(b" " * 20_000)["code"] == "oversized"
    assert desk.send("explode", "3")["code"] == "unknown-verb"
    assert desk.moved == []
    assert desk.orders.counts == {"expired": 1, "retained": 1, "malformed": 1, "oversized": 1, "unknown-verb": 1}


def test_the_response_topic_is_honoured_when_it_is_the_devices_own(desk: Desk) -> None:
    answer = desk.send(response_stream="reply/console", correlation=b"42")
    assert desk.outbox.drafts[-1].stream == "reply/console"
    assert answer["correlation"] == "NDI="
    desk.send("ping", "c-2", response_stream="health")
    assert desk.outbox.drafts[-1].stream == "reply"


def test_an_answer_belongs_to_the_askers_trace(desk: Desk) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    assert desk.send(traceparent=trace)["traceparent"] == trace
    assert "traceparent" not in desk.send("ping", "c-2")


def test_response_topics_without_end_fall_back_to_the_usual_one(desk: Desk) -> None:
    for number in range(MAX_STREAMS + 10):
        desk.send("ping", f"c-{number}", response_stream=f"reply/{number}")
    assert len({draft.stream for draft in desk.outbox.drafts}) == MAX_STREAMS + 1
    assert desk.outbox.drafts[-1].stream == "reply"


def test_a_flood_of_nonsense_is_answered_in_part_and_counted_in_full(desk: Desk) -> None:
    for _ in range(1000):
        desk.send_raw(b"nonsense")
    assert len(desk.outbox.drafts) == REFUSALS_AT_ONCE
    assert desk.orders.counts["malformed"] == 1000
    assert desk.orders.counts["unanswered"] == 1000 - REFUSALS_AT_ONCE
    assert desk.send()["ok"], "what is done is always answered"


def test_commands_before_the_daemon_stands_are_refused(desk: Desk) -> None:
    desk.orders = Orders(desk.outbox, Stamper("boot-1", desk.clock), desk.state, patience_s=0)
    assert desk.send("reload")["code"] == "not-ready"
    desk.orders.begin()
    desk.orders.begin()
    assert desk.send("reload", "c-2")["code"] == "not-ready"


def test_what_is_no_command_is_left_alone(desk: Desk) -> None:
    for _ in range(2):
        assert desk.send_raw(b"{}", topic="edged/v1/d/press-07/in/desired") == {}
    assert desk.orders.counts == {"ignored": 2}


def test_thousands_of_random_payloads_do_nothing_and_raise_nothing(desk: Desk) -> None:
    chance = random.Random(7)  # noqa: S311  (no secrets)
    valid = json.dumps({"id": "c", "verb": "restart", "args": {}, "expires_at": SOON}).encode()
    for number in range(5000):
        desk.clock.advance(1)
        payload = bytearray(valid if number % 2 else chance.randbytes(chance.randrange(200)))
        for _ in range(chance.randrange(1, 4)):
            payload.insert(chance.randrange(len(payload) + 1), chance.randrange(256))
        desk.orders.take(Inbound(TOPIC, bytes(payload), chance.random() < 0.1, None, os.urandom(3)))
    assert sum(desk.orders.counts.values()) >= 5000
    assert desk.send("ping", "at-the-end", expires_at="2030-01-01T00:00:00Z")["ok"]
