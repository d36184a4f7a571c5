"""When sharing runs pays: what the box measures, and what it never batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from edged.api import batching
from edged.api.serve import Batches
from edged.domain.errors import EngineLostError
from edged.domain.tensor import FREE, Array, TensorSpec
from fakes.clock import FakeClock
from fakes.serving import FakeBrought, doubled
from fakes.sharing import (
    FREE_IN,
    FREE_OUT,
    RUN_S,
    asked,
    at_work,
    is_measured,
    learned,
    same_for_any_number,
    together,
)
from fakes.waiting import LONGEST_S, until


def test_the_sizes_that_are_tried_end_with_the_largest() -> None:
    assert [batching.sizes_upto(most) for most in (1, 2, 6, 8)] == [[], [2], [2, 4, 6], [2, 4, 8]]


@pytest.mark.parametrize(
    ("took_s", "expected"),
    [
        ({1: 1.0, 2: 1.0, 4: 1.0}, 4),
        ({1: 1.0, 2: 1.0, 4: 4.0}, 2),
        ({1: 1.0, 2: 1.6, 4: 3.2}, 1),
        ({1: 1.0}, 1),
    ],
)
def test_a_batch_must_bring_a_third_more(took_s: dict[int, float], expected: int) -> None:
    assert batching.best_size(took_s) == expected


@pytest.mark.parametrize("fixed", [TensorSpec("x", (1, 4), "float32"), TensorSpec("x", (), "float32")])
def test_what_has_a_fixed_first_axis_is_never_batched(fixed: TensorSpec) -> None:
    assert batching.is_batchable([FREE_IN], [FREE_OUT])
    assert not batching.is_batchable([fixed], [FREE_OUT])
    assert not batching.is_batchable([FREE_IN], [fixed])


def test_requests_that_wait_share_a_run_once_the_box_has_measured_that_it_pays() -> None:
    clock = FakeClock()

    def takes_as_long_for_any_number(tensors: Sequence[Array]) -> list[Array]:
        if is_measured():
            clock.advance(RUN_S)
        return doubled(tensors)

    with at_work(takes_as_long_for_any_number, Batches(4), clock=clock) as served:
        learned(served)
        jobs = together(served, *(np.full((1, 4), place, np.float32) for place in range(24)))
        answers = [job.outcome.result(10)[0] for job in jobs]
        told = served.counts.document()

    assert served.batch == 4
    for place, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, np.full((1, 4), 2 * place, np.float32))
    assert told["inference_count"] == 30
    assert int(str(told["execution_count"])) <= 6 + 24 / 4
    assert {"batch_size": 4}.items() <= told["batch_stats"][-1].items()  # type: ignore[index]


def test_where_more_items_take_as_much_longer_every_request_has_its_own_run() -> None:
    # On a clock of its own: on a busy machine the shorter of two sleeps is held up by more of itself.
    clock, sizes = FakeClock(), set()

    def more_for_more(tensors: Sequence[Array]) -> list[Array]:
        if is_measured():
            clock.advance(RUN_S * len(tensors[0]))
            sizes.add(len(tensors[0]))
        return doubled(tensors)

    with at_work(more_for_more, Batches(4), clock=clock) as served:
        learned(served)

        assert sizes == {1, 2, 4}
        assert served.batch == 1


def test_nothing_is_measured_while_nobody_waits_nor_where_nothing_can_be_batched() -> None:
    with at_work(same_for_any_number, Batches(4)) as served:
        for _ in range(3):
            asked(served, np.zeros((1, 4), np.float32)).outcome.result(10)
        assert served.batch == 1
    with at_work(same_for_any_number, Batches(4), inputs=(TensorSpec("x", (1, 4), "float32"),)) as served:
        learned(served)
        assert served.batch == 1


def test_a_model_that_takes_no_other_number_after_all_is_not_batched() -> None:
    def one_only(tensors: Sequence[Array]) -> list[Array]:
        if len(tensors[0]) != 1:
            message = "cannot run: it was exported for one item"
            raise EngineLostError(message)
        return doubled(tensors)

    with at_work(one_only, Batches(4)) as served:
        learned(served)

        assert served.batch == 1
        assert asked(served, np.ones((1, 4), np.float32)).outcome.result(10)[0].sum() == 8


def mixes(tensors: Sequence[Array]) -> list[Array]:
    """Answer as a network does whose first axis is time."""
    return [np.cumsum(tensors[0], axis=0)]


def finds(tensors: Sequence[Array]) -> list[Array]:
    """Answer as a network does that counts what it finds along the first axis."""
    return [np.concatenate([tensors[0], tensors[0]])[:3]]


@pytest.mark.parametrize("compute", [mixes, finds])
def test_where_the_first_axis_means_something_else_nothing_is_batched(
    compute: Callable[[Sequence[Array]], list[Array]],
) -> None:
    with at_work(compute, Batches(4)) as served:
        learned(served)

        assert served.batch == 1


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int64", "bool"])
def test_a_model_that_rounds_is_batched_all_the_same(dtype: str) -> None:
    def rounds(tensors: Sequence[Array]) -> list[Array]:
        return [tensors[0].astype(dtype) + (np.array(len(tensors[0]) > 1) if dtype in {"uint8", "int64"} else 0)]

    instance = FakeBrought("m", compute=rounds).instance()

    assert set(batching.measure(instance, (((4,), "<f4"),), 4, lambda run: float(bool(run())))) == {1, 2, 4}


def test_what_is_measured_is_what_clients_send() -> None:
    seen: set[tuple[int, ...]] = set()

    def notes(tensors: Sequence[Array]) -> list[Array]:
        seen.add(tensors[0].shape)
        return same_for_any_number(tensors)

    with at_work(notes, Batches(2), (TensorSpec("x", (FREE, FREE), "float32"),)) as served:
        for job in together(served, *[np.zeros((1, 7), np.float32)] * 4):
            job.outcome.result(10)

    assert seen <= {(1, 7), (2, 7)}


def test_unloading_does_not_wait_for_what_is_left_to_measure() -> None:
    begun, may_go, runs = threading.Event(), threading.Event(), [0]

    def slowly(tensors: Sequence[Array]) -> list[Array]:
        if is_measured():
            runs[0] += 1
            begun.set()
            may_go.wait(LONGEST_S)
        return same_for_any_number(tensors)

    with at_work(slowly, Batches(8)) as served:
        # Who still waits behind the run that is measured is refused with the others.
        together(served, *[np.zeros((1, 4), np.float32)] * 4)
        assert begun.wait(LONGEST_S)
        closing = threading.Thread(target=served.close)
        closing.start()
        until(lambda: served._waiting.closed, "it is closed")
        may_go.set()
        closing.join(LONGEST_S)
        brought = served.brought

    assert isinstance(brought, FakeBrought)
    assert (runs, brought.open_now, brought.closed) == ([1], 0, True)
