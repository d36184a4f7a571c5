"""The agent, with a courier that needs no signatures: from an order to a pipeline that runs what it names."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edged.assembly.accepted import Accepted
from edged.assembly.box import Box, survey
from edged.assembly.errands import Errands
from edged.assembly.going_live import GoingLive
from edged.assembly.supply import Supply
from edged.assembly.update_reports import UpdateReports
from edged.assembly.updating import FOLDER, Updating
from edged.domain.errors import DeviceError, RetryableError
from edged.fleet.schemas import UpdateDocument
from edged.fleet.topics import Stamper
from edged.update.archive import unpack
from edged.update.disk import LocalDisk
from edged.update.ports import Probation, Site
from edged.update.probation import COMMIT, WATCH, Verdict
from edged.update.records import Pointer
from edged.update.shadow import Ruling
from edged.update.window import waits_for
from fakes.clock import FakeClock
from fakes.ordering import DEVICE, LINE, FolderCourier, envelope, published
from fakes.outbox import FakeOutbox
from fakes.sensor import sensor_bundle
from fakes.site import Tried
from fakes.waiting import until

MODEL = "level"


@pytest.fixture(scope="module")
def box() -> Box:
    """Give this machine with the shipped profiles."""
    return survey(Path("/"), "auto", ())


@dataclass
class Fleet:
    """A box without pipelines, its agent, and what the fleet hears."""

    path: Path
    box: Box
    clock: FakeClock = field(default_factory=FakeClock)
    outbox: FakeOutbox = field(default_factory=FakeOutbox)
    verdict: Verdict = COMMIT
    waits: str | None = None
    trial: Callable[[], Tried] = lambda: Tried(passed=True)
    seq: int = 0

    def __post_init__(self) -> None:
        self.courier = FolderCourier(self.path / "repository", self.state / "incoming")
        sensor_bundle(self.path / "models" / MODEL)
        self.began()
        self.outbox.drafts.clear()

    @property
    def state(self) -> Path:
        return self.path / "state"

    def began(self) -> None:
        """Start, or start anew."""
        self.supply = Supply((self.path / "models",), self.state, self.box, self.clock, boot="boot-1")
        reports = UpdateReports(self.outbox, Stamper("boot-1", self.clock))
        live = GoingLive(list, lambda _: None, self.clock)
        accepted = Accepted(self.state, LocalDisk(), (DEVICE, LINE))
        self.agent = Updating(self.courier, accepted, self.supply, live, reports, self.clock, jitter=lambda: 1.0)
        self.agent.site = Site(
            fetch=self._fetch,
            unpack=unpack,
            trial=lambda _bundle: self.trial(),
            free_bytes=lambda: 1 << 40,
            waits_for=lambda: self.waits,
            activate=lambda _model, _release: None,
            watch=self._watch,
            cancelled=self.agent.is_called_back,
            progress=reports.progress,
        )
        self.supply.bundle(MODEL)

    def publish(self, version: str, **more: Any) -> dict[str, Any]:
        return published(
            sensor_bundle(self.path / "sources" / version, version=version), self.path / "repository", **more
        )

    def order(self, version: str | None, audience: Any = DEVICE, **more: Any) -> None:
        """Put the next order onto a topic."""
        self.seq += 1
        wanted = self.publish(version, **more) if version is not None else None
        self.agent.take(audience, envelope(self.seq, {MODEL: wanted}, audience=audience))

    def live(self) -> str:
        return self.supply.bundle(MODEL).manifest.version

    def slot(self) -> Pointer:
        return self.supply.updater.slots.pointer(MODEL)

    def said(self) -> list[tuple[Any, Any]]:
        return [(body.get("model"), body["state"]) for body in self.outbox.bodies("update")]

    def last(self) -> dict[str, Any]:
        return self.outbox.bodies("update")[-1]

    def _fetch(self, model: str, order: Any, progress: Any, cancelled: Any) -> Any:
        from edged.update.desired import ModelOrder  # noqa: PLC0415

        wanted = ModelOrder(model, order.version, order.target, order.length, order.sha256)
        return self.courier.fetch(wanted, progress, cancelled)

    def _watch(self, _probation: Probation) -> Verdict:
        return self.verdict


@pytest.fixture
def fleet(tmp_path: Path, box: Box) -> Fleet:
    (tmp_path / "state").mkdir()
    return Fleet(tmp_path, box)


def test_an_order_is_carried_out_and_every_transition_is_told(fleet: Fleet) -> None:
    fleet.order("2.0.0")

    fleet.agent.tick()

    assert fleet.live() == "2.0.0"
    states = [state for model, state in fleet.said() if model == MODEL]
    assert states == [
        "accepted",
        "checking",
        "downloading",
        "downloading",
        "verifying",
        "staged",
        "validating",
        "ready",
        "activating",
        "probation",
        "committed",
    ]
    told = fleet.last()
    assert (told["version"], told["order"]["seq"], told["order"]["by"]) == ("2.0.0", 1, "someone")
    for number, body in enumerate(fleet.outbox.bodies("update"), 1):
        UpdateDocument.model_validate({**body, "device": "press-07", "seq": number})
    (progress,) = [body["progress"] for body in fleet.outbox.bodies("update") if "progress" in body]
    assert progress["done_bytes"] * 2 <= progress["total_bytes"] + 1


def test_what_the_broker_repeats_is_neither_judged_nor_done_again(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    fleet.agent.tick()
    said = len(fleet.said())
    again = envelope(1, {MODEL: fleet.publish("2.0.0")})

    fleet.agent.take(DEVICE, again)
    fleet.agent.take(DEVICE, b"")
    fleet.agent.tick()

    assert (fleet.courier.judged, len(fleet.said())) == ([DEVICE], said)


def test_after_a_restart_without_a_broker_the_order_goes_on(fleet: Fleet) -> None:
    fleet.waits = "the window"
    fleet.order("2.0.0")
    assert fleet.agent.tick() == 1.0
    fleet.waits = None

    fleet.began()
    fleet.agent.tick()

    assert fleet.live() == "2.0.0"
    assert fleet.courier.fetched == ["2.0.0"]


@pytest.mark.parametrize("damage", [b"", b"{}", b"\0" * 200, b"[" * 100_000, b'{"payload": 3}'])
def test_an_order_that_was_forgotten_is_taken_from_the_broker_again(fleet: Fleet, damage: bytes) -> None:
    fleet.order("2.0.0")
    fleet.agent.tick()
    (fleet.state / "orders" / "device.json").write_bytes(damage)

    fleet.began()
    fleet.order("3.0.0")
    fleet.agent.tick()

    assert fleet.live() == "3.0.0"


def test_the_device_s_order_beats_its_group_s(fleet: Fleet) -> None:
    fleet.order("2.0.0", LINE)
    fleet.agent.tick()
    fleet.order("3.0.0")
    fleet.agent.tick()
    fleet.order("4.0.0", LINE)
    fleet.agent.tick()

    assert fleet.live() == "3.0.0"


def test_an_order_that_is_not_to_be_followed_is_refused_and_told(fleet: Fleet) -> None:
    """Case 23: an order for another device or group → REJECTED."""
    fleet.agent.take(DEVICE, envelope(1, {}, audience=LINE))

    fleet.agent.tick()

    told = fleet.last()
    assert (told["state"], told["code"], told["audience"]) == ("rejected", "other-audience", "device:press-07")
    assert fleet.agent.tick() == 30.0


def test_an_order_that_cannot_be_judged_now_is_judged_later(fleet: Fleet) -> None:
    fleet.courier.fails = [RetryableError("cannot reach it: no route", code="network")]
    fleet.order("2.0.0")

    wait_s = fleet.agent.tick()

    assert fleet.live() == "1.0.0"
    assert fleet.agent.tick() == pytest.approx(wait_s)
    fleet.clock.advance(wait_s)
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_a_download_that_fails_is_tried_again_after_a_while_that_grows(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    waits: list[float] = []
    trouble = RetryableError("cannot reach it: no route", code="network")

    def cut() -> None:
        if len(waits) < 3:
            raise trouble

    fleet.courier.meanwhile = cut
    while len(waits) < 3:
        waits.append(fleet.agent.tick())
        assert fleet.slot().state.value == "failed"
        fleet.clock.advance(waits[-1])

    fleet.agent.tick()

    assert waits == [5.0, 10.0, 20.0]
    assert fleet.live() == "2.0.0"


def test_a_later_order_interrupts_a_download_and_takes_its_place(fleet: Fleet) -> None:
    """Case 48: a new order during DOWNLOADING → SUPERSEDED."""
    fleet.order("2.0.0")
    orders = iter(["3.0.0"])
    fleet.courier.meanwhile = lambda: fleet.order(next(orders)) if fleet.seq == 1 else None

    fleet.agent.tick()
    fleet.agent.tick()

    assert fleet.live() == "3.0.0"
    assert (MODEL, "superseded") in fleet.said()
    assert fleet.courier.fetched == ["3.0.0"]


def test_a_word_that_does_not_concern_a_download_only_interrupts_it(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    words = [envelope(1, {"other": None}, audience=LINE)]
    fleet.courier.meanwhile = lambda: fleet.agent.take(LINE, words.pop()) if words else None

    assert fleet.agent.tick() == 0.0
    fleet.agent.tick()

    assert fleet.live() == "2.0.0"
    assert (MODEL, "superseded") not in fleet.said()


def test_a_later_order_waits_until_the_one_on_probation_is_committed(fleet: Fleet) -> None:
    """Case 48: a new order during PROBATION is queued until the commit."""
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.order("3.0.0")
    fleet.agent.tick()
    assert (fleet.live(), fleet.slot().state.value) == ("2.0.0", "probation")

    fleet.verdict = COMMIT
    assert fleet.agent.tick() == 0.0
    fleet.agent.tick()

    assert fleet.live() == "3.0.0"
    previous = fleet.slot().previous
    assert previous is not None
    assert previous.version == "2.0.0"


def test_an_order_is_taken_back_while_it_is_fetched(fleet: Fleet) -> None:
    """Case 49: cancelled before ACTIVATING → CANCELLED."""
    fleet.order("2.0.0")
    fleet.courier.meanwhile = lambda: fleet.order(None) if fleet.seq == 1 else None

    fleet.agent.tick()
    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live(), fleet.slot().order) == ("cancelled", "1.0.0", None)


def test_an_order_on_probation_cannot_be_taken_back_and_the_folders_count_afterwards(fleet: Fleet) -> None:
    """Case 49: cancelled after ACTIVATING → CANCEL_REJECTED."""
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.order(None)
    fleet.agent.tick()
    fleet.agent.tick()
    assert fleet.said().count((MODEL, "cancel-rejected")) == 1
    assert fleet.slot().state.value == "probation"

    fleet.verdict = COMMIT
    fleet.agent.tick()
    fleet.agent.tick()

    assert fleet.live() == "1.0.0"


def test_no_order_and_nothing_asked_for_is_nothing_to_do(fleet: Fleet) -> None:
    fleet.order(None)

    assert fleet.agent.tick() == 30.0
    assert fleet.live() == "1.0.0"


def test_an_order_that_ended_before_it_was_begun_is_not_begun(fleet: Fleet) -> None:
    fleet.clock.step_wall(2 * 365 * 86_400)
    fleet.order("2.0.0")

    fleet.agent.tick()
    fleet.agent.tick()

    assert fleet.live() == "1.0.0"
    assert [body["code"] for body in fleet.outbox.bodies("update")] == ["expired"]


def test_a_disk_that_takes_no_note_is_told_and_changes_nothing(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 31: no space at the pointer's write → FAILED, the old model serves."""
    fleet.order("2.0.0")
    error = DeviceError("cannot write pointer.json: No space left on device", code="disk")

    def full(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as disk:
        disk.setattr(type(fleet.supply.updater.slots.records), "point", full)
        wait_s = fleet.agent.tick()

    assert (fleet.last()["state"], fleet.last()["code"], fleet.live()) == ("failed", "disk", "1.0.0")
    fleet.clock.advance(wait_s)
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_a_rollback_calls_somebody(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    fleet.verdict = Verdict("roll-back", "slow")

    fleet.agent.tick()

    (alert,) = fleet.outbox.bodies("alert")
    assert (alert["code"], alert["component"], alert["message"]) == (
        "model-rolled-back",
        "model:level",
        "1.0.0 goes on: slow",
    )


def test_without_the_release_before_it_the_factory_s_runs_and_somebody_is_called(fleet: Fleet) -> None:
    """Case 46: the previous release was deleted by hand → the factory's model, and an alarm."""
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    previous = fleet.slot().previous
    assert previous is not None
    (fleet.state / "store" / "sha256" / previous.digest[:2] / previous.digest).unlink()
    fleet.verdict = Verdict("roll-back", "slow")

    fleet.agent.tick()

    (alert,) = fleet.outbox.bodies("alert")
    assert "what the folders offer is next: slow" in str(alert["message"])
    assert fleet.live() == "1.0.0"


def test_what_a_folder_brings_is_told_when_it_is_over(fleet: Fleet) -> None:
    sensor_bundle(fleet.path / "models" / "newer", version="1.1.0")

    assert fleet.live() == "1.1.0"

    assert fleet.said() == [(MODEL, "committed")]
    assert fleet.last()["order"] is None


@pytest.fixture
def running(fleet: Fleet) -> Iterator[Fleet]:
    """Give an agent with its thread."""
    fleet.agent.start()
    yield fleet
    fleet.agent.stop()
    assert fleet.agent.join(5.0)


def test_on_its_thread_it_works_by_itself(running: Fleet) -> None:
    running.order("2.0.0")

    until(lambda: (MODEL, "committed") in running.said(), "the order is carried out")

    assert repr(running.agent).endswith("<Accepted device:press-07 1>>")
    assert list(running.agent.reasons()) == []


def test_a_fault_of_its_own_does_not_end_it(running: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    broke = threading.Event()

    def broken(*_: object) -> None:
        broke.set()
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(running.courier, "judge", broken)
        running.order("2.0.0")
        assert broke.wait(5.0)
    running.agent.reload()

    until(lambda: (MODEL, "committed") in running.said(), "the order is carried out all the same")


def test_one_that_never_began_ends_at_once(fleet: Fleet) -> None:
    assert fleet.agent.join(0.0)


def ended(fleet: Fleet, is_busy: Callable[[], bool]) -> Updating:
    """Have edged asked to end while its agent does something, and start anew before the agent has ended; gives that agent."""
    before = fleet.agent
    before.start()
    until(is_busy, "the agent is busy")
    before.stop()
    fleet.began()
    return before


def test_an_end_that_was_asked_for_is_none_of_a_probation_s_crashes_though_the_agent_is_busy(fleet: Fleet) -> None:
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    gate, judging = threading.Event(), threading.Event()

    def judge(*_: object) -> None:
        judging.set()
        gate.wait(30.0)
        raise RetryableError("cannot reach it: no route", code="network")

    fleet.courier.judge = judge  # type: ignore[method-assign, assignment]
    agents = []
    for seq in range(3):
        judging.clear()
        fleet.agent.take(LINE, envelope(50 + seq, {}, audience=LINE))
        agents.append(ended(fleet, judging.is_set))
    gate.set()
    assert all(agent.join(5.0) for agent in agents)

    assert (fleet.slot().state.value, fleet.slot().attempt, fleet.live()) == ("probation", 0, "2.0.0")


def test_an_end_that_was_asked_for_is_no_trial_that_was_interrupted(fleet: Fleet) -> None:
    gate, trying = threading.Event(), threading.Event()

    def trial() -> Tried:
        trying.set()
        gate.wait(30.0)
        raise RetryableError("cannot go on with the trial: it was cancelled", code="cancelled")

    fleet.trial = trial
    fleet.order("2.0.0")
    agents = []
    for _ in range(4):
        trying.clear()
        agents.append(ended(fleet, trying.is_set))
    gate.set()
    assert all(agent.join(5.0) for agent in agents)
    fleet.trial = lambda: Tried(passed=True)
    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live()) == ("committed", "2.0.0")


def test_an_order_that_is_being_judged_when_edged_ends_is_judged_at_the_next_start(fleet: Fleet) -> None:
    fleet.order("2.0.0")
    fleet.agent.stop()

    fleet.agent.tick()

    assert (fleet.courier.judged, fleet.said()) == ([], [])


def test_a_fault_in_judging_holds_up_no_rollback(fleet: Fleet) -> None:
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.courier.fails = [OSError(28, "No usable temporary directory")]
    fleet.agent.take(LINE, envelope(50, {}, audience=LINE))
    fleet.verdict = Verdict("roll-back", "slow")

    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live()) == ("rolled-back", "1.0.0")


def test_a_fault_in_one_audience_s_order_holds_up_no_other(fleet: Fleet) -> None:
    fleet.agent.take(LINE, envelope(50, {}, audience=LINE))
    fleet.order("2.0.0")
    fleet.courier.fails = [RuntimeError("unexpected")]

    fleet.agent.tick()

    assert fleet.live() == "2.0.0"


def test_a_fault_in_the_configuration_holds_up_no_model(fleet: Fleet) -> None:
    class Broken:
        def tick(self, _desired: object) -> float | None:
            raise RuntimeError

        def ended_well(self) -> None:
            pass

    fleet.agent.configuring = Broken()
    fleet.order("2.0.0")

    assert fleet.agent.tick() <= 1.0

    assert fleet.live() == "2.0.0"


def test_an_order_that_cannot_be_judged_is_told_once_for_each_cause_until_it_can(fleet: Fleet) -> None:
    unreachable = RetryableError("cannot reach it: no route", code="network")
    attack = RetryableError("cannot trust it: its root is 1, expected 3", code="rollback-attack")
    fleet.courier.fails = [unreachable, unreachable, attack, attack]
    fleet.order("2.0.0")
    grades = []
    for _ in range(4):
        fleet.agent.tick()
        grades.append([(reason.code, reason.informs) for reason in fleet.agent.reasons()])
        fleet.clock.advance(1000.0)

    fleet.agent.tick()

    told = [(body["state"], body.get("code")) for body in fleet.outbox.bodies("update") if body["model"] is None]
    assert told == [("postponed", "network"), ("postponed", "rollback-attack"), ("accepted", None)]
    assert grades == [[("order-unjudged", True)]] * 2 + [[("order-unjudged", False)]] * 2
    assert list(fleet.agent.reasons()) == []
    assert [alert["code"] for alert in fleet.outbox.bodies("alert")] == ["update-attack"]


@pytest.mark.parametrize("code", ["digest", "slow-retrieval"])
def test_a_file_that_is_not_what_was_signed_or_drips_calls_somebody_once(fleet: Fleet, code: str) -> None:
    """Case 7, the alert; whoever serves the files can bring about either."""
    trouble = RetryableError("cannot use it", code=code)

    def poisoned() -> None:
        raise trouble

    fleet.courier.meanwhile = poisoned
    fleet.order("2.0.0")
    for _ in range(3):
        fleet.clock.advance(fleet.agent.tick())

    (alert,) = fleet.outbox.bodies("alert")
    assert (alert["code"], alert["component"]) == ("update-attack", "model:level")


def test_a_rollback_that_the_disk_does_not_take_is_tried_again_every_second_and_told_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.verdict = Verdict("roll-back", "slow")
    error = DeviceError("cannot write pointer.json: No space left on device", code="disk")

    def full(*_: object) -> None:
        raise error

    with monkeypatch.context() as disk:
        disk.setattr(type(fleet.supply.updater.slots.records), "point", full)
        for _ in range(5):
            assert fleet.agent.tick() <= 1.0
            fleet.clock.advance(1.0)
    fleet.agent.tick()

    assert (fleet.live(), fleet.said().count((MODEL, "failed"))) == ("1.0.0", 1)


def test_a_model_that_is_tried_from_a_folder_for_minutes_keeps_nobody_from_watching(fleet: Fleet) -> None:
    configuring = Looked()
    fleet.agent.configuring = configuring
    fleet.order("2.0.0")

    with fleet.supply.turn():  # as long as a folder's model is tried
        assert fleet.agent.tick() == 1.0
        assert fleet.agent.tick() == 1.0

    assert (configuring.ticks, fleet.said()) == (2, [])
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_an_order_is_taken_back_once_the_folders_models_had_their_turn(fleet: Fleet) -> None:
    fleet.waits = "its window"
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.order(None)

    with fleet.supply.turn():
        fleet.agent.tick()
        assert fleet.slot().state.value == "ready"
    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live()) == ("cancelled", "1.0.0")


def test_asked_to_look_again_it_does_so_at_once(fleet: Fleet) -> None:
    fleet.courier.fails = [RetryableError("cannot reach it: no route", code="network")]
    fleet.order("2.0.0")
    fleet.agent.tick()

    fleet.agent.reload()
    fleet.agent.tick()

    assert fleet.live() == "2.0.0"


class Looked:
    """An ordered configuration on probation: it wants to be looked at in a second."""

    ticks = 0

    def tick(self, _desired: Any) -> float | None:
        self.ticks += 1
        return 1.0

    def ended_well(self) -> None:
        """It needs nothing."""


def test_a_long_download_keeps_nobody_from_watching_what_is_on_probation(fleet: Fleet) -> None:
    may, configuring, errands = threading.Event(), Looked(), Errands(fleet.agent.nudge)
    assert fleet.agent.site is not None

    def fetch(model: str, order: Any, progress: Any, cancelled: Any) -> Any:
        return errands.ask(model, order, lambda: may.wait(10.0) and fleet._fetch(model, order, progress, cancelled))

    fleet.agent.site = replace(fleet.agent.site, fetch=fetch)
    fleet.agent.configuring = configuring
    fleet.order("2.0.0")

    assert fleet.agent.tick() <= 1.0
    before = configuring.ticks
    fleet.agent.tick()

    assert (fleet.slot().state.value, configuring.ticks) == ("downloading", before + 1)
    may.set()
    assert errands.join(10.0)
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_a_release_that_takes_long_to_be_kept_keeps_nobody_from_watching(fleet: Fleet) -> None:
    may, configuring, errands = threading.Event(), Looked(), Errands(fleet.agent.nudge)
    assert fleet.agent.site is not None

    def slow(file: Path, folder: Path) -> None:
        assert may.wait(10.0)
        unpack(file, folder)

    fleet.agent.site = replace(fleet.agent.site, unpack=slow, apart=errands.ask)
    fleet.agent.configuring = configuring
    fleet.order("2.0.0")

    assert fleet.agent.tick() <= 1.0
    before = configuring.ticks
    fleet.agent.tick()

    assert (fleet.slot().state.value, configuring.ticks) == ("verifying", before + 1)
    may.set()
    assert errands.join(10.0)
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"
    assert list((fleet.state / "incoming").iterdir()) == []


def test_an_order_on_a_stick_pushes_no_later_one_out_that_was_not_judged_yet(fleet: Fleet) -> None:
    later, older = (envelope(seq, {MODEL: fleet.publish(f"{seq}.0.0")}) for seq in (3, 2))

    fleet.agent.take(DEVICE, later)
    fleet.agent.take(DEVICE, older, where=FOLDER)
    fleet.agent.tick()

    assert fleet.courier.judged == [DEVICE, DEVICE]


def test_a_repository_that_hangs_keeps_nobody_from_taking_back_what_is_on_probation(fleet: Fleet) -> None:
    fleet.verdict = WATCH
    fleet.order("2.0.0")
    fleet.agent.tick()
    hangs, errands, judge = threading.Event(), Errands(fleet.agent.nudge), fleet.courier.judge

    def slow(*asked: Any) -> Any:
        hangs.wait(30.0)
        return judge(*asked)

    fleet.courier.judge = slow  # type: ignore[method-assign, assignment]
    fleet.agent.asks = errands.ask
    fleet.agent.take(LINE, envelope(50, {}, audience=LINE))
    assert fleet.agent.tick() <= 1.0
    fleet.verdict = Verdict("roll-back", "slow")

    fleet.agent.tick()

    assert (fleet.slot().state.value, fleet.live()) == ("rolled-back", "1.0.0")
    hangs.set()
    assert errands.join(10.0)
    fleet.agent.tick()
    assert fleet.courier.judged == [DEVICE, LINE]
    assert "line-a 50" in repr(fleet.agent)


def test_nothing_goes_live_while_a_word_is_judged_that_may_take_it_back(fleet: Fleet) -> None:
    hangs, errands, judge = threading.Event(), Errands(fleet.agent.nudge), fleet.courier.judge
    fleet.waits = "its window"
    fleet.order("2.0.0")
    fleet.agent.tick()
    fleet.courier.judge = lambda *asked: hangs.wait(30.0) and judge(*asked)  # type: ignore[method-assign, assignment]
    fleet.agent.asks = errands.ask
    fleet.order(None)
    fleet.agent.tick()
    fleet.waits = None

    assert fleet.agent.tick() == 1.0
    assert fleet.slot().state.value == "ready"

    hangs.set()
    assert errands.join(10.0)
    fleet.agent.tick()
    assert (fleet.slot().state.value, fleet.live()) == ("cancelled", "1.0.0")


def test_what_runs_beside_is_ended_when_a_later_order_comes_and_when_edged_ends(fleet: Fleet) -> None:
    parted: list[str] = []
    assert fleet.agent.site is not None
    comparing = Ruling("compare")
    fleet.agent.site = replace(fleet.agent.site, shadow=lambda _: comparing, part=parted.append)
    fleet.order("2.0.0", shadow_one_in=1)
    fleet.agent.tick()
    assert (fleet.slot().state.value, parted) == ("shadowing", [])

    fleet.order("3.0.0", shadow_one_in=1)
    fleet.agent.tick()

    assert (fleet.slot().state.value, parted) == ("shadowing", [MODEL])
    fleet.agent.start()
    fleet.agent.stop()
    assert fleet.agent.join(10.0)
    assert parted == [MODEL, MODEL]


def test_a_repository_that_is_away_for_a_day_costs_a_few_lines_and_no_model(fleet: Fleet) -> None:
    """Case 9: what runs goes on, neither outbox nor journal grows with the tries, and the order is carried out in the end."""
    fleet.order("2.0.0")
    fleet.agent.tick()  # judged; from now on nothing can be reached
    assert fleet.live() == "2.0.0"
    fleet.order("3.0.0")
    away = RetryableError("cannot reach it: no route", code="network")
    fleet.courier.fails = [away] * 1000
    until_ns = fleet.clock.mono + 24 * 3600 * 1_000_000_000
    while fleet.clock.mono < until_ns:
        fleet.clock.advance(fleet.agent.tick())
    tries = 1000 - len(fleet.courier.fails)

    assert fleet.live() == "2.0.0"
    assert 24 * 4 <= tries < 200
    assert len([state for _, state in fleet.said() if state == "postponed"]) == 1
    assert len((fleet.state / "journal.ndjson").read_bytes()) < 64 * 1024
    fleet.courier.fails = []
    fleet.clock.advance(900.0)
    fleet.agent.tick()
    assert fleet.live() == "3.0.0"


def test_a_download_that_is_held_up_for_a_day_is_told_once_and_ends_well(fleet: Fleet) -> None:
    """Case 9: the order is known, only its file does not come."""
    assert fleet.agent.site is not None
    fetch, tries = fleet.agent.site.fetch, []

    def away(*_: Any) -> Any:
        tries.append(fleet.clock.mono)
        raise RetryableError("cannot reach it: no route", code="network")

    fleet.agent.site = replace(fleet.agent.site, fetch=away)
    fleet.order("2.0.0")
    until_ns = fleet.clock.mono + 24 * 3600 * 1_000_000_000
    while fleet.clock.mono < until_ns:
        fleet.clock.advance(fleet.agent.tick())
    told, written = len(fleet.said()), len((fleet.state / "journal.ndjson").read_bytes())

    assert (24 * 4 <= len(tries) < 200, fleet.live()) == (True, "1.0.0")
    assert written < 64 * 1024
    assert told < 5 * len(tries)
    fleet.agent.site = replace(fleet.agent.site, fetch=fetch)
    fleet.clock.advance(900.0)
    fleet.agent.reload()
    fleet.agent.tick()
    assert fleet.live() == "2.0.0"


def test_nothing_goes_live_by_a_clock_of_1970_until_it_is_set(fleet: Fleet) -> None:
    """Case 18: it is fetched, tried and ready, and then waits."""
    assert fleet.agent.site is not None
    fleet.agent.site = replace(fleet.agent.site, waits_for=partial(waits_for, None, fleet.clock))
    now_ns, fleet.clock.wall, fleet.clock.is_synced = fleet.clock.wall, 0, False
    fleet.order("2.0.0")
    for _ in range(3):
        fleet.clock.advance(fleet.agent.tick())
    assert (fleet.slot().state.value, fleet.live()) == ("ready", "1.0.0")

    fleet.clock.wall, fleet.clock.is_synced = now_ns, True
    fleet.agent.tick()

    assert fleet.live() == "2.0.0"
