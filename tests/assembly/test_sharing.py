"""Sessions and interpreters that several users run."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.sharing import SharedEngine, Shares
from edged.domain.bundle import Variant
from edged.domain.errors import BundleError, DeviceError, EngineLostError
from edged.domain.ports import Engine, Queued
from edged.domain.tensor import Array, TensorSpec
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


def interpreters(processors: int) -> tuple[Shares, list[FakeEngine], Callable[[Path, Rung], FakeEngine]]:
    made: list[FakeEngine] = []

    def open_one(file: Path, wanted: Rung) -> FakeEngine:
        made.append(opened(file, wanted))
        return made[-1]

    return Shares(processors), made, open_one


@pytest.mark.parametrize(("processors", "threads", "expected"), [(2, 1, 2), (2, 2, 1), (1, 2, 1), (4, 1, 4), (8, 1, 5)])
def test_five_users_have_as_many_interpreters_as_can_compute_at_once(
    processors: int, threads: int, expected: int
) -> None:
    shares, made, open_one = interpreters(processors)

    for _ in range(5):
        shares.take(FILE, rung("tflite", threads), open_one)

    assert len(made) == expected


def test_interpreters_go_with_their_users() -> None:
    shares, made, open_one = interpreters(2)
    users = [shares.take(FILE, rung("tflite"), open_one) for _ in range(3)]

    for user, left in zip(users, (2, 1, 0), strict=True):
        user.close()
        assert sum(not engine.closed for engine in made) == left
    assert repr(shares) == "<Shares none>"


def test_an_interpreter_that_remembers_is_nobody_elses() -> None:
    class Remembering(FakeEngine):
        remembers = True

    shares = Shares(1)
    users = [shares.take(FILE, rung("tflite"), lambda *_: Remembering(SPEC, SPEC, list)) for _ in range(2)]

    assert all(isinstance(user, Remembering) for user in users)
    assert users[0] is not users[1]


def test_who_cannot_have_another_interpreter_waits_for_the_others() -> None:
    shares, _, open_one = interpreters(2)
    first = shares.take(FILE, rung("tflite"), open_one)

    def refuses(_file: Path, _rung: Rung) -> FakeEngine:
        raise DeviceError("no memory is left")

    second = shares.take(FILE, rung("tflite"), refuses)
    first.close()

    assert second.infer([np.ones(1, np.float32)])[0] == 1


@pytest.mark.parametrize("processors", [1, 2])
def test_what_was_lost_is_given_to_nobody_else(processors: int) -> None:
    shares, made, _ = interpreters(processors)

    def open_one(_file: Path, _rung: Rung) -> FakeEngine:
        made.append(FakeEngine(SPEC, SPEC, list, fails_from=0 if len(made) < processors else None))
        return made[-1]

    first, bystander = (shares.take(FILE, rung("tflite"), open_one) for _ in range(2))
    with pytest.raises(EngineLostError):
        first.infer([np.ones(1, np.float32)])
    again = shares.take(FILE, rung("tflite"), open_one)

    assert again.infer([np.ones(1, np.float32)])[0] == 1
    for user in (first, bystander, again):
        user.close()
    assert all(engine.closed for engine in made)


def test_requests_do_not_wait_where_pipelines_do() -> None:
    shares, _, open_one = interpreters(2)
    shares.take(FILE, rung("tflite", threads=2), open_one)

    assert shares.others(FILE, "cpu", 1) is None


@pytest.mark.parametrize("processors", [1, 2])
def test_how_important_a_user_is_reaches_what_serves_one_thread_at_a_time(processors: int) -> None:
    heard: list[int] = []

    class Heard(FakeEngine):
        def infer(self, tensors: Sequence[Array], priority: int = 0) -> list[Array]:
            heard.append(priority)
            return list(tensors)

    shares = Shares(processors)
    users = [shares.take(FILE, rung("tflite", threads=2), lambda *_: Heard(SPEC, SPEC, list)) for _ in range(2)]
    assert all(isinstance(user, Queued) for user in users)
    users[1].priority = 7  # type: ignore[attr-defined] # as above
    for user in users:
        user.infer([np.ones(1, np.float32)])

    assert heard == [0, 7]
    users[1].priority = 0  # type: ignore[attr-defined] # as above
    users[1].infer([np.ones(1, np.float32)])
    users[1].close()
    users[1].priority = 5  # type: ignore[attr-defined] # as above
    with pytest.raises(EngineLostError, match="given back"):
        users[1].infer([np.ones(1, np.float32)])
    assert heard == [0, 7, 0]


def test_a_session_that_serves_many_threads_makes_nobody_wait() -> None:
    assert not isinstance(Shares(2).take(FILE, rung("onnx"), opened), Queued)


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


def test_a_fault_of_our_own_while_opening_leaves_no_user_behind() -> None:
    shares, made, open_one = interpreters(2)
    first = shares.take(FILE, rung("tflite"), open_one)

    def breaks(_file: Path, _rung: Rung) -> FakeEngine:
        raise MemoryError

    with pytest.raises(MemoryError):
        shares.take(FILE, rung("tflite"), breaks)
    first.close()

    assert (repr(shares), made[0].closed) == ("<Shares none>", True)


@pytest.mark.parametrize(
    ("kind", "users", "expected"), [("onnx", 1, True), ("onnx", 2, False), ("tflite", 2, True), ("tflite", 3, False)]
)
def test_memory_comes_back_when_nobody_goes_on_with_as_much(kind: str, users: int, expected: bool) -> None:
    shares, _, open_one = interpreters(2)
    held = [shares.take(FILE, rung(kind), open_one) for _ in range(users)]

    assert shares.frees(held[0]) is expected
    assert shares.frees(FakeEngine(SPEC, SPEC, list))


class Strict(FakeEngine):
    """Tells when two threads run it at once, or one runs it when it is closed."""

    def __init__(self, wrong: list[str]) -> None:
        super().__init__(SPEC, SPEC, list)
        self._wrong, self._busy = wrong, threading.Lock()

    def infer(self, tensors: Sequence[Array]) -> list[Array]:
        if not self._busy.acquire(blocking=False):
            self._wrong.append("two at once")
            return list(tensors)
        try:
            if self.closed:
                self._wrong.append("closed")
            return super().infer(tensors)
        finally:
            self._busy.release()

    def close(self) -> None:
        if self.closed:
            self._wrong.append("closed twice")
        super().close()


class Workshop:
    """Opens interpreters, of which some do not open and some are lost after two runs."""

    def __init__(self) -> None:
        self.made: list[Strict] = []
        self.wrong: list[str] = []

    def open_one(self, _file: Path, _rung: Rung) -> Strict:
        engine = Strict(self.wrong)
        self.made.append(engine)
        if len(self.made) % 17 == 0:
            engine.close()
            raise DeviceError("no memory is left")
        if len(self.made) % 11 == 0:
            engine._fails_from = 2
        return engine


def come_and_go(shares: Shares, workshop: Workshop, start: threading.Barrier, draw: random.Random) -> None:
    """Take, run and give back up to three at a time."""
    held: list[Engine] = []
    start.wait(10)
    for _ in range(150):
        if len(held) == 3 or (held and draw.random() < 0.4):
            held.pop(draw.randrange(len(held))).close()
        else:
            with suppress(DeviceError):
                held.append(shares.take(FILE, rung("tflite", draw.choice((1, 1, 2))), workshop.open_one))
        for engine in held:
            with suppress(EngineLostError):
                engine.infer([np.ones(1, np.float32)])
    for engine in held:
        engine.close()


def test_whatever_threads_come_and_go_no_interpreter_is_run_twice_at_once_or_left_behind() -> None:
    shares, workshop, start = Shares(4), Workshop(), threading.Barrier(8)
    draws = [random.Random(seed) for seed in range(8)]  # noqa: S311 - what is drawn shall be the same each time
    threads = [threading.Thread(target=come_and_go, args=(shares, workshop, start, draw)) for draw in draws]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert workshop.wrong == []
    assert not any(thread.is_alive() for thread in threads)
    assert repr(shares) == "<Shares none>"
    assert all(engine.closed for engine in workshop.made)
