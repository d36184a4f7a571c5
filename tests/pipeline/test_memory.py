from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edged.domain.bundle import State
from edged.domain.errors import BundleError
from edged.domain.frame import Frame
from edged.domain.ports import Engine
from edged.domain.tensor import Array, Quantization, TensorSpec
from edged.engines import onnx
from edged.pipeline.memory import RememberingEngine, carrying, forgetting
from fakes.engine import FakeEngine
from fakes.modelfile import onnx_accumulator
from fakes.results import stamp

CARRIED = (State(output="next", input="state"),)
FLOATS = {name: TensorSpec(name, (1, 2), "float32") for name in ("x", "state", "next", "y")}


def accumulator(**specs: TensorSpec) -> FakeEngine:
    given = {**FLOATS, **specs}

    def total(tensors: Sequence[Array]) -> list[Array]:
        both = tensors[0] + tensors[1]
        return [both.astype(given["next"].dtype), both]

    return FakeEngine((given["x"], given["state"]), (given["next"], given["y"]), total)


def remembering(engine: Engine | None = None) -> RememberingEngine:
    made = carrying(engine or accumulator(), CARRIED, "sum.onnx")
    assert isinstance(made, RememberingEngine)
    return made


def totals(engine: Engine, times_s: Sequence[float]) -> list[float]:
    prepare = forgetting(engine, lambda frame: (frame.data,))
    frames = [Frame(np.ones((1, 2), np.float32), stamp(now_s)) for now_s in times_s]
    return [float(engine.infer(prepare(frame))[0][0, 0]) for frame in frames]


def test_a_file_remembers_from_frame_to_frame(tmp_path: Path) -> None:
    (tmp_path / "sum.onnx").write_bytes(onnx_accumulator())
    engine = carrying(onnx.open_engine(tmp_path / "sum.onnx", threads=1), CARRIED, "sum.onnx")

    assert [spec.name for spec in (*engine.inputs, *engine.outputs)] == ["x", "y"]
    assert totals(engine, [0.0, 1.0, 2.0]) == [1.0, 2.0, 3.0]
    engine.close()


@pytest.mark.parametrize("times_s", [[0.0, 1.0, 2.0, 10.0, 11.0], [0.0, 1.0, 2.0, 0.0, 1.0]], ids=["gap", "loop"])
def test_what_was_before_a_gap_is_forgotten(times_s: list[float]) -> None:
    assert totals(remembering(), times_s) == [1.0, 2.0, 3.0, 1.0, 2.0]


def test_a_single_lost_frame_is_no_gap() -> None:
    assert totals(remembering(), [0.0, 1.0, 3.0, 4.0]) == [1.0, 2.0, 3.0, 4.0]


def test_golden_samples_know_nothing_of_each_other() -> None:
    assert totals(remembering(), [0.0, 0.0, 0.0]) == [1.0, 1.0, 1.0]


def test_a_new_engine_begins_with_zeros() -> None:
    first = remembering()
    assert totals(first, [0.0, 1.0]) == [1.0, 2.0]
    assert totals(remembering(), [2.0]) == [1.0]


def test_a_quantised_memory_begins_with_its_zero_point_and_keeps_its_own_numbers() -> None:
    state = TensorSpec("state", (1, 2), "int8", Quantization(0.5, 3))
    seen: list[int] = []

    def total(tensors: Sequence[Array]) -> list[Array]:
        seen.append(int(tensors[1][0, 0]))
        return [np.full((1, 2), 7, np.int8), tensors[0]]

    for given in (Quantization(0.5, 3), Quantization(0.25, 3)):
        specs = (TensorSpec("next", (1, 2), "int8", given), FLOATS["y"])
        totals(remembering(FakeEngine((FLOATS["x"], state), specs, total)), [0.0, 1.0])
    # 7 is 2.0 at a scale of 0.5; at 0.25 it is 1.0, which the input writes as 5.
    assert seen == [3, 7, 3, 5]


def test_what_a_file_leaves_open_is_one() -> None:
    engine = accumulator(next=TensorSpec("next", (-1, 2), "float32"))
    assert totals(remembering(engine), [0.0, 1.0]) == [1.0, 2.0]


def test_an_engine_without_memory_is_left_as_it_is() -> None:
    engine = FakeEngine((FLOATS["x"],), (FLOATS["y"],), list)

    def prepare(frame: Frame) -> tuple[Array]:
        return (frame.data,)

    assert carrying(engine, (), "plain.onnx") is engine
    assert forgetting(engine, prepare) is prepare


def test_closing_frees_the_file_and_the_engine_says_what_it_is() -> None:
    engine = accumulator()
    kept = remembering(engine)
    kept.close()
    assert (engine.closed, kept.runtime) == (True, "fake")
    assert repr(kept).startswith("<RememberingEngine <")


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ((), "it has inputs x, state, expected one for the frame"),
        ((State(output="next", input="x"), *CARRIED), "it has inputs x, state, expected one for the frame"),
        (
            (State(output="nix", input="state"),),
            "cannot carry output 'nix' of sum.onnx: there is none, expected one of",
        ),
        ((*CARRIED, State(output="y", input="nix")), "cannot carry input 'nix' of sum.onnx"),
        ((*CARRIED, State(output="y", input="state")), "an input stands twice"),
    ],
)
def test_states_that_are_not_the_files_are_refused(states: tuple[State, ...], told: str) -> None:
    with pytest.raises(BundleError, match=told):
        carrying(accumulator(), states, "sum.onnx")


@pytest.mark.parametrize("shape", [(1, 3), (2,)])
def test_tensors_of_other_shapes_are_not_carried(shape: tuple[int, ...]) -> None:
    engine = accumulator(next=TensorSpec("next", shape, "float32"))
    with pytest.raises(
        BundleError, match=r"cannot carry 'next' to 'state' in sum.onnx: its shape is .*, expected 1 x 2"
    ):
        remembering(engine)


def test_one_engine_follows_two_things_in_turns() -> None:
    engine, ones = remembering(), [np.ones((1, 2), np.float32)]
    memories: list[Sequence[Array] | None] = [None, None]
    told = []
    for which in (0, 0, 1, 0, 1):
        engine.recall(memories[which])
        told.append(float(engine.infer(ones)[0][0, 0]))
        memories[which] = engine.memory

    assert told == [1.0, 2.0, 1.0, 3.0, 2.0]
