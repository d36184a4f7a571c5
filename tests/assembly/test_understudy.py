"""A candidate beside what is live, with engines that do as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from edged.assembly.models import open_rung
from edged.assembly.understudy import Understudy
from edged.domain.errors import BundleError, DeadlineError, EngineLostError, FrameError
from edged.domain.frame import Frame, Stamp
from edged.domain.ports import Engine
from edged.domain.result import Anomaly
from edged.domain.tensor import Array
from edged.domain.variant import Rung
from edged.pipeline.model import Model
from edged.update.manifest import read_bundle
from fakes.sensor import LENGTH, sensor_bundle
from fakes.waiting import until

LIVE = Anomaly(4.0, 1e9)


def window(length: int = LENGTH) -> Frame:
    return Frame(np.full((length, 1), -2.0, np.float32), Stamp(0, 0, 0, 0.0))


@contextmanager
def candidate(
    path: Path, prepare: Callable[[], None] = lambda: None, reopen: Callable[[], Any] | None = None, **more: float
) -> Iterator[Understudy]:
    """Give one whose own answer to ``window`` is a score of 4.

    ``prepare`` is called with each frame, ``reopen`` opens it from the second time on.
    """
    bundle = read_bundle(sensor_bundle(path / "level", **more))
    rung = Rung(bundle.manifest.variant[0], "cpu", 1, "possible", "")
    model = open_rung(bundle, rung)
    first: list[Model] = []

    def prepared(frame: Frame) -> Sequence[Array]:
        prepare()
        return model.preprocess(frame)

    def opens() -> Model:
        if first and reopen is not None:
            return cast("Model", reopen())
        first.append(replace(model, preprocess=prepared))
        return first[0]

    with closing(Understudy(bundle, rung.variant, opens)) as made:
        yield made


def test_answers_within_the_bundle_s_own_tolerance_agree(tmp_path: Path) -> None:
    with candidate(tmp_path) as beside:
        beside.saw(window(), LIVE)
        until(lambda: beside.compared.frames == 1, "it was compared")
        beside.saw(window(), replace(LIVE, score=4.5))
        until(lambda: beside.compared.frames == 2, "and again")
    assert (beside.compared.agreed, beside.compared.last) == (1, "the score is 4, expected 4.5")
    assert repr(beside) == "<Understudy level 1.0.0 fp32: 1 of 2 agree>"


def test_a_pipeline_never_waits_for_it(tmp_path: Path) -> None:
    may, begun = threading.Event(), threading.Semaphore(0)

    def prepare() -> None:
        begun.release()
        may.wait(10.0)

    with candidate(tmp_path, prepare) as beside:
        beside.saw(window(), LIVE)
        assert begun.acquire(timeout=10.0)
        for _ in range(100):
            beside.saw(window(), LIVE)
        may.set()
        assert begun.acquire(timeout=10.0)
        until(lambda: beside.compared.frames == 2, "the one in hand, and the newest")


@pytest.mark.parametrize(
    ("error", "frames", "in_a_row", "lost"),
    [
        (FrameError("cannot judge it: one sample is NaN"), 0, 0, ""),
        (BundleError("cannot decode it"), 1, 1, ""),
        (DeadlineError("its device was busy"), 1, 1, ""),
        (EngineLostError("it crashed with SIGSEGV"), 0, 0, "it crashed with SIGSEGV"),
    ],
)
def test_what_it_does_not_answer_is_told_apart(
    tmp_path: Path, error: Exception, frames: int, in_a_row: int, lost: str
) -> None:
    done = threading.Event()

    def prepare() -> None:
        done.set()
        raise error

    with candidate(tmp_path, prepare) as beside:
        beside.saw(window(), LIVE)
        assert done.wait(10.0)
        until(lambda: (beside.compared.frames, beside.compared.lost) == (frames, lost), "it was counted")
    assert beside.compared.failures_in_a_row == in_a_row


def test_windows_of_another_length_cannot_be_compared(tmp_path: Path) -> None:
    with candidate(tmp_path, length=32) as beside:
        beside.saw(window(), LIVE)
        until(lambda: beside.unfit, "it says so")
    assert beside.unfit == "its windows are 32 samples of 1, those of what is live 64 of 1"
    assert beside.compared.frames == 0


def test_what_nobody_expected_ends_the_comparison_and_says_so(tmp_path: Path) -> None:
    def broken() -> None:
        message = "cannot reshape"
        raise ValueError(message)

    with candidate(tmp_path, broken) as beside:
        beside.saw(window(), LIVE)
        until(lambda: beside.unfit, "it gave up")

    assert (beside.unfit, beside.compared.frames) == ("it cannot be compared: ValueError: cannot reshape", 0)


def test_one_that_hangs_is_not_waited_for_and_is_freed_when_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.assembly.understudy.END_S", 0.01)
    may, begun = threading.Event(), threading.Event()

    def prepare() -> None:
        begun.set()
        may.wait(10.0)

    with candidate(tmp_path, prepare) as beside:
        beside.saw(window(), LIVE)
        assert begun.wait(10.0)

    assert beside._thread.is_alive()
    may.set()
    beside._thread.join(10.0)
    assert not beside._thread.is_alive()


def test_while_it_opens_nobody_waits_and_the_newest_frame_does(tmp_path: Path) -> None:
    """A child with the least priority may take a minute, in which orders are judged and what is on probation is watched."""
    bundle, may = read_bundle(sensor_bundle(tmp_path / "level")), threading.Event()
    rung = Rung(bundle.manifest.variant[0], "cpu", 1, "possible", "")

    def opens() -> Model:
        assert may.wait(10.0)
        return open_rung(bundle, rung)

    with closing(Understudy(bundle, rung.variant, opens)) as beside:
        for _ in range(3):
            beside.saw(window(), LIVE)
        assert (repr(beside), beside.compared.frames) == ("<Understudy level 1.0.0 fp32: opens>", 0)
        may.set()
        until(lambda: beside.compared.frames == 1, "it was compared")
    assert beside.compared.agreed == 1


def test_one_that_was_called_off_while_it_opened_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.assembly.understudy.END_S", 0.01)
    bundle, may, freed = read_bundle(sensor_bundle(tmp_path / "level")), threading.Event(), threading.Event()
    rung = Rung(bundle.manifest.variant[0], "cpu", 1, "possible", "")

    class Freed:
        def close(self) -> None:
            freed.set()

    def opens() -> Model:
        assert may.wait(10.0)
        return replace(open_rung(bundle, rung), engine=cast("Engine", Freed()))

    beside = Understudy(bundle, rung.variant, opens)
    beside.saw(window(), LIVE)
    beside.close()
    assert not freed.is_set()

    may.set()

    assert freed.wait(10.0)
    assert beside.compared.frames == 0


def test_one_that_does_not_open_says_so(tmp_path: Path) -> None:
    bundle = read_bundle(sensor_bundle(tmp_path / "level"))

    def opens() -> Model:
        raise EngineLostError("no memory")

    with closing(Understudy(bundle, bundle.manifest.variant[0], opens)) as beside:
        until(lambda: beside.unfit, "it gave up")
    assert beside.unfit == "it does not open beside what is live: no memory"
    assert repr(beside) == f"<Understudy level 1.0.0 fp32: {beside.unfit}>"


def test_one_that_hung_once_is_opened_again(tmp_path: Path) -> None:
    """Whose child was ended for being late would give no further answer, and be condemned for one bad moment."""
    late = [DeadlineError("it gave no answer within 20.00 s, and was ended")]
    opened: list[Any] = []

    def prepare() -> None:
        if late:
            raise late.pop()

    def reopen() -> Any:
        bundle = read_bundle(tmp_path / "level")
        opened.append(open_rung(bundle, Rung(bundle.manifest.variant[0], "cpu", 1, "possible", "")))
        return opened[-1]

    with candidate(tmp_path, prepare, reopen) as beside:
        beside.saw(window(), LIVE)
        until(lambda: beside.compared.frames == 1, "it was late")
        beside.saw(window(), LIVE)
        until(lambda: beside.compared.frames == 2, "and answers")

    assert (beside.compared.agreed, beside.compared.failures_in_a_row, beside.compared.lost) == (1, 0, "")
    assert len(opened) == 1


def test_one_that_hung_and_does_not_open_again_goes_on_without_shadow(tmp_path: Path) -> None:
    def prepare() -> None:
        raise DeadlineError("it gave no answer in time")

    def reopen() -> Any:
        raise EngineLostError("no memory")

    with candidate(tmp_path, prepare, reopen) as beside:
        beside.saw(window(), LIVE)
        until(lambda: beside.unfit, "it gave up")

    assert beside.unfit == "it hung, and does not open again beside what is live: no memory"
