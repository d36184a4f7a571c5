from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from edged.domain.errors import BundleError, ConfigError
from edged.domain.frame import Frame
from edged.domain.health import Reason
from edged.domain.ports import Source
from edged.pipeline.backoff import Backoff
from edged.pipeline.feed import OPENING_S, Feed
from edged.pipeline.line import NEVER_STUCK_NS, Gate, Line, Pipeline
from edged.pipeline.mailbox import Mailbox
from edged.pipeline.reader import Reader
from edged.pipeline.worker import Worker
from edged.telemetry.metrics import PipelineMetrics
from fakes.clock import FakeClock
from fakes.source import FakeSource, picture

GIVE_UP_S = 10.0


class Taker:
    """Steps that only take frames."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.taken: list[Frame] = []
        self.reason: Reason | None = None

    def step(self, timeout_s: float) -> bool:
        frame = self.mailbox.take(timeout_s)
        if frame is None:
            return not self.mailbox.ended
        self.taken.append(frame)
        return True

    def close(self) -> None:
        pass


class Relay:
    """Stands beside a pipeline and keeps what was asked of it."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def close(self, timeout_s: float) -> bool:
        assert timeout_s > 0
        self.calls.append(f"close after {self._worker.state}")
        return False

    def reasons(self) -> list[Reason]:
        return [Reason("action-failing", "p0", "stuck", 0)]


def line(
    source: Callable[[], Source], *fails: bool, lossless: bool = True
) -> tuple[Line, list[Taker], list[threading.Event]]:
    """Build a line with a pipeline a flag: one that loads, or one whose model never does."""
    mailboxes = [Mailbox(f"p{number}", lossless=lossless) for number in range(len(fails))]
    readers = [Reader(mailbox) for mailbox in mailboxes]
    takers = [Taker(mailbox) for mailbox in mailboxes]
    renewed = [threading.Event() for _ in fails]
    feed = Feed("dock", source, FakeClock(), readers=readers, reopen=False)
    gate = Gate([mailbox.name for mailbox in mailboxes], feed.start)

    def build(number: int) -> Callable[[], Taker]:
        def build_it() -> Taker:
            try:
                if fails[number]:
                    readers[number].shut()
                    raise BundleError("cannot load it", remedy="install it")
            finally:
                gate.arrive(mailboxes[number].name)
            return takers[number]

        return build_it

    pipelines = [
        Pipeline(
            mailbox.name,
            Worker(mailbox.name, build(number), FakeClock(), Backoff(first_s=1000.0, limit_s=1000.0)),
            mailbox,
            PipelineMetrics(),
            renewed[number].set,
        )
        for number, mailbox in enumerate(mailboxes)
    ]
    return Line(feed, pipelines), takers, renewed


def frames(count: int) -> Callable[[], Source]:
    return lambda: FakeSource([picture(index) for index in range(count)])


def ran(one: Line) -> Line:
    one.start()
    for pipeline in one.pipelines:
        assert pipeline.worker.join(GIVE_UP_S)
    return one


def test_every_pipeline_of_a_lossless_line_gets_every_frame() -> None:
    one, takers, _ = line(frames(20), False, False)
    ran(one)
    assert [len(taker.taken) for taker in takers] == [20, 20]
    assert one.ended
    assert one.working
    assert one.reasons() == []


def test_a_pipeline_without_a_model_holds_up_none_of_the_others() -> None:
    one, takers, _ = line(frames(20), False, True)
    one.start()
    assert one.pipelines[0].worker.join(GIVE_UP_S)
    assert [len(taker.taken) for taker in takers] == [20, 0]
    assert not one.ended
    assert [(reason.component, reason.code) for reason in one.reasons()] == [("p1", "bundle")]
    assert one.drops()["p1"]["no-model"] == 20
    one.stop()
    assert one.join(GIVE_UP_S)


def test_a_source_that_cannot_be_opened_is_told_by_its_own_name() -> None:
    def refuse() -> Source:
        raise ConfigError("cannot open it", remedy="name another")

    one, _, _ = line(refuse, False)
    ran(one)
    assert [(reason.component, reason.message, reason.remedy) for reason in one.reasons()] == [
        ("dock", "cannot open it; name another", "name another")
    ]
    assert not one.ended
    assert not one.working


def test_a_source_that_hangs_while_it_opens_is_told() -> None:
    opening, opens = threading.Event(), threading.Event()

    def hanging() -> Source:
        opening.set()
        opens.wait(GIVE_UP_S)
        return frames(1)()

    one, _, _ = line(hanging, False)
    one.start()
    assert opening.wait(GIVE_UP_S)
    assert one.reasons() == []
    one.feed._clock.advance(OPENING_S + 1)  # type: ignore[attr-defined] # a fake
    assert [(reason.code, reason.component, reason.fatal) for reason in one.reasons()] == [
        ("source-hangs", "dock", True)
    ]
    opens.set()
    assert one.pipelines[0].worker.join(GIVE_UP_S)


def test_a_pipeline_that_its_source_does_not_fit_is_told_by_its_name_and_the_others_run_on() -> None:
    one, takers, _ = line(frames(20), False, False)
    one.pipelines[0].mailbox.close(ConfigError("cannot give it samples", remedy="name a camera"))
    ran(one)
    assert [(reason.code, reason.component, reason.message, reason.remedy) for reason in one.reasons()] == [
        ("config", "p0", "cannot give it samples", "name a camera")
    ]
    assert [len(taker.taken) for taker in takers] == [0, 20]
    assert not one.ended


def test_what_is_done_beside_a_pipeline_starts_with_it_ends_behind_it_and_has_its_say() -> None:
    one, _, _ = line(frames(1), False)
    relay = Relay(one.pipelines[0].worker)
    both = Line(one.feed, [replace(one.pipelines[0], aside=relay)])
    ran(both)
    assert [reason.code for reason in both.reasons()] == ["action-failing"]
    both.stop()
    assert not both.join(GIVE_UP_S)
    assert relay.calls == ["start", "close after ended"]


def test_a_reload_lets_each_pipeline_look_for_a_newer_model() -> None:
    one, _, renewed = line(frames(1), False, False)
    one.reload()
    assert [event.wait(GIVE_UP_S) for event in renewed] == [True, True]


def test_a_storm_of_reloads_is_one_renewal_at_a_time_and_one_after_the_last() -> None:
    began, may_end = threading.Semaphore(0), threading.Semaphore(0)
    told: list[str] = []

    def renew() -> None:
        told.append(threading.current_thread().name)
        began.release()
        assert may_end.acquire(timeout=GIVE_UP_S)

    one, _, _ = line(frames(1), False)
    stormy = Line(one.feed, [replace(one.pipelines[0], renew=renew)])

    stormy.reload()
    assert began.acquire(timeout=GIVE_UP_S)
    for _ in range(100):
        stormy.reload()
    running = [thread for thread in threading.enumerate() if thread.name == "edged-renew-p0"]
    may_end.release(2)
    for thread in running:
        thread.join(GIVE_UP_S)

    assert len(running) == 1
    assert len(told) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_renewal_that_met_a_fault_of_its_own_does_not_keep_the_next_from_running() -> None:
    began = threading.Semaphore(0)
    tries: list[threading.Thread] = []

    def renew() -> None:
        tries.append(threading.current_thread())
        began.release()
        raise RuntimeError("a bug")

    one, _, _ = line(frames(1), False)
    faulty = Line(one.feed, [replace(one.pipelines[0], renew=renew)])

    for _ in range(2):
        faulty.reload()
        assert began.acquire(timeout=GIVE_UP_S)
        tries[-1].join(GIVE_UP_S)

    assert len(tries) == 2


def test_the_heartbeat_is_the_slowest_loops() -> None:
    one, _, _ = line(frames(1), False, False)
    one.pipelines[1].worker.heartbeat_ns = 7
    assert one.heartbeat_ns == 7


def test_what_has_ended_is_never_stuck() -> None:
    one, _, _ = line(frames(1), False)
    ran(one)
    assert one.heartbeat_ns == NEVER_STUCK_NS


def test_the_repr_shows_source_and_pipelines() -> None:
    one, _, _ = line(frames(1), False)
    assert repr(one).startswith("<Line <Feed 'dock': opening")
    assert "<Worker p0: starting" in repr(one)


def test_a_gate_opens_once_when_the_last_has_arrived() -> None:
    opened: list[int] = []
    gate = Gate(["a", "b"], lambda: opened.append(1))
    for name in ("a", "a", "b", "b", "stranger"):
        gate.arrive(name)
    assert opened == [1]


def pausable(*, reader: bool) -> Pipeline:
    mailbox = Mailbox("gate")
    worker = Worker("gate", lambda: Taker(mailbox), FakeClock())
    return Pipeline("gate", worker, mailbox, PipelineMetrics(), lambda: None, Reader(mailbox) if reader else None)


def test_a_paused_pipeline_drops_what_comes_and_forgets_what_lay_there_before() -> None:
    pipeline = pausable(reader=True)
    assert pipeline.reader is not None
    pipeline.mailbox.put(picture(1))
    pipeline.pause()
    pipeline.reader.offer(picture(2), 0.0)
    assert pipeline.worker.reason is not None
    pipeline.resume()
    pipeline.reader.offer(picture(3), 0.0)

    newest = pipeline.mailbox.take(0.0)
    assert newest is not None
    assert newest.stamp.index == 3
    assert pipeline.mailbox.drops == {"paused": 1}
    assert pipeline.worker.reason is None


def test_a_paused_pipeline_whose_source_waits_for_it_loses_nothing() -> None:
    pipeline = pausable(reader=False)
    pipeline.mailbox.put(picture(1))
    pipeline.pause()
    pipeline.resume()
    assert pipeline.mailbox.take(0.0) is not None
