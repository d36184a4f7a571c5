"""An engine that lies, found by the samples that it is asked between two frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import BundleError, EngineLostError
from edged.domain.frame import Frame
from edged.domain.result import Result
from edged.domain.tensor import TensorSpec
from edged.pipeline.loop import Loop
from edged.pipeline.model import Model
from edged.pipeline.rules import Rules
from edged.pipeline.selftest import SHARE, Lie, SelfTest, Spacing
from fakes.clock import SECOND_NS, FakeClock
from fakes.engine import FakeEngine
from fakes.results import MODEL, anomaly, stamp

SPEC = TensorSpec("x", (1,), "float32")
PERIOD_S = 300.0


class Decoder:
    def decode(self, *_: object) -> object:
        return anomaly(0.0)


@dataclass
class Bench:
    """A self-test under a loop whose frames come one a second; each sample takes 10 ms."""

    clock: FakeClock = field(default_factory=FakeClock)
    lies: list[Lie] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    asked_ns: list[int] = field(default_factory=list)
    wrong: set[int] = field(default_factory=set)
    is_replaced: bool = False
    frames: int = 0
    took_s: float = 0.01
    samples: int = 3
    raises: Exception | None = None
    told: int = 0
    inbox: deque[Frame] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.selftest = SelfTest("gate", PERIOD_S, self.clock, self._lied, lambda: self.told)
        self.model = self.make("int8")
        self.loop = Loop("gate", self, self.model, Rules([]), [self], self.clock, selftest=self.selftest)

    def make(self, variant: str, samples: int | None = None) -> Model:
        ref = replace(MODEL, variant=variant)
        engine = FakeEngine((SPEC,), (SPEC,), list)
        count = self.samples if samples is None else samples
        checks = tuple(self._check(ref.variant, sample) for sample in range(count))
        return Model(ref, lambda frame: (frame.data,), engine, Decoder(), checks)  # type: ignore[arg-type] # answers anything

    def _check(self, variant: str, sample: int) -> Callable[[], str | None]:
        def check() -> str | None:
            self.clock.advance(self.took_s)
            self.asked.append(sample)
            self.asked_ns.append(self.clock.mono)
            if self.raises is not None:
                raise self.raises
            return f"sample {sample}: 9 and not 1" if variant == "int8" and sample in self.wrong else None

        return check

    def _lied(self, lie: Lie) -> bool:
        self.lies.append(lie)
        return self.is_replaced

    def go(self, seconds: int) -> Bench:
        for _ in range(seconds):
            self.clock.advance(1)
            self.inbox.append(Frame(np.zeros(1, np.float32), stamp(float(self.frames), self.frames)))
            self.frames += 1
            self.loop.step()
        return self

    # -- an inbox, and a sink

    @property
    def ended(self) -> bool:
        return False

    def take(self, timeout_s: float) -> Frame | None:
        assert timeout_s > 0
        return self.inbox.popleft() if self.inbox else None

    def more(self) -> Frame | None:
        return None

    def result(self, result: Result) -> None:
        self.results.append(result)

    def event(self, _: object) -> None:
        raise AssertionError

    @property
    def worth(self) -> list[str]:
        return [result.status for result in self.results]


def test_an_engine_that_answers_right_is_believed_and_every_sample_has_its_turn_within_the_period() -> None:
    bench = Bench().go(903)
    assert set(bench.worth) == {"ok"}
    assert bench.asked == [0, 1, 2] * 4
    assert bench.selftest.reason is None


def test_a_new_engine_is_asked_before_its_first_frame() -> None:
    assert Bench().go(1).asked == [0]


def test_a_lie_is_found_within_one_period_and_makes_the_results_since_the_last_right_answer_suspect() -> None:
    bench = Bench().go(10)
    bench.wrong = {1}
    bench.go(300)
    (lie,) = bench.lies
    assert lie.first is not None
    assert lie.last is not None
    # The sample was answered right in the second second, before that second's frame.
    assert (lie.first.index, lie.last.index, lie.results) == (1, lie.last.index, lie.last.index)
    assert bench.worth.index("suspect") == lie.last.index + 1
    assert set(bench.worth[lie.last.index + 1 :]) == {"suspect"}


def test_of_the_suspect_results_those_that_were_told_are_counted() -> None:
    bench = Bench()
    bench.told = 40
    bench.go(10)
    bench.wrong = {1}
    bench.told += 7
    bench.go(300)
    (lie,) = bench.lies
    assert lie.told == 7


def test_results_are_believed_again_after_a_whole_round_of_right_answers() -> None:
    bench = Bench().go(10)
    bench.wrong = {1}
    bench.go(300)
    bench.wrong = set()
    bench.go(200)
    assert bench.worth[-1] == "ok"
    assert bench.selftest.reason is None


def test_its_repr_says_whether_it_is_believed_and_what_is_asked_next() -> None:
    bench = Bench().go(1)
    assert repr(bench.selftest) == "<SelfTest gate: trusted, sample 1 is next>"
    bench.wrong = {1}
    assert repr(bench.go(105).selftest).startswith("<SelfTest gate: suspect, ")


def test_a_lie_is_told_once_while_it_lasts() -> None:
    bench = Bench(wrong={0, 1, 2}).go(2000)
    assert len(bench.lies) == 1
    assert bench.selftest.reason is not None
    assert bench.selftest.reason.code == "suspect"
    assert bench.selftest.reason.message == "int8 on cpu answers wrong: sample 0: 9 and not 1"


def test_an_engine_that_lies_from_the_start_gives_no_result_that_is_believed() -> None:
    bench = Bench(wrong={0}).go(5)
    assert bench.worth == ["suspect"] * 5
    assert (bench.lies[0].results, bench.lies[0].first) == (0, None)


def test_an_engine_that_is_replaced_makes_no_further_step_and_the_next_one_is_believed_after_its_round() -> None:
    bench = Bench(is_replaced=True).go(10)
    bench.wrong = {0, 1, 2}
    while not bench.lies:
        bench.go(1)
    left = len(bench.results)
    assert len(bench.inbox) == 1
    bench.loop.swap(bench.make("fp32"))
    bench.loop.step()
    assert bench.asked[-3:] == [0, 1, 2]
    assert bench.worth[left:] == ["ok"]


def test_the_reason_stays_until_what_lied_has_answered_right_again() -> None:
    bench = Bench(is_replaced=True, wrong={0}).go(1)
    bench.loop.swap(bench.make("fp32"))
    assert bench.go(400).selftest.reason is not None
    bench.wrong = set()
    bench.loop.swap(bench.make("int8"))
    bench.go(3)
    assert bench.selftest.reason is None


def test_what_lied_before_is_asked_before_it_runs_again_and_nothing_else_is() -> None:
    bench = Bench(is_replaced=True, wrong={2}).go(10)
    while not bench.lies:
        bench.go(1)
    assert bench.selftest.still_lies(bench.make("int8")) == "sample 2: 9 and not 1"
    assert bench.selftest.still_lies(bench.make("fp32")) is None
    bench.wrong = set()
    assert bench.selftest.still_lies(bench.make("int8")) is None


def test_of_another_version_nothing_is_held_against_it() -> None:
    bench = Bench(is_replaced=True, wrong={0}).go(1)
    other = bench.make("fp32")
    bench.loop.swap(replace(other, ref=replace(other.ref, version="2.0.0")))
    assert bench.go(1).selftest.reason is None


def test_a_model_without_samples_is_believed() -> None:
    bench = Bench(samples=0).go(3)
    assert bench.worth == ["ok"] * 3


def test_a_sample_that_cannot_be_read_says_nothing_about_the_engine() -> None:
    bench = Bench(raises=BundleError("cannot read first.png")).go(5)
    assert (bench.worth, bench.lies) == (["ok"] * 5, [])


def test_an_engine_that_is_lost_in_a_test_is_lost_as_in_a_frame() -> None:
    with pytest.raises(EngineLostError):
        Bench(raises=EngineLostError("its process ended")).go(1)


@given(st.lists(st.floats(0.0001, 20.0), min_size=2, max_size=60), st.integers(1, 16))
def test_no_more_than_a_hundredth_of_the_time_goes_into_samples(took_s: list[float], samples: int) -> None:
    spacing = Spacing(samples, PERIOD_S)
    now_ns = spent_ns = 0
    for one_s in took_s:
        spent_ns += int(one_s * SECOND_NS)
        now_ns += int(one_s * SECOND_NS)
        now_ns = spacing.after(int(one_s * SECOND_NS), now_ns)
    assert spent_ns <= SHARE * now_ns + 1


def test_samples_that_take_long_are_spread_over_more_than_a_period() -> None:
    bench = Bench(took_s=3.0, samples=2).go(901)
    gaps = [(later - earlier) / SECOND_NS for earlier, later in zip(bench.asked_ns, bench.asked_ns[1:], strict=False)]
    assert min(gaps) >= 300
