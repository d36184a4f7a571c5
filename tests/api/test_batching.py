"""Several requests in one run: each gets its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
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
from edged.domain.errors import BundleError, DeviceError, EngineLostError, FrameError
from edged.domain.tensor import FREE, Array, TensorSpec
from edged.engines.onnx import open_engine
from edged.hardware.clock import SystemClock
from fakes.modelfile import onnx_model
from fakes.serving import FakeBrought, doubled
from fakes.sharing import (
    FREE_IN,
    FREE_OUT,
    asked,
    at_work,
    behind_a_run,
    same_for_any_number,
)
from fakes.waiting import LONGEST_S, until


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_each_request_gets_its_own_rows(counts: list[int]) -> None:
    requests = [[np.full((count, 2), place, np.float32)] for place, count in enumerate(counts)]

    parts = batching.parted(batching.joined(requests), counts)

    for request, part in zip(requests, parts, strict=True):
        np.testing.assert_array_equal(request[0], part[0])


def test_a_larger_request_and_another_shape_have_runs_of_their_own() -> None:
    inputs = (TensorSpec("x", (FREE, FREE), "float32"),)
    with at_work(same_for_any_number, Batches(4), inputs) as served:
        served.batch = 4
        shapes = [(1, 4), (6, 4), (1, 3), (2, 4), (2, 4), (1, 4)]
        jobs = [asked(served, np.full(shape, place, np.float32)) for place, shape in enumerate(shapes)]
        answers = [job.outcome.result(10)[0] for job in jobs]

    assert [answer.shape for answer in answers] == shapes
    assert [float(answer[0, 0]) for answer in answers] == [0, 2, 4, 6, 8, 10]


def test_the_first_waits_for_others_as_long_as_it_is_told_to() -> None:
    with at_work(same_for_any_number, Batches(2, delay_s=LONGEST_S)) as served:
        served.batch, served._may_batch = 2, False
        first = asked(served, np.ones((1, 4), np.float32), 2 * LONGEST_S)
        time.sleep(0.05)
        began_at_once = first.outcome.done()
        second = asked(served, np.ones((1, 4), np.float32), 2 * LONGEST_S)
        first.outcome.result(LONGEST_S / 2), second.outcome.result(LONGEST_S / 2)

    assert not began_at_once
    assert served.counts.document()["execution_count"] == 1


def test_who_is_late_or_gone_shares_no_run() -> None:
    gate = threading.Event()

    def slowly(tensors: Sequence[Array]) -> list[Array]:
        gate.wait(LONGEST_S)
        return doubled(tensors)

    with at_work(slowly, Batches(8)) as served:
        served.batch, served._may_batch = 8, False
        blocks = asked(served, np.zeros((1, 4), np.float32))
        until(blocks.outcome.running, "it runs")
        late, gone, last = (asked(served, np.full((1, 4), place, np.float32)) for place in (1, 2, 3))
        late.deadline_ns = 0
        assert served.withdraw(gone)
        gate.set()
        with pytest.raises(RefusedError, match="timeout was over"):
            late.outcome.result(10)

        assert last.outcome.result(10)[0][0, 0] == 6


def test_who_leaves_after_a_run_that_was_shared_failed_is_waited_for_by_nobody() -> None:
    """It stands in the line again, and ends there."""
    gates = {0: threading.Event(), 1: threading.Event()}

    def breaks_together(tensors: Sequence[Array]) -> list[Array]:
        if len(tensors[0]) > 1:
            raise FrameError("not several")
        if (gate := gates.get(int(tensors[0][0, 0]))) is not None:
            assert gate.wait(LONGEST_S)
        return doubled(tensors)

    with at_work(breaks_together, Batches(4)) as served:
        served.batch = 4
        stays, leaves = behind_a_run(served, gates[0], *(np.full((1, 4), one, np.float32) for one in (1, 2)))
        until(lambda: served.waiting == 1 and stays.outcome.running(), "one runs alone, and one waits again")
        assert served.withdraw(leaves)
        leaves.outcome.cancel()
        with pytest.raises(CancelledError):
            leaves.outcome.result(0)
        gates[1].set()
        assert stays.outcome.result(10)[0][0, 0] == 2


@pytest.mark.parametrize("loses", [True, False], ids=["lost", "refused"])
def test_a_request_that_an_engine_cannot_take_costs_those_in_its_run_nothing(loses: bool) -> None:
    gate = threading.Event()

    def touchy(tensors: Sequence[Array]) -> list[Array]:
        gate.wait(LONGEST_S)
        if (tensors[0] < 0).any():
            raise EngineLostError("it broke") if loses else FrameError("it is below 0")
        return doubled(tensors)

    with at_work(touchy, Batches(8)) as served:
        served.batch = 8
        first, poison, last = behind_a_run(served, gate, *(np.full((1, 4), one, np.float32) for one in (1, -1, 3)))
        with pytest.raises(RefusedError):
            poison.outcome.result(10)

        assert [float(job.outcome.result(10)[0][0, 0]) for job in (first, last)] == [2, 6]
        told = served.counts.document()["inference_stats"]
        assert (told["success"]["count"], told["fail"]["count"]) == (3, 1)  # type: ignore[index]


def test_those_whose_shared_run_failed_are_refused_when_the_engine_does_not_come_back() -> None:
    gate = threading.Event()

    def breaks(tensors: Sequence[Array]) -> list[Array]:
        gate.wait(LONGEST_S)
        if len(tensors[0]) > 1:
            brought.refuses = DeviceError("it is gone")
            raise EngineLostError("it broke")
        return doubled(tensors)

    brought = FakeBrought("m", compute=breaks, inputs=(FREE_IN,), outputs=(FREE_OUT,))
    served = Served(brought, SystemClock(), 64, Batches(8))
    served.batch = 8
    jobs = behind_a_run(served, gate, *[np.ones((1, 4), np.float32)] * 3)
    try:
        for job in jobs:
            with pytest.raises(RefusedError, match="it is gone"):
                job.outcome.result(10)
    finally:
        served.close()


def test_those_who_are_unloaded_between_two_runs_hear_of_it() -> None:
    gate = threading.Event()

    def breaks(tensors: Sequence[Array]) -> list[Array]:
        gate.wait(LONGEST_S)
        if len(tensors[0]) > 1:
            served._waiting.close()
            raise FrameError("one of them is no good")
        return doubled(tensors)

    with at_work(breaks, Batches(8)) as served:
        served.batch = 8
        for job in behind_a_run(served, gate, *[np.ones((1, 4), np.float32)] * 2):
            with pytest.raises(RefusedError, match="being unloaded"):
                job.outcome.result(10)


def test_an_output_that_has_no_row_for_each_item_is_given_to_nobody() -> None:
    with pytest.raises(BundleError, match=r"shape \[3, 4\] among 2 items"):
        batching.parted([np.zeros((3, 4), np.float32)], [1, 1])


@pytest.mark.parametrize("patience_s", [10.0, 2 * LONGEST_S], ids=["in a hurry", "decoded"])
def test_nobody_is_held_up_for_company_that_costs_its_time_or_that_it_cannot_have(patience_s: float) -> None:
    with at_work(doubled, Batches(8, delay_s=LONGEST_S)) as served:
        served.batch = 8
        now_ns = SystemClock().monotonic_ns()
        rows = np.ones((1, 4), np.float32)
        job = Job(lambda instance: instance.infer([rows]), now_ns + int(patience_s * 10**9), now_ns)
        job.tensors = [rows] if patience_s < LONGEST_S else None
        served.submit(job)

        assert job.outcome.result(LONGEST_S / 2)[0].sum() == 8


def test_who_comes_in_a_hurry_takes_along_who_waits_for_company() -> None:
    with at_work(doubled, Batches(8, delay_s=LONGEST_S)) as served:
        served.batch = 8
        patient = asked(served, np.ones((1, 4), np.float32), 2 * LONGEST_S)
        hurried = asked(served, np.ones((1, 4), np.float32), patience_s=10.0)

        within_s = LONGEST_S / 2
        assert hurried.outcome.result(within_s)[0].sum() == patient.outcome.result(within_s)[0].sum() == 8


def test_a_real_session_answers_each_from_a_shared_run(tmp_path: Path) -> None:
    file = tmp_path / "relu.onnx"
    file.write_bytes(onnx_model(shape=("n", 4)))
    engine = open_engine(file, threads=1)
    brought = FakeBrought("m", compute=engine.infer, inputs=engine.inputs, outputs=engine.outputs)
    served = Served(brought, SystemClock(), 256, Batches(8))
    served.batch = 8

    def one(place: int) -> float:
        return float(asked(served, np.full((1, 4), place - 50, np.float32)).outcome.result(10)[0].max())

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
