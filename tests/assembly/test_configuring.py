"""Ordered configurations: by the same states as a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from edged.assembly.configuring import BEFORE, FAILED_S, SILENT_S, Configuring, Running, recovered
from edged.assembly.roster import Roster
from edged.assembly.update_reports import UpdateReports
from edged.config.load import load
from edged.domain.errors import DeviceError
from edged.domain.health import Reason
from edged.fleet.topics import Stamper
from edged.update.configured import PROBATION_S
from edged.update.desired import Audience, Desired
from edged.update.disk import LocalDisk
from edged.update.records import Pointer, Records
from edged.update.rollout import State
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox

SLOT = ".configuration"
FAST, SLOW = "[telemetry]\ninterval_s = 2\n", "[telemetry]\ninterval_s = 30\n"


@dataclass
class Box:
    """A box, and what its daemon was asked to do."""

    path: Path
    clock: FakeClock = field(default_factory=FakeClock)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)
    roster: Roster = field(default_factory=Roster)
    asked: list[str] = field(default_factory=list)
    silent_s: float | None = 0.0
    seq: int = 0
    more: str = ""

    def __post_init__(self) -> None:
        self.state.mkdir()
        self.file.write_text(f'[device]\nid = "press-07"\n[state]\ndirectory = "{self.state}"\n{self.more}')
        self.began()

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def file(self) -> Path:
        return self.path / "edged.toml"

    def began(self, boot: str = "boot-1") -> None:
        """Start, or start anew."""
        loaded = recovered(self.file, load(self.file), self.clock, boot)
        self.started = loaded.config
        running = Running(
            self.file,
            loaded.config,
            self.roster,
            lambda: self.silent_s,
            lambda: self.asked.append("reload"),
            lambda: self.asked.append("restart"),
        )
        reports = UpdateReports(self.outbox, Stamper(boot, self.clock))
        self.agent = Configuring(self.state, running, reports, self.clock, boot)

    def order(self, text: str) -> Desired:
        self.seq += 1
        audience = Audience("device", "press-07")
        return Desired(audience, self.seq, 0, 1 << 60, "spring", "someone", {}, text, f"{self.seq:064x}")

    def interval_s(self) -> float:
        return load(self.file).config.telemetry.interval_s

    def slot(self) -> Pointer:
        return Records(self.state, LocalDisk(), self.clock).pointer(SLOT)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def committed(box: Box, text: str) -> None:
    desired = box.order(text)
    assert box.agent.tick(desired) == 1.0
    box.clock.advance(PROBATION_S)
    assert box.agent.tick(desired) is None
    assert box.slot().state is State.COMMITTED


def test_an_ordered_configuration_is_in_force_on_probation_and_committed(box: Box) -> None:
    desired = box.order(SLOW)

    assert box.agent.tick(desired) == 1.0

    assert (box.interval_s(), box.slot().state, box.asked) == (30, State.PROBATION, ["restart"])
    box.clock.advance(PROBATION_S)
    assert box.agent.tick(desired) is None
    assert box.slot().state is State.COMMITTED
    told = [(body["model"], body["state"]) for body in box.outbox.bodies("update")]
    assert told[0] == ("configuration", "accepted")
    assert told[-1] == ("configuration", "committed")


def test_what_a_reload_takes_up_needs_no_restart(box: Box) -> None:
    box.agent.tick(box.order("[http]\n"))

    assert box.asked == ["reload"]


def test_without_a_word_about_it_it_stays_as_it_is(box: Box) -> None:
    committed(box, SLOW)

    assert box.agent.tick(None) is None
    assert box.interval_s() == 30


def test_the_same_text_in_a_later_order_changes_nothing(box: Box) -> None:
    committed(box, SLOW)
    box.asked.clear()

    assert box.agent.tick(box.order(SLOW)) is None

    assert (box.asked, box.slot().state) == ([], State.COMMITTED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[telemetry]\ninterval_s = -1\n", "interval_s"),
        ("[[", "cannot"),
        ('[device]\nid = "other"\n', "it has [device]"),
        ('[updates]\nrepository = "https://elsewhere/"\n', "it has [updates]"),
        ('[engine.edgetpu]\npython = "/tmp/anything"\n', "it has [engine.edgetpu] python"),
        (
            '[[action]]\nname = "a"\nkind = "command"\nrun = ["/bin/sh", "-c", "id"]\n',
            "it has [[action]] of kind command",
        ),
        ("engine = 1\naction = [1]\n", "engine"),
        ('[[pipeline]]\nname = "a"\nsource = "nowhere"\nmodel = "level"\n', "cannot find source 'nowhere'"),
    ],
)
def test_one_that_cannot_be_used_is_rejected_and_nothing_changes(box: Box, text: str, why: str) -> None:
    assert box.agent.tick(box.order(text)) is None

    pointer = box.slot()
    assert (pointer.state, pointer.finished, box.asked) == (State.REJECTED, True, [])
    assert why in pointer.reason


def test_a_fault_that_was_there_before_is_not_its_own(tmp_path: Path) -> None:
    box = Box(tmp_path, more='[[pipeline]]\nname = "a"\nsource = "nowhere"\nmodel = "level"\n')

    box.agent.tick(box.order(SLOW))

    assert box.slot().state is State.PROBATION


def test_one_that_costs_the_broker_is_rolled_back_to_the_one_before(box: Box) -> None:
    committed(box, SLOW)
    desired = box.order(FAST)
    box.agent.tick(desired)
    box.silent_s = SILENT_S
    box.clock.advance(PROBATION_S)

    assert box.agent.tick(desired) is None

    assert (box.slot().state, box.interval_s()) == (State.ROLLED_BACK, 30)
    assert "the broker is out of reach" in box.slot().reason
    assert box.agent.tick(box.order(FAST)) is None
    assert (box.slot().state, box.slot().code) == (State.REJECTED, "quarantined")


@pytest.mark.parametrize("silent_s", [None, SILENT_S])
def test_while_the_broker_is_away_it_waits_since_nobody_could_see_what_it_costs(
    box: Box, silent_s: float | None
) -> None:
    box.silent_s = silent_s
    desired = box.order('[mqtt]\nhost = "wrong.example"\n')

    assert box.agent.tick(desired) == 1.0

    assert (box.slot().state, box.asked) == (State.READY, [])
    box.silent_s = SILENT_S - 1
    box.agent.tick(desired)
    assert box.slot().state is State.PROBATION


def test_after_a_power_cut_that_took_its_note_it_must_still_reach_the_broker(box: Box) -> None:
    desired = box.order('[mqtt]\nhost = "wrong.example"\n')
    box.agent.tick(desired)
    (box.state / "configuration" / BEFORE).unlink()
    box.silent_s = None
    box.began("boot-2")
    box.agent.tick(desired)
    box.clock.advance(PROBATION_S)

    box.agent.tick(desired)

    assert box.slot().state is State.ROLLED_BACK


def test_a_broker_that_restarts_just_then_is_waited_for(box: Box) -> None:
    desired = box.order(SLOW)
    box.agent.tick(desired)
    box.silent_s = 20.0
    box.clock.advance(PROBATION_S)
    assert box.agent.tick(desired) == 1.0
    assert box.slot().state is State.PROBATION
    box.silent_s = 0.0

    assert box.agent.tick(desired) is None

    assert box.slot().state is State.COMMITTED


def test_how_the_box_does_is_on_the_disk_before_the_switch(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, State]] = []
    sync = LocalDisk.sync
    monkeypatch.setattr(
        LocalDisk, "sync", lambda disk, place: (synced.append((place.name, box.slot().state)), sync(disk, place))[1]
    )

    box.agent.tick(box.order(SLOW))

    assert (f".{BEFORE}.new", State.ACTIVATING) in synced


@pytest.mark.parametrize("later", [None, "no word about it"])
def test_one_on_probation_is_watched_whatever_a_later_document_says(box: Box, later: str | None) -> None:
    box.agent.tick(box.order(SLOW))
    document = None if later is None else replace(box.order(""), configuration=None)
    assert box.agent.tick(document) == 1.0
    box.silent_s = SILENT_S
    box.clock.advance(PROBATION_S)

    assert box.agent.tick(document) is None

    assert (box.slot().state, box.interval_s()) == (State.ROLLED_BACK, 10)


def test_what_nothing_names_any_more_is_removed(box: Box) -> None:
    for interval_s in range(2, 7):
        committed(box, f"[telemetry]\ninterval_s = {interval_s}\n")
    slot = box.slot()
    assert slot.active is not None
    assert slot.previous is not None

    kept = {file.name for file in (box.state / "configuration").iterdir()}

    assert kept == {f"{slot.active.digest}.toml", f"{slot.previous.digest}.toml"}


def test_one_that_the_daemon_does_not_take_is_rolled_back_at_once(box: Box) -> None:
    desired = box.order(SLOW)
    box.agent.tick(desired)
    box.roster.reasons = (Reason("reload-refused", "config", "cannot use it", 0),)

    assert box.agent.tick(desired) is None

    assert (box.slot().state, box.slot().reason, box.interval_s()) == (State.ROLLED_BACK, "cannot use it", 10)


def test_one_on_which_the_box_fails_is_rolled_back_after_a_minute(box: Box) -> None:
    desired = box.order(SLOW)
    box.agent.tick(desired)
    box.roster.grade = "failed"
    assert box.agent.tick(desired) == 1.0
    box.clock.advance(FAILED_S + 1)

    assert box.agent.tick(desired) is None

    assert box.slot().state is State.ROLLED_BACK


def test_a_box_that_failed_before_fails_by_something_else(box: Box) -> None:
    box.roster.grade = "failed"
    desired = box.order(SLOW)
    box.agent.tick(desired)
    box.agent.tick(desired)
    box.clock.advance(FAILED_S + 1)

    assert box.agent.tick(desired) == 1.0


def test_a_later_order_waits_until_the_one_on_probation_is_over(box: Box) -> None:
    box.agent.tick(box.order(SLOW))
    later = box.order(FAST)
    assert box.agent.tick(later) == 1.0
    assert box.interval_s() == 30
    box.clock.advance(PROBATION_S)
    box.agent.tick(later)

    box.agent.tick(later)

    assert box.interval_s() == 2


def test_under_one_that_makes_edged_end_the_third_start_is_without_it(box: Box) -> None:
    box.agent.tick(box.order(SLOW))

    for interval_s in (30, 30, 10):
        box.began()
        assert box.started.telemetry.interval_s == interval_s

    assert (box.slot().state, box.slot().code) == (State.ROLLED_BACK, "crashed")


def test_the_restart_that_it_asks_for_itself_is_no_crash(box: Box) -> None:
    desired = box.order(SLOW)
    for _ in range(4):
        box.agent.tick(desired)
        box.agent.ended_well()
        box.began()

    assert box.slot().state is State.PROBATION


def test_a_disk_that_takes_nothing_is_told_and_tried_again(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise DeviceError("cannot write: No space left on device", code="disk")

    desired = box.order(SLOW)
    with monkeypatch.context() as disk:
        disk.setattr(LocalDisk, "write", full)
        assert box.agent.tick(desired) == FAILED_S

    assert box.agent.tick(desired) == 1.0
    assert box.interval_s() == 30


def test_by_a_clock_that_nobody_set_it_waits(box: Box) -> None:
    box.clock.is_synced = False

    box.agent.tick(box.order(SLOW))

    assert (box.slot().state, box.interval_s()) == (State.READY, 10)


def test_a_note_that_is_none_excuses_nothing(box: Box) -> None:
    desired = box.order(SLOW)
    box.agent.tick(desired)
    for content in (b"rubbish", b"3"):
        (box.state / "configuration" / BEFORE).write_bytes(content)
        assert box.agent.tick(desired) == 1.0


def test_a_file_that_no_longer_loads_is_left_to_the_daemon_to_tell(box: Box) -> None:
    desired = box.order(SLOW)
    assert box.agent.check(box.file) is not None
    box.agent.tick(desired)
    box.file.write_text("[[")

    box.roster.reasons = (Reason("reload-refused", "config", "cannot use it", 0),)
    box.agent.tick(desired)

    assert box.asked == ["restart", "reload"]


def test_a_box_that_was_never_ordered_any_starts_as_it_is(box: Box) -> None:
    loaded = load(box.file)

    assert recovered(box.file, loaded, box.clock, "boot-1") is loaded
