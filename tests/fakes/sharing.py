"""Requests that wait at a model which may batch them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np

from edged.api.serve import Batches, Job, Served
from edged.domain.ports import Clock
from edged.domain.tensor import FREE, Array, TensorSpec
from edged.hardware.clock import SystemClock
from fakes.serving import FakeBrought, doubled
from fakes.waiting import LONGEST_S, until

FREE_IN, FREE_OUT = TensorSpec("x", (FREE, 4), "float32"), TensorSpec("y", (FREE, 4), "float32")
RUN_S = 0.004


def same_for_any_number(tensors: Sequence[Array]) -> list[Array]:
    time.sleep(RUN_S)
    return doubled(tensors)


def is_measured() -> bool:
    """Whether this run is one of those that the box measures; others pass beside them, on a busy machine as many as like."""
    return threading.current_thread().name == "edged-batch-m"


@contextmanager
def at_work(
    compute: Callable[[Sequence[Array]], list[Array]],
    batches: Batches,
    inputs: tuple[TensorSpec, ...] = (FREE_IN,),
    clock: Clock | None = None,
) -> Iterator[Served]:
    brought = FakeBrought("m", compute=compute, inputs=inputs, outputs=(FREE_OUT,))
    served = Served(brought, clock or SystemClock(), 64, batches)
    try:
        yield served
    finally:
        served.close()


def asked(served: Served, rows: Array, patience_s: float = 10.0) -> Job:
    now_ns = served._clock.monotonic_ns()
    job = Job(
        lambda instance: instance.infer([rows]),
        now_ns + int(patience_s * 10**9),
        now_ns,
        tensors=[rows],
        rows=len(rows),
    )
    served.submit(job)
    return job


def behind_a_run(served: Served, gate: threading.Event, *rows: Array) -> list[Job]:
    """Let requests wait behind a run that ``gate`` holds up, and let it go; nothing is measured meanwhile, with the same network."""
    served._may_batch = False
    blocks = asked(served, np.zeros((1, 4), np.float32))
    until(blocks.outcome.running, "it runs")
    jobs = [asked(served, one) for one in rows]
    gate.set()
    blocks.outcome.result(10)
    return jobs


def together(served: Served, *rows: Array) -> list[Job]:
    """Let requests wait at a time, while no run gets its turn."""
    brought = served.brought
    assert isinstance(brought, FakeBrought)
    brought.turns = turns = threading.Lock()
    with turns:
        jobs = [asked(served, one) for one in rows]
        brought.turns = nullcontext()
    return jobs


def learned(served: Served) -> None:
    """Let two wait at a time, and wait until the box has measured."""
    for job in together(served, *[np.zeros((1, 4), np.float32)] * 6):
        job.outcome.result(10)
    learner = served._learner
    if learner is not None:
        learner.join(LONGEST_S)
        assert not learner.is_alive()
