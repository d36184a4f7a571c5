"""What became of a request, told to threads and to calls."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from edged.api.outcome import Outcome
from fakes.waiting import LONGEST_S


def test_it_is_told_once() -> None:
    outcome = Outcome()
    outcome.tell(1)
    outcome.tell(2)
    outcome.fail(ValueError("too late"))
    outcome.cancel()
    assert (outcome.result(), outcome.done(), outcome.cancelled(), outcome.error()) == (1, True, False, None)


def test_what_went_wrong_is_raised() -> None:
    outcome = Outcome()
    outcome.fail(ValueError("no"))
    assert isinstance(outcome.error(), ValueError)
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            outcome.result(0)


def test_nobody_waits_longer_than_he_will() -> None:
    outcome = Outcome()
    with pytest.raises(TimeoutError, match=r"0\.010 s"):
        outcome.result(0.01)
    outcome.tell(1)
    assert outcome.result(0.01) == 1


def test_several_threads_may_wait() -> None:
    outcome, found = Outcome(), []
    threads = [threading.Thread(target=lambda: found.append(outcome.result(LONGEST_S))) for _ in range(4)]
    for thread in threads:
        thread.start()
    outcome.tell("it")
    for thread in threads:
        thread.join(LONGEST_S)
    assert found == ["it"] * 4


def test_it_is_let_go_only_before_its_run_begins() -> None:
    waits, runs = Outcome(), Outcome()
    assert (runs.begin(), runs.begin(), runs.running()) == (True, True, True)
    for outcome in (waits, runs):
        outcome.cancel()
    assert (waits.cancelled(), waits.begin(), runs.cancelled()) == (True, False, False)
    with pytest.raises(CancelledError):
        waits.result(0)
    runs.tell(1)
    assert (runs.result(), runs.running(), runs.begin()) == (1, False, False)


def test_calls_are_made_in_order_and_at_once_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    outcome, order = Outcome(), []

    def broken(_outcome: Outcome) -> None:
        message = "a listener's own fault"
        raise RuntimeError(message)

    outcome.then(lambda _outcome: order.append("first"))
    outcome.then(broken)
    outcome.then(lambda told: order.append(told.result(0)))
    assert order == []
    outcome.tell("second")
    outcome.then(lambda _outcome: order.append("third"))
    assert order == ["first", "second", "third"]
    assert [record.message for record in caplog.records] == ["serving.broken"]


def test_of_those_who_end_it_at_once_one_is_heard() -> None:
    for _ in range(200):
        outcome, heard = Outcome(), []
        outcome.then(heard.append)
        ends = [outcome.cancel, lambda one=outcome: one.tell(1), lambda one=outcome: one.fail(ValueError())]
        threads = [threading.Thread(target=end) for end in ends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LONGEST_S)
        assert heard == [outcome]
