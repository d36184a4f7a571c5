from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from edged.domain.errors import EngineLostError, FrameError
from edged.domain.frame import Frame
from edged.domain.result import Anomaly, Event, Output, Result
from edged.domain.tensor import Array, TensorSpec
from edged.pipeline.condition import When
from edged.pipeline.loop import UNJUDGED_LIMIT, Loop
from edged.pipeline.model import Model
from edged.pipeline.rules import Rule, Rules, Timing
from fakes.clock import FakeClock
from fakes.engine import FakeEngine
from fakes.results import MODEL, anomaly, stamp

SPEC = TensorSpec("x", (1,), "float32")


@dataclass
class Inbox:
    """Frames in a list; ended when they are used up, if it was said to."""

    frames: deque[Frame]
    ends: bool = True

    @property
    def ended(self) -> bool:
        return self.ends and not self.frames

    def take(self, timeout_s: float) -> Frame | None:
        assert timeout_s > 0
        return self.frames.popleft() if self.frames else None

    def more(self) -> Frame | None:
        return self.frames.popleft() if self.frames else None


@dataclass
class CountingSink:
    results: list[Result] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def result(self, result: Result) -> None:
        self.results.append(result)

    def event(self, event: Event) -> None:
        self.events.append(event)


class MeanDecoder:
    def decode(self, outputs: list[Array], inputs: list[Array], frame: Frame) -> Output:
        assert inputs[0].shape == frame.data.shape
        return Anomaly(float(outputs[0][0]), 1.0)


def model(scale: float = 1.0, fails_from: int | None = None) -> Model:
    engine = FakeEngine((SPEC,), (SPEC,), lambda tensors: [tensors[0] * scale], fails_from=fails_from)
    return Model(MODEL, lambda frame: (frame.data,), engine, MeanDecoder())


def frames(*values: float) -> deque[Frame]:
    return deque(Frame(np.array([value], np.float32), stamp(float(n), n)) for n, value in enumerate(values))


def loop(values: deque[Frame], of: Model, *, ends: bool = True) -> tuple[Loop, CountingSink]:
    sink = CountingSink()
    rules = Rules([Rule("gate", "odd", When(), Timing())])
    return Loop("gate", Inbox(values, ends), of, rules, [sink], FakeClock()), sink


def test_a_frame_goes_through_to_every_sink_with_its_stamp_its_model_and_its_answer() -> None:
    one, sink = loop(frames(0.5), model())
    assert one.step()
    (result,) = sink.results
    assert (result.stamp.index, result.model, result.status, result.output) == (0, MODEL, "ok", anomaly(0.5))


def test_events_come_after_the_result_that_brought_them() -> None:
    one, sink = loop(frames(2.0, 0.5), model())
    one.step()
    one.step()
    assert [event.phase for event in sink.events] == ["start", "end"]


def test_no_frame_in_time_is_no_end() -> None:
    one, sink = loop(frames(), model(), ends=False)
    assert one.step()
    assert sink.results == []


def test_the_end_of_the_source_ends_the_loop() -> None:
    one, sink = loop(frames(2.0), model())
    assert one.step()
    assert not one.step()
    assert [event.phase for event in sink.events] == ["start"]


def sometimes_invalid(frame: Frame) -> tuple[Array]:
    if not np.isfinite(frame.data).all():
        raise FrameError("cannot prepare it", remedy="look at the sensor", code="samples-invalid")
    return (frame.data,)


def test_a_frame_that_cannot_be_judged_is_unknown_and_the_loop_goes_on() -> None:
    one, sink = loop(frames(0.5, np.inf, 0.5), replace(model(), preprocess=sometimes_invalid))
    while one.step():
        pass
    assert [(result.status, result.reason) for result in sink.results] == [
        ("ok", ""),
        ("unknown", "samples-invalid"),
        ("ok", ""),
    ]
    assert one.reason is None


def test_frames_that_can_not_be_judged_for_long_are_told_until_one_can() -> None:
    one, _ = loop(frames(*[np.inf] * UNJUDGED_LIMIT, 0.5), replace(model(), preprocess=sometimes_invalid))
    for _ in range(UNJUDGED_LIMIT - 1):
        one.step()
    assert one.reason is None
    one.step()
    assert one.reason is not None
    assert (one.reason.code, one.reason.component, one.reason.remedy) == (
        "samples-invalid",
        "gate",
        "look at the sensor",
    )
    one.step()
    assert one.reason is None


def test_a_frame_that_the_engine_fails_on_is_unknown_and_the_error_goes_on() -> None:
    one, sink = loop(frames(2.0), model(fails_from=0))
    with pytest.raises(EngineLostError):
        one.step()
    (result,) = sink.results
    assert (result.status, result.reason, result.output) == ("unknown", "engine-lost", None)


def test_latency_is_told_by_stage_and_age_counts_from_the_capture() -> None:
    clock = FakeClock()
    slow = model()

    def preprocess(frame: Frame) -> tuple[Array]:
        clock.advance(0.004)
        return (frame.data,)

    late = Frame(np.array([0.5], np.float32), stamp(0.0))
    sink = CountingSink()
    one = Loop(
        "gate", Inbox(deque([late])), Model(MODEL, preprocess, slow.engine, MeanDecoder()), Rules([]), [sink], clock
    )
    one.step()
    latency = sink.results[0].latency
    assert latency.age_ms == pytest.approx(1_000_000)
    assert (latency.preprocess_ms, latency.inference_ms, latency.postprocess_ms) == (pytest.approx(4.0), 0, 0)


def test_a_swapped_model_takes_over_between_two_frames_and_the_old_one_is_freed_then() -> None:
    old, new = model(), model(scale=10.0)
    one, sink = loop(frames(0.5, 0.5), old)
    one.step()
    one.swap(new)
    assert not old.engine.closed  # type: ignore[attr-defined] # the fake tells
    one.step()
    assert [result.output for result in sink.results] == [anomaly(0.5), anomaly(5.0)]
    assert old.engine.closed  # type: ignore[attr-defined] # the fake tells
    assert one.model is new


def test_of_two_models_that_wait_the_later_one_takes_over_and_the_other_is_freed_unused() -> None:
    passed_by, newest = model(scale=10.0), model(scale=100.0)
    one, sink = loop(frames(0.5), model())
    one.swap(passed_by)
    one.swap(newest)
    assert one.newest is newest
    one.step()
    assert [result.output for result in sink.results] == [anomaly(50.0)]
    assert passed_by.engine.closed  # type: ignore[attr-defined] # the fake tells
    assert one.newest is one.model is newest


def test_closing_frees_the_model_and_the_one_that_was_to_follow() -> None:
    old, new = model(), model()
    one, _ = loop(frames(), old)
    one.swap(new)
    one.close()
    assert (old.engine.closed, new.engine.closed) == (True, True)  # type: ignore[attr-defined] # the fake tells


def test_a_model_that_comes_after_the_close_is_freed_and_the_caller_told() -> None:
    late = model()
    one, _ = loop(frames(), model())
    one.close()
    assert not one.swap(late)
    assert late.engine.closed  # type: ignore[attr-defined] # the fake tells


def test_closing_a_loop_that_awaits_no_other_model_frees_its_own() -> None:
    only = model()
    one, _ = loop(frames(), only)
    one.close()
    assert only.engine.closed  # type: ignore[attr-defined] # the fake tells


@dataclass
class Doubling:
    """A refinement that doubles a score, and tells whether it was freed."""

    closed: bool = False

    def __call__(self, output: Output, frame: Frame) -> Output:
        assert isinstance(output, Anomaly)
        assert frame.data.size
        return Anomaly(output.score * 2, output.threshold)

    def close(self) -> None:
        self.closed = True


def test_refinements_add_to_the_answer_in_their_order_and_are_freed_with_the_model() -> None:
    sink, doubling = CountingSink(), Doubling()
    one = Loop("gate", Inbox(frames(0.5)), model(), Rules([]), [sink], FakeClock(), [doubling, doubling])
    one.step()
    one.close()
    assert sink.results[0].output == anomaly(2.0)
    assert doubling.closed


def test_the_repr_says_what_runs() -> None:
    one, _ = loop(frames(0.5), model())
    one.step()
    assert repr(one) == "<Loop gate: 1 frames on parts 1.0.0 int8 (cpu)>"


@dataclass
class Turn:
    """A turn that counts how often it was taken, and notes what was reported while it was held."""

    sink: CountingSink
    taken: int = 0
    reported_within: int = 0
    is_wanted: bool = False

    @contextmanager
    def __call__(self) -> Iterator[Callable[[], bool]]:
        self.taken += 1
        before = len(self.sink.results)
        yield lambda: self.is_wanted
        self.reported_within += len(self.sink.results) - before


def taking_turns(values: deque[Frame], of: Model) -> tuple[Loop, CountingSink, Turn]:
    sink = CountingSink()
    turn = Turn(sink)
    return Loop("gate", Inbox(values, True), of, Rules([]), [sink], FakeClock(), turn=turn), sink, turn


def test_frames_that_wait_already_share_a_turn_and_are_reported_after_it() -> None:
    one, sink, turn = taking_turns(frames(0.1, 0.2, 0.3), model())

    one.step()

    assert (turn.taken, len(sink.results), turn.reported_within) == (1, 3, 0)


def test_a_turn_ends_with_the_frame_in_hand_when_somebody_more_important_waits() -> None:
    one, sink, turn = taking_turns(frames(0.1, 0.2), model())
    turn.is_wanted = True

    one.step()

    assert (turn.taken, len(sink.results)) == (1, 1)


def test_what_was_judged_before_a_failure_is_reported_in_order() -> None:
    one, sink, turn = taking_turns(frames(0.1, 0.2, 0.3), model(fails_from=1))

    with pytest.raises(EngineLostError):
        one.step()

    assert [result.status for result in sink.results] == ["ok", "unknown"]
    assert turn.taken == 1


class EveryOther:
    """Lets every second frame pass for still, unless it was told to forget."""

    def __init__(self) -> None:
        self.asked = 0
        self.forgotten = 0
        self._look = True

    def is_still(self, _frame: Frame) -> bool:
        self.asked += 1
        self._look = not self._look
        return self._look

    def forget(self) -> None:
        self.forgotten += 1
        self._look = True


def gated(values: deque[Frame], of: Model, rule: Rule) -> tuple[Loop, CountingSink, EveryOther]:
    sink, gate = CountingSink(), EveryOther()

    class OneByOne(Inbox):
        def more(self) -> Frame | None:
            return None

    return Loop("gate", OneByOne(values), of, Rules([rule]), [sink], FakeClock(), gate=gate), sink, gate


def test_a_still_frame_gives_no_result() -> None:
    one, sink, _ = gated(frames(0.5, 0.5, 0.5, 0.5), model(), Rule("gate", "odd", When(), Timing()))
    while one.step():
        pass
    assert [result.stamp.index for result in sink.results] == [0, 2]


def test_rules_go_on_with_the_last_answer_while_frames_are_still() -> None:
    one, sink, _ = gated(frames(2.0, 2.0), model(), Rule("gate", "odd", When(), Timing(for_s=1.0)))
    while one.step():
        pass
    assert [(event.phase, event.until.index) for event in sink.events] == [("start", 1)]
    assert len(sink.results) == 1


def test_a_frame_after_one_that_was_not_judged_is_never_still() -> None:
    unjudged = replace(model(), preprocess=sometimes_invalid)
    one, sink, gate = gated(frames(np.inf, 0.5, 0.5), unjudged, Rule("gate", "odd", When(), Timing()))
    while one.step():
        pass
    assert [result.status for result in sink.results] == ["unknown", "ok"]
    assert gate.forgotten == 2


def test_the_first_frame_of_another_model_is_never_still() -> None:
    one, sink, _ = gated(frames(0.5, 0.5), model(), Rule("gate", "odd", When(), Timing()))
    one.step()
    one.swap(model(2.0))
    one.step()
    assert len(sink.results) == 2
