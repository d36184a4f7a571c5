"""A model at work: who waits, who is refused, who is answered."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from edged.api.infer import InferRequest, Pending
from edged.api.refusal import RefusedError
from edged.api.serve import Served
from edged.api.tensors import Tensor, named
from edged.domain.errors import BudgetError, EngineLostError, FrameError
from edged.domain.tensor import Array
from edged.hardware.clock import SystemClock
from fakes.serving import Box, FakeBrought, FakeInstance, box, doubled
from fakes.waiting import until

X = np.arange(4, dtype=np.float32).reshape(1, 4)


class Gate:
    """Lets runs through one by one, and says how many began."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.passes = threading.Semaphore(0)
        self.order: list[float] = []

    def __call__(self, tensors: Sequence[Array]) -> list[Array]:
        self.began.release()
        self.order.append(float(tensors[0][0, 0]))
        assert self.passes.acquire(timeout=60)
        return doubled(tensors)


def ask(box: Box, value: float = 0.0, **more: Any) -> Pending:
    return box.handlers.infer(InferRequest("m", (named("x", np.full((1, 4), value, np.float32)),), **more))


@contextmanager
def at_work(
    compute: Callable[[Sequence[Array]], list[Array]], queue: int = 8, **more: Any
) -> Iterator[tuple[Box, FakeBrought]]:
    brought = FakeBrought("m", compute=compute, **more)
    made = box(brought, queue=queue).loaded("m")
    try:
        yield made, brought
    finally:
        if isinstance(compute, Gate):
            compute.passes.release(1000)
        made.handlers.shelf.close()


def test_a_request_is_answered_with_its_id_model_and_version() -> None:
    with at_work(doubled) as (made, _):
        response = made.handlers.infer(InferRequest("m", (named("x", X),), id="seven")).result()

    assert (response.id, response.model, response.version) == ("seven", "m", "1.0.0")
    assert [tensor.name for tensor in response.outputs] == ["y"]
    np.testing.assert_array_equal(response.outputs[0].data, 2 * X)


def test_who_finds_the_line_full_is_refused_at_once_and_told_when_to_come_again() -> None:
    gate = Gate()
    with at_work(gate, queue=2) as (made, _):
        ask(made)
        assert gate.began.acquire(timeout=60)
        ask(made), ask(made)
        began = time.thread_time()

        with pytest.raises(RefusedError, match="2 requests wait already") as caught:
            ask(made)

        assert time.thread_time() - began < 0.05  # and nobody passes the gate meanwhile
        assert (caught.value.kind, caught.value.retry_after_s >= 1) == ("overloaded", True)
        assert made.handlers.shelf.get("m").counts.refusals == {"overloaded": 1}


def test_the_higher_priority_is_answered_first_then_who_came_first() -> None:
    gate = Gate()
    with at_work(gate) as (made, _):
        first = ask(made)
        assert gate.began.acquire(timeout=60)
        others = [ask(made, 1.0), ask(made, 2.0), ask(made, 3.0, priority=1), ask(made, 4.0, priority=9)]
        gate.passes.release(9)

        for pending in (first, *others):
            pending.result()

    assert gate.order == [0.0, 3.0, 1.0, 2.0, 4.0]


def test_a_deadline_holds_in_the_line_and_not_behind_the_run_that_is_in_the_way() -> None:
    gate = Gate()
    with at_work(gate) as (made, _):
        running = ask(made)
        assert gate.began.acquire(timeout=60)

        with pytest.raises(RefusedError, match="its timeout was over") as caught:
            ask(made, timeout_us=30_000).result()

        assert not running.outcome.done()
        assert caught.value.kind == "late"
        gate.passes.release()
        running.result()
    assert gate.order == [0.0]


def test_a_run_that_has_begun_is_waited_for_past_the_deadline() -> None:
    gate = Gate()
    with at_work(gate) as (made, _):
        pending = ask(made, timeout_us=100_000)
        while not gate.began.acquire(timeout=1):  # on a busy machine it may be late before its run begins
            pending = ask(made, timeout_us=100_000)
        threading.Timer(0.2, gate.passes.release).start()

        assert pending.result().outputs


def test_who_is_forgotten_costs_no_run() -> None:
    gate = Gate()
    with at_work(gate) as (made, _):
        running = ask(made)
        assert gate.began.acquire(timeout=60)
        gone = ask(made, 1.0)

        gone.forget()

        gate.passes.release(9)
        running.result()
        ask(made, 2.0).result()
    assert gate.order == [0.0, 2.0]


def test_an_engine_that_is_lost_costs_one_request_and_is_opened_anew() -> None:
    def fails(tensors: Sequence[Array]) -> list[Array]:
        if tensors[0][0, 0] == 13:
            raise EngineLostError("cannot run m: the test says so")
        return doubled(tensors)

    with at_work(fails) as (made, brought):
        with pytest.raises(RefusedError, match="the test says so") as caught:
            ask(made, 13.0).result()
        ask(made).result()

        assert (caught.value.kind, brought.opened, brought.open_now) == ("lost", 2, 1)


def test_a_model_is_lost_when_none_of_its_instances_can_be_had() -> None:
    both = threading.Barrier(2)

    def lost(_tensors: Sequence[Array]) -> list[Array]:
        both.wait(60)
        raise EngineLostError("gone")

    with at_work(lost) as (made, brought):
        served = made.handlers.shelf.get("m")
        served._hire(None)
        until(lambda: brought.open_now == 2, "both work")
        brought.refuses = BudgetError("no room")
        for one in [ask(made), ask(made)]:
            with pytest.raises(RefusedError, match="gone"):
                one.result()
        until(lambda: served.lost is not None, "it is lost")
        assert not made.handlers.is_model_ready("m")
        brought.refuses, brought.compute = None, doubled
        until(lambda: served.lost is None, "it is back")
        ask(made).result()


def test_what_the_client_sent_wrong_costs_the_engine_nothing() -> None:
    def refuses(_tensors: Sequence[Array]) -> list[Array]:
        raise FrameError("cannot judge it")

    with at_work(refuses) as (made, brought):
        with pytest.raises(RefusedError) as caught:
            ask(made).result()

        assert (caught.value.kind, brought.opened) == ("invalid", 1)


def test_a_fault_of_our_own_is_no_answer_and_shows_nothing_of_itself() -> None:
    def broken(_tensors: Sequence[Array]) -> list[Array]:
        raise ZeroDivisionError("secret")

    with at_work(broken) as (made, brought):
        with pytest.raises(RefusedError) as caught:
            ask(made).result()
        assert (caught.value.kind, "secret" in str(caught.value)) == ("fault", False)

        brought.compute = doubled
        assert ask(made).result().outputs


@pytest.mark.parametrize(
    ("why", "told"),
    [(BudgetError("no room"), "no room"), (OSError("the disk is away"), "cannot open 'm': OSError")],
    ids=["told", "whatever"],
)
def test_an_engine_that_does_not_come_back_refuses_who_waits_and_who_comes(why: Exception, told: str) -> None:
    def lost(_tensors: Sequence[Array]) -> list[Array]:
        raise EngineLostError("cannot run m: it is gone")

    with at_work(lost, refuses=why) as (made, brought):
        with pytest.raises(RefusedError):
            ask(made).result()
        served = made.handlers.shelf.get("m")
        until(lambda: served.lost is not None, "it is lost")

        with pytest.raises(RefusedError, match=told):
            ask(made)
        assert not made.handlers.is_model_ready("m")
        assert [entry["state"] for entry in made.handlers.index()] == ["UNAVAILABLE"]

        brought.refuses, brought.compute = None, doubled
        until(lambda: served.lost is None, "it is back")
        assert ask(made).result().outputs


def test_more_instances_work_while_they_pay() -> None:
    def slow(tensors: Sequence[Array]) -> list[Array]:
        time.sleep(0.005)
        return doubled(tensors)

    with at_work(slow, queue=64, most=2) as (made, brought):
        press(made, lambda: brought.open_now == 2)
    assert (brought.open_now, brought.closed) == (0, True)


def test_one_more_that_the_box_has_no_room_for_leaves_the_others_at_work() -> None:
    def slow(tensors: Sequence[Array]) -> list[Array]:
        time.sleep(0.002)
        return doubled(tensors)

    with at_work(slow, queue=64, most=2, refuses=BudgetError("no room")) as (made, _):
        served = made.handlers.shelf.get("m")
        press(made, lambda: served._scaling._limit == 1)
        until(lambda: served.instances == 1, "one is left")
        assert ask(made).result().outputs


def test_unloading_lets_what_runs_end_and_refuses_who_waits() -> None:
    gate = Gate()
    with at_work(gate) as (made, brought):
        running, waits = ask(made), ask(made, 1.0)
        assert gate.began.acquire(timeout=60)
        served = made.handlers.shelf.get("m")
        unloading = threading.Thread(target=made.handlers.unload, args=("m",))
        unloading.start()
        until(lambda: served._waiting.closed, "nobody waits any more")
        gate.passes.release()

        unloading.join(60)
        assert running.result().outputs
        with pytest.raises(RefusedError, match="being unloaded") as caught:
            waits.result()
        assert caught.value.kind == "unready"
        assert (brought.open_now, brought.closed) == (0, True)


def test_a_line_that_is_closed_says_so() -> None:
    served = Served(FakeBrought("m"), SystemClock(), 4)
    served.close()

    made = InferRequest("m", (named("x", X),))
    from edged.api.infer import begin  # noqa: PLC0415 - only here

    with pytest.raises(RefusedError, match="being unloaded"):
        begin(made, served, SystemClock(), 1.0)


def test_a_window_is_decoded() -> None:
    with at_work(doubled) as (made, _):
        asked = InferRequest("m", (named("window", np.full((8, 2), 0.5, np.float64)),), decoded=True, outputs=("text",))

        response = made.handlers.infer(asked).result()

    assert response.outputs == (Tensor("text", "BYTES", (1,), (b"orange 0.500",)),)


@pytest.mark.parametrize(
    ("takes", "tensor", "words"),
    [
        ("window", Tensor("x", "BYTES", (1,), (b"1",)), "expected .samples, channels. of numbers"),
        ("window", named("x", np.zeros((1, 2, 3), np.float32)), "expected .samples, channels. of numbers"),
        ("image", named("x", np.zeros((1, 4), np.float32)), "cannot read a picture from input 'x'"),
        ("image", Tensor("x", "BYTES", (1,), (b"GIF89a",)), "expected JPEG, PNG or BMP"),
        ("", named("x", X), "it has no decoder"),
    ],
)
def test_what_cannot_be_decoded_is_refused(takes: str, tensor: Tensor, words: str) -> None:
    with at_work(doubled, takes=takes) as (made, _), pytest.raises(RefusedError, match=words):
        made.handlers.infer(InferRequest("m", (tensor,), decoded=True))


def test_statistics_count_what_was_answered_and_what_failed() -> None:
    def fails(tensors: Sequence[Array]) -> list[Array]:
        if tensors[0][0, 0] == 13:
            raise FrameError("no")
        return doubled(tensors)

    with at_work(fails) as (made, _):
        for value in (0.0, 1.0, 13.0):
            try:
                ask(made, value).result()
            except RefusedError:
                continue
        (told,) = made.handlers.statistics("m")["model_stats"]

    assert (told["inference_count"], told["execution_count"]) == (2, 2)
    assert {part: one["count"] for part, one in told["inference_stats"].items()} == {
        "success": 2,
        "fail": 1,
        "queue": 2,
        "compute_input": 2,
        "compute_infer": 2,
        "compute_output": 2,
        "cache_hit": 0,
        "cache_miss": 0,
    }


def test_an_instance_given_back_twice_counts_once() -> None:
    brought = FakeBrought("m")
    instance = brought.instance()
    assert isinstance(instance, FakeInstance)
    instance.close()
    instance.close()
    assert brought.open_now == 0


def press(made: Box, is_enough: Callable[[], bool]) -> None:
    """Ask without a break, so that somebody always waits."""
    asked: deque[Pending] = deque()

    def once() -> bool:
        while len(asked) < 32:
            asked.append(ask(made))
        asked.popleft().result()
        return is_enough()

    until(once, "it is enough", every_s=0.0)
    for pending in asked:
        pending.result()
