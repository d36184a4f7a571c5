"""Configured actions at work: what is done, what is refused, and the line that says so."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from edged.assembly.acting import FOLDER, Acting
from edged.assembly.runner import WAITING, Document, Runner
from edged.config.actions import Action
from edged.config.schema import Config
from edged.daemon import Part
from edged.domain.errors import DeviceError
from edged.update.journal import read_journal
from fakes.clock import FakeClock
from fakes.gpiochip import Chip, install
from fakes.outbox import FakeOutbox
from fakes.waiting import until

EVENT = {"schema": "edged.event/1", "pipeline": "a", "rule": "r", "phase": "start", "captured_at": "now", "frame": 7}
COMMAND = {"name": "stop", "kind": "command", "run": ["/bin/true"]}


class Recorded:
    """Implements Actuator."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failing = ""
        self.gate = threading.Event()
        self.gate.set()
        self.closed = 0
        self.ticks = 0

    def do(self, document: Mapping[str, Any]) -> None:
        self.gate.wait(10)
        if self.failing == "bug":
            raise ZeroDivisionError
        if self.failing:
            raise DeviceError(self.failing)
        self.done.append(document["phase"])

    def tick(self) -> None:
        self.ticks += 1

    def close(self) -> None:
        self.closed += 1


class Desk:
    """A runner with what it did and said."""

    def __init__(self, **settings: Any) -> None:
        self.actuator, self.clock, self.notes = Recorded(), FakeClock(), list[dict[str, Any]]()
        self.disk_is_full = False
        action: Action = TypeAdapter(Action).validate_python({**({} if "kind" in settings else COMMAND), **settings})
        self.runner = Runner(action, lambda *_: self.actuator, self._note, self.clock)

    def _note(self, **fields: Any) -> None:
        if self.disk_is_full:
            raise OSError(28, "No space left on device")
        self.notes.append(fields)

    def tell(self, *phases: str) -> Desk:
        self.runner.start()
        for phase in phases:
            self.runner.hear({**EVENT, "phase": phase})
        assert self.runner.join(10)
        return self

    def said(self) -> list[tuple[str, str]]:
        return [(note["what"], note["phase"]) for note in self.notes]

    def codes(self) -> list[str]:
        return [reason.code for reason in self.runner.reasons()]


def test_what_is_done_is_noted_before_it_is_done() -> None:
    desk = Desk(on=["start", "end"]).tell("start", "ongoing", "end")

    assert desk.actuator.done == ["start", "end"]
    assert desk.said() == [("does", "start"), ("does", "end")]
    assert desk.notes[0] | {"kind": "command", "rule": "r", "frame": 7, "captured_at": "now"} == desk.notes[0]
    assert desk.actuator.closed == 1
    assert desk.codes() == []


def test_a_dry_run_is_everything_but_the_effect(tmp_path: Path) -> None:
    desk = Desk(dry_run=True, at_most_per_min=2, interlock={"path": tmp_path}).tell("start", "start", "start")

    assert desk.actuator.done == []
    assert desk.said() == [("would-do", "start"), ("would-do", "start"), ("refused", "start")]
    assert desk.codes() == ["action-rate-limited"]


def test_an_interlock_that_is_not_there_refuses(tmp_path: Path) -> None:
    desk = Desk(interlock={"path": tmp_path / "armed"}).tell("start")

    assert desk.actuator.done == []
    assert desk.notes[-1]["why"] == f"interlock {tmp_path / 'armed'} is not there"
    assert desk.codes() == ["action-interlocked"]


def test_an_interlock_that_cannot_be_read_refuses() -> None:
    desk = Desk(interlock={"chip": "/dev/null", "line": 3}).tell("start")

    assert desk.actuator.done == []
    assert desk.notes[-1]["why"].startswith("its interlock cannot be read: ")


@pytest.mark.parametrize(("failing", "why"), [("the line is cut", "the line is cut"), ("bug", "ZeroDivisionError: ")])
def test_a_failure_is_noted_and_told_for_a_while_and_costs_the_next_nothing(failing: str, why: str) -> None:
    desk = Desk(on=["start"])
    desk.actuator.failing = failing
    desk.runner.start()
    desk.runner.hear(EVENT)
    until(lambda: len(desk.notes) == 2, "the failure is noted")
    desk.actuator.failing = ""
    desk.runner.hear(EVENT)
    assert desk.runner.join(10)

    assert [note["what"] for note in desk.notes] == ["does", "failed", "does"]
    (reason,) = desk.runner.reasons()
    assert (reason.code, reason.component, reason.message) == ("action-failing", "stop", f"1 times, lately: {why}")
    assert desk.actuator.done == ["start"]
    desk.clock.advance(601)
    assert desk.runner.reasons() == ()


def test_an_audit_log_that_cannot_be_written_stops_no_action() -> None:
    desk = Desk()
    desk.disk_is_full = True
    desk.tell("start")

    assert desk.actuator.done == ["start"]
    assert desk.codes() == ["action-unaudited"]


def test_what_comes_while_too_many_wait_is_left_out_and_told() -> None:
    desk = Desk(at_most_per_min=1000)
    desk.actuator.gate.clear()
    desk.runner.start()
    desk.runner.hear(EVENT)
    until(lambda: desk.notes, "the first is at work")
    for _ in range(WAITING + 3):
        desk.runner.hear(EVENT)

    (reason,) = desk.runner.reasons()
    assert (reason.code, reason.message) == ("action-left-out", f"3 times, lately: {WAITING} events waited for it")
    desk.actuator.gate.set()
    assert desk.runner.join(10)
    assert len(desk.actuator.done) == WAITING + 1


def test_one_that_was_never_started_ends_at_once() -> None:
    assert Desk().runner.join(0.0)


def config(tmp_path: Path, *actions: dict[str, Any], named: tuple[str, ...]) -> Config:
    rule = {"name": "r", "when": {}, "action": named}
    pipeline = {"name": "a", "source": "s", "model": "m", "rule": [rule]}
    from edged.config.pipelines import ACTIONS, Pipeline  # noqa: PLC0415

    made = Pipeline.model_validate(pipeline, context={ACTIONS: {one["name"] for one in actions}})
    document = {"device": {"id": "press-07"}, "state": {"directory": tmp_path}, "action": actions, "pipeline": [made]}
    return Config.model_validate(document)


def test_the_parts_are_the_actions_that_rules_name(tmp_path: Path) -> None:
    acting = Acting(tmp_path, FakeOutbox(), "press-07", FakeClock())
    other = {**COMMAND, "name": "other"}

    parts = acting.parts(config(tmp_path, COMMAND, other, named=("stop",)))

    assert [part.name for part in parts] == ["action-stop"]
    assert acting.handler("stop") is not None
    assert acting.handler("of-a-package") is None


def test_a_rule_reaches_its_action_and_the_audit_log_is_chained(tmp_path: Path) -> None:
    outbox = FakeOutbox()
    acting = Acting(tmp_path, outbox, "press-07", FakeClock())
    publish = {"name": "tell", "kind": "publish", "on": ["start", "end"]}
    (wanted,) = acting.parts(config(tmp_path, publish, named=("tell",)))
    part, hand = wanted.build(), acting.handler("tell")
    assert hand is not None
    part.start()
    for phase in ("start", "end"):
        hand({**EVENT, "phase": phase})
    assert part.join(10)

    assert [body["phase"] for body in outbox.bodies("action/tell")] == ["start", "end"]
    assert outbox.bodies("action/tell")[0]["schema"] == "edged.action/1"
    entries = list(read_journal(tmp_path / FOLDER))
    assert [(entry.fields["what"], entry.broken) for entry in entries] == [("does", ""), ("does", "")]


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "gpio", "chip": "/dev/null", "line": 3},
        {"kind": "serial", "port": "/nowhere/ttyUSB0", "text": "on"},
        {"kind": "webhook", "url": "http://127.0.0.1:9/", "give_up_after_s": 0.1},
        {"kind": "command", "run": ["/nowhere/stop"]},
    ],
)
def test_each_kind_is_opened_when_it_is_needed_and_its_failure_told(settings: dict[str, Any], tmp_path: Path) -> None:
    acting = Acting(tmp_path, FakeOutbox(), "press-07", FakeClock())
    (wanted,) = acting.parts(config(tmp_path, {"name": "x", **settings}, named=("x",)))
    part, hand = wanted.build(), acting.handler("x")
    assert hand is not None
    part.start()
    hand(EVENT)
    assert part.join(10)

    assert [reason.code for reason in part.reasons()] == ["action-failing"]


LAMP = {"name": "lamp", "kind": "gpio", "line": 17, "chip": "/dev/gpiochip0"}


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Chip:
    made = Chip()
    install(monkeypatch, {"/dev/gpiochip0": made})
    return made


def acts(tmp_path: Path, acting: Acting, settings: dict[str, Any], *named: str) -> list[Part]:
    """Give the parts of one action, built and started."""
    parts = [part.build() for part in acting.parts(config(tmp_path, settings, named=named))]
    for part in parts:
        part.start()
    return parts


def lit(chip: Chip, tmp_path: Path) -> tuple[Acting, Part, Callable[[Document], None]]:
    """Give actions whose lamp is on, the lamp's part, and what hands it events."""
    acting = Acting(tmp_path, FakeOutbox(), "press-07", FakeClock())
    (lamp,) = acts(tmp_path, acting, LAMP, "lamp")
    hand = acting.handler("lamp")
    assert hand is not None
    hand(EVENT)
    until(lambda: chip.levels.get(17), "the lamp is on")
    return acting, lamp, hand


def test_a_lamp_that_a_killed_edged_left_on_is_off_before_any_event_and_free_at_the_end(
    chip: Chip, tmp_path: Path
) -> None:
    chip.levels[17] = True
    (part,) = acts(tmp_path, Acting(tmp_path, FakeOutbox(), "press-07", FakeClock()), LAMP, "lamp")
    until(lambda: chip.held and not chip.levels[17], "the lamp is off")
    assert part.join(10)

    assert (chip.held, chip.levels) == ({}, {17: False})


def test_a_dry_run_holds_no_line(chip: Chip, tmp_path: Path) -> None:
    acting = Acting(tmp_path, FakeOutbox(), "press-07", FakeClock())
    (part,) = acts(tmp_path, acting, LAMP | {"dry_run": True}, "lamp")
    hand = acting.handler("lamp")
    assert hand is not None
    hand(EVENT)
    assert part.join(10)

    assert chip.levels == {}


def test_a_lamp_whose_table_changes_while_an_event_lasts_is_on_again_with_what_goes_on(
    chip: Chip, tmp_path: Path
) -> None:
    acting, old, hand = lit(chip, tmp_path)
    changed = acting.parts(config(tmp_path, LAMP | {"active_low": True}, named=("lamp",)))
    assert old.join(10)
    hand({**EVENT, "phase": "ongoing"})  # between the old part's end and the new one's start
    (new,) = (part.build() for part in changed)
    new.start()
    until(lambda: chip.levels[17] is False, "it is on again, active low")
    hand({**EVENT, "phase": "end"})
    assert new.join(10)

    assert (chip.levels[17], chip.held) == (True, {})


def test_what_came_for_an_action_that_went_is_not_done_when_it_comes_again(tmp_path: Path) -> None:
    outbox = FakeOutbox()
    acting = Acting(tmp_path, outbox, "press-07", FakeClock())
    publish = {"name": "tell", "kind": "publish"}
    (old,) = acts(tmp_path, acting, publish, "tell")
    hand = acting.handler("tell")
    assert hand is not None
    assert acts(tmp_path, acting, publish) == []
    assert old.join(10)
    hand(EVENT)
    (new,) = acts(tmp_path, acting, publish, "tell")
    assert new.join(10)

    assert outbox.bodies("action/tell") == []


def test_the_end_of_what_lasts_is_done_however_many_wait() -> None:
    desk = Desk(**LAMP, at_most_per_min=6000)
    desk.actuator.gate.clear()
    desk.runner.start()
    desk.runner.hear(EVENT)
    until(lambda: desk.notes, "the first is at work")
    for _ in range(WAITING):
        desk.runner.hear({**EVENT, "rule": "other"})
    desk.runner.hear({**EVENT, "phase": "end"})
    desk.actuator.gate.set()
    until(lambda: desk.actuator.done[-1:] == ["end"], "the end is done")

    assert desk.codes() == []
    assert desk.runner.join(10)


def test_refusals_of_one_cause_are_counted_and_not_written_again() -> None:
    desk = Desk(at_most_per_min=1).tell(*["start"] * 50)

    assert desk.said() == [("does", "start"), ("refused", "start")]
    assert desk.runner.reasons()[0].message.startswith("49 times")


def test_an_interlock_below_a_file_refuses_and_ends_no_thread(tmp_path: Path) -> None:
    (tmp_path / "plc").touch()
    desk = Desk(interlock={"path": tmp_path / "plc" / "armed"}).tell("start", "start")

    assert desk.notes[0]["why"].endswith("cannot be read: Not a directory")
    assert desk.actuator.done == []


def test_a_fault_of_an_actuator_at_its_tick_ends_no_thread() -> None:
    desk = Desk(on=["start", "end"])

    def breaks() -> None:
        raise ZeroDivisionError

    desk.actuator.tick = breaks  # type: ignore[method-assign] # the fault
    desk.tell("start", "end")

    assert desk.actuator.done == ["start", "end"]
    assert desk.codes() == ["action-failing"]


def test_what_a_program_says_cannot_steer_a_terminal() -> None:
    desk = Desk()
    desk.actuator.failing = "\x1b]0;title\x07 \x1b[2J gone"
    desk.tell("start")

    assert desk.notes[-1]["why"].isprintable()


def test_one_that_hangs_keeps_neither_the_end_nor_a_lamp_waiting(chip: Chip, tmp_path: Path) -> None:
    hanging = Desk()
    hanging.actuator.gate.clear()
    hanging.runner.start()
    for _ in range(WAITING + 2):
        hanging.runner.hear(EVENT)
    _, lamp, _ = lit(chip, tmp_path)
    began_s = time.monotonic()
    ended = hanging.runner.join(0.2), lamp.join(0.0)
    took_s = time.monotonic() - began_s
    hanging.actuator.gate.set()

    assert ended == (False, True)
    assert chip.levels == {17: False}
    assert took_s < 0.2 + 20  # it hangs for ever
    assert hanging.runner.join(10)


LOADED = """
import sys
import edged.assembly.wiring
adapters = {"gpiod", "serial", *(f"edged.sinks.{one}" for one in ("relay", "serial_text", "webhook", "program"))}
print(*sorted(adapters & {*sys.modules}))
"""


def test_a_box_without_actions_loads_nothing_that_has_an_effect() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, cwd="/")

    assert done.stdout == "\n"
