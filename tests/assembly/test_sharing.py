"""Sessions that several users run."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.sharing import SharedEngine, Shares
from edged.domain.bundle import Variant
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.tensor import TensorSpec
from edged.domain.variant import Rung
from fakes.engine import FakeEngine

FILE = Path("model.onnx")
SPEC = (TensorSpec("x", (1,), "float32"),)


def rung(runtime: str = "onnx", threads: int = 1, sha256: str = "a") -> Rung:
    variant = Variant(id="int8", file="model.onnx", sha256=sha256 * 64, runtime=runtime, precision="int8")
    return Rung(variant, "cpu", threads, "chosen", "the test wants it")


def opened(_file: Path, _rung: Rung) -> FakeEngine:
    return FakeEngine(SPEC, SPEC, list)


def test_all_who_run_a_file_share_one_session_until_the_last_gives_it_back() -> None:
    shares = Shares()
    first, second = shares.take(FILE, rung(), opened), shares.take(FILE, rung(), opened)
    assert isinstance(first, SharedEngine)
    assert isinstance(second, SharedEngine)
    engine = first.engine
    assert isinstance(engine, FakeEngine)

    assert engine is second.engine
    first.close()
    first.close()
    assert not engine.closed
    assert second.infer([np.ones(1, np.float32)])[0] == 1
    second.close()

    assert engine.closed
    assert repr(shares) == "<Shares none>"


@pytest.mark.parametrize("other", [rung(threads=2), rung(sha256="b")])
def test_another_number_of_threads_or_another_content_is_another_session(other: Rung) -> None:
    shares = Shares()
    first, second = shares.take(FILE, rung(), opened), shares.take(FILE, other, opened)

    assert isinstance(first, SharedEngine)
    assert isinstance(second, SharedEngine)
    assert first.engine is not second.engine


def test_an_interpreter_that_serves_one_thread_is_not_shared() -> None:
    shares = Shares()

    assert shares.take(FILE, rung("tflite"), opened) is not shares.take(FILE, rung("tflite"), opened)


def test_what_was_given_back_does_not_run() -> None:
    engine = Shares().take(FILE, rung(), opened)
    engine.close()

    with pytest.raises(EngineLostError, match="given back"):
        engine.infer([np.ones(1, np.float32)])
    assert repr(engine).endswith("closed>")
    assert (engine.runtime, engine.inputs, engine.outputs) == ("fake", SPEC, SPEC)


def test_who_opens_at_the_same_time_ends_up_with_one() -> None:
    shares, meets = Shares(), threading.Barrier(2)
    made: list[FakeEngine] = []
    taken: list[SharedEngine] = []

    def slowly(file: Path, wanted: Rung) -> FakeEngine:
        meets.wait(10)
        made.append(opened(file, wanted))
        return made[-1]

    def take() -> None:
        engine = shares.take(FILE, rung(), slowly)
        assert isinstance(engine, SharedEngine)
        taken.append(engine)

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert taken[0].engine is taken[1].engine
    assert sorted(engine.closed for engine in made) == [False, True]


def test_who_asks_for_others_hears_with_how_many_threads_they_run() -> None:
    shares = Shares()
    shares.take(FILE, rung(threads=2), opened)

    assert shares.others(FILE, "cpu", 2) is None
    assert shares.others(FILE, "cpu", 1) == 2
    shares.take(FILE, rung(threads=2), opened)
    assert shares.others(FILE, "cpu", 2) == 2
    assert shares.others(FILE, "cuda", 1) is None


def test_what_does_not_open_leaves_nothing_behind() -> None:
    shares = Shares()

    def refuses(_file: Path, _rung: Rung) -> FakeEngine:
        raise BundleError("it does not open")

    with pytest.raises(BundleError):
        shares.take(FILE, rung(), refuses)
    assert repr(shares) == "<Shares none>"
