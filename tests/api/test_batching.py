"""Several requests in one run: when it pays, and that each gets its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.api import batching
from edged.api.infer import InferRequest, begin
from edged.api.refusal import RefusedError
from edged.api.serve import Batches, Job, Served
from edged.api.tensors import named
from edged.domain.errors import EngineLostError
from edged.domain.tensor import FREE, Array, TensorSpec
from edged.engines.onnx import open_engine
from edged.hardware.clock import SystemClock
from fakes.modelfile import onnx_model
from fakes.serving import FakeBrought, doubled

FREE_IN, FREE_OUT = TensorSpec("x", (FREE, 4), "float32"), TensorSpec("y", (FREE, 4), "float32")
RUN_S = 0.004


def same_for_any_number(tensors: Sequence[Array]) -> list[Array]:
    time.sleep(RUN_S)
    return doubled(tensors)


def more_for_more(tensors: Sequence[Array]) -> list[Array]:
    time.sleep(RUN_S * len(tensors[0]))
    return doubled(tensors)


@contextmanager
def at_work(
    compute: Callable[[Sequence[Array]], list[Array]], batches: Batches, inputs: tuple[TensorSpec, ...] = (FREE_IN,)
) -> Iterator[Served]:
    brought = FakeBrought("m", compute=compute, inputs=inputs, outputs=(FREE_OUT,))
    served = Served(brought, SystemClock(), 64, batches)
    try:
        yield served
    finally:
        served.close()


def asked(served: Served, rows: Array) -> Job:
    clock = SystemClock()
    job = Job(
        lambda instance: instance.infer([rows]), clock.monotonic_ns() + 10**10, clock.monotonic_ns(), tensors=[rows]
    )
    served.submit(job)
    return job


def learned(served: Served) -> None:
    """Let two wait at a time, and wait until the box has measured."""
    for job in [asked(served, np.zeros((1, 4), np.float32)) for _ in range(6)]:
        job.future.result(10)
    deadline_s = time.monotonic() + 10
    while any(thread.name == "edged-batch-m" for thread in threading.enumerate()):
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


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


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_each_request_gets_its_own_rows(counts: list[int]) -> None:
    requests = [[np.full((count, 2), place, np.float32)] for place, count in enumerate(counts)]

    parts = batching.parted(batching.joined(requests), counts)

    for request, part in zip(requests, parts, strict=True):
        np.testing.assert_array_equal(request[0], part[0])


def test_requests_that_wait_share_a_run_once_the_box_has_measured_that_it_pays() -> None:
    with at_work(same_for_any_number, Batches(4)) as served:
        learned(served)
        jobs = [asked(served, np.full((1, 4), place, np.float32)) for place in range(24)]
        answers = [job.future.result(10)[0] for job in jobs]
        told = served.counts.document()

    assert served.batch == 4
    for place, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, np.full((1, 4), 2 * place, np.float32))
    assert told["inference_count"] == 30
    assert int(str(told["execution_count"])) <= 6 + 24 / 2
    assert {"batch_size": 4}.items() <= told["batch_stats"][-1].items()  # type: ignore[index]


def test_where_more_items_take_as_much_longer_every_request_has_its_own_run() -> None:
    with at_work(more_for_more, Batches(4)) as served:
        learned(served)

        assert served.batch == 1


def test_nothing_is_measured_while_nobody_waits_nor_where_nothing_can_be_batched() -> None:
    with at_work(same_for_any_number, Batches(4)) as served:
        for _ in range(3):
            asked(served, np.zeros((1, 4), np.float32)).future.result(10)
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
        assert asked(served, np.ones((1, 4), np.float32)).future.result(10)[0].sum() == 8


def test_a_larger_request_and_another_shape_have_runs_of_their_own() -> None:
    inputs = (TensorSpec("x", (FREE, FREE), "float32"),)
    with at_work(same_for_any_number, Batches(4), inputs) as served:
        served.batch = 4
        shapes = [(1, 4), (6, 4), (1, 3), (2, 4), (2, 4), (1, 4)]
        jobs = [asked(served, np.full(shape, place, np.float32)) for place, shape in enumerate(shapes)]
        answers = [job.future.result(10)[0] for job in jobs]

    assert [answer.shape for answer in answers] == shapes
    assert [float(answer[0, 0]) for answer in answers] == [0, 2, 4, 6, 8, 10]


def test_the_first_waits_for_others_as_long_as_it_is_told_to() -> None:
    with at_work(same_for_any_number, Batches(2, delay_s=5.0)) as served:
        served.batch = 2
        first = asked(served, np.ones((1, 4), np.float32))
        time.sleep(0.05)
        began_at_once = first.future.done()
        second = asked(served, np.ones((1, 4), np.float32))
        first.future.result(2), second.future.result(2)

    assert not began_at_once
    assert served.counts.document()["execution_count"] == 1


def test_who_is_late_or_gone_shares_no_run() -> None:
    gate = threading.Event()

    def slowly(tensors: Sequence[Array]) -> list[Array]:
        gate.wait(10)
        return doubled(tensors)

    with at_work(slowly, Batches(8)) as served:
        served.batch = 8
        blocks = asked(served, np.zeros((1, 4), np.float32))
        while not blocks.future.running():
            time.sleep(0.001)
        late, gone, last = (asked(served, np.full((1, 4), place, np.float32)) for place in (1, 2, 3))
        late.deadline_ns = 0
        assert served.withdraw(gone)
        gate.set()
        with pytest.raises(RefusedError, match="timeout was over"):
            late.future.result(10)

        assert last.future.result(10)[0][0, 0] == 6


def test_a_real_session_answers_each_from_a_shared_run(tmp_path: Path) -> None:
    file = tmp_path / "relu.onnx"
    file.write_bytes(onnx_model(shape=("n", 4)))
    engine = open_engine(file, threads=1)
    brought = FakeBrought("m", compute=engine.infer, inputs=engine.inputs, outputs=engine.outputs)
    served = Served(brought, SystemClock(), 256, Batches(8))
    served.batch = 8

    def one(place: int) -> float:
        return float(asked(served, np.full((1, 4), place - 50, np.float32)).future.result(10)[0].max())

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(one, range(200)))
    served.close()

    assert answers == [max(0.0, place - 50) for place in range(200)]


def test_a_request_of_the_protocol_is_one_that_can_share_a_run() -> None:
    with at_work(doubled, Batches(2)) as served:
        request = InferRequest("m", (named("x", np.ones((3, 4), np.float32)),))
        pending = begin(request, served, SystemClock(), 10.0)
        shares = pending.job.tensors
        answer = pending.result()

    assert shares is not None
    assert [tensor.shape for tensor in answer.outputs] == [(3, 4)]
