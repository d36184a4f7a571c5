"""A child that hangs in a call of its driver, which not even SIGKILL ends."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edged.domain.errors import DeadlineError
from edged.engines import sandbox
from edged.engines.sandbox import Home, Order
from edged.engines.sandbox_deadline import Patience
from fakes.hanging import hanging_onnx
from fakes.modelfile import tflite_relu
from fakes.unkillable import unkillable
from fakes.waiting import until

pytestmark = pytest.mark.slow

QUICK = Patience(factor=1.0, floor_s=0.3, limit_s=0.3)
REAPER = "edged-sandbox-reaper"


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def hanging(tmp_path: Path) -> Order:
    """Give a model that hangs, once all is loaded here that is loaded late."""
    (tmp_path / "model.tflite").write_bytes(tflite_relu())
    sandbox.open_engine(Order(tmp_path / "model.tflite", "tflite")).close()
    (tmp_path / "model.onnx").write_bytes(hanging_onnx((1, 4)))
    until(lambda: REAPER not in threads(), "no other test's child is waited for")
    return Order(tmp_path / "model.onnx", "onnx")


def test_it_keeps_nobody_waiting_and_leaves_neither_thread_nor_descriptor(
    hanging: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threads(), descriptors()
    with unkillable(monkeypatch):
        engine = sandbox.open_engine(hanging, Home(patience=QUICK))
        child, began_s = engine.pid, time.monotonic()
        with pytest.raises(DeadlineError):
            engine.infer([np.full((1, 4), 1e12, np.float32)])
        engine.close()
        assert time.monotonic() - began_s < 20  # it never ends
        assert engine.is_lost
        assert Path(f"/proc/{child}").exists()
        del engine  # and with it the memory that both shared
        gc.collect()
        assert threads() - before[0] == {REAPER}
        # What other tests left to the collector may go meanwhile, too.
        assert descriptors() <= before[1]
    # Nobody asks for it any more; it is taken off the system's table all the same.
    until(lambda: not Path(f"/proc/{child}").exists(), "the end of the child")
    until(lambda: REAPER not in threads(), "the end of the one that waited")
