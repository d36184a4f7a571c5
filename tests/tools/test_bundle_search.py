from __future__ import annotations

from collections.abc import Callable

import pytest

from edgectl.bundle.judge import Verdict
from edgectl.bundle.quantizers import Recipe, make, tail
from edgectl.bundle.search import LAST, WORST, noisiest, search
from edged.domain.errors import BundleError
from fakes.quantizer import FakeQuantizer

INT8 = Recipe("tflite", "int8", lambda quantizer, keep: quantizer.int8(keep))
LAYERS = [f"l{number}" for number in range(20)]
STEADY = FakeQuantizer({name: 0.01 * (index + 1) for index, name in enumerate(LAYERS)})


def gate(accepts: Callable[[set[str]], bool]) -> Callable[[bytes], Verdict]:
    def attempt(content: bytes) -> Verdict:
        kept = set(content.decode().split()) - {"-"}
        return Verdict(None, None, 1.0, len(content), "" if accepts(kept) else f"failed with {len(kept)} kept")

    return attempt


def test_nothing_is_kept_when_the_gate_is_passed_at_once() -> None:
    trial = search(STEADY, INT8, gate(lambda _: True))
    assert (trial.keep, trial.tries) == ((), 1)


def test_the_last_layer_is_kept_first_with_all_behind_it() -> None:
    trial = search(STEADY, INT8, gate(lambda kept: "l19" in kept))
    assert (trial.keep, trial.tries) == (("l19", "after-l19"), 2)


def test_what_lies_between_the_layers_comes_next() -> None:
    trial = search(STEADY, INT8, gate(lambda kept: "after-l0" in kept))
    assert trial.keep == STEADY.others


def test_the_layer_that_adds_the_most_noise_is_found() -> None:
    jump = FakeQuantizer({name: 0.01 if index < 3 else 0.5 for index, name in enumerate(LAYERS)})
    assert noisiest(jump, b"-")[0] == "l3"
    assert "l3" in search(jump, INT8, gate(lambda kept: "l3" in kept)).keep


def test_the_search_ends_and_gives_the_figure_of_the_plain_file() -> None:
    trial = search(STEADY, INT8, gate(lambda _: False))
    assert trial.verdict.fault == "failed with 0 kept"
    assert trial.tries <= 1 + len(LAST) + 1 + len(WORST)


def test_not_more_than_half_of_the_layers_stay_in_float() -> None:
    kept: list[set[str]] = []
    search(STEADY, INT8, gate(lambda names: bool(kept.append(names & set(LAYERS)))))
    assert max(len(names) for names in kept) <= len(LAYERS) // 2


def test_only_int8_is_searched() -> None:
    half = Recipe("tflite", "fp16", lambda quantizer, keep: quantizer.int8(keep))
    assert search(STEADY, half, gate(lambda _: False)).tries == 1


def test_what_a_library_cannot_do_costs_one_variant_and_says_so() -> None:
    def broken(_quantizer: object, _keep: object) -> bytes:
        message = "operator\nGRU is beyond me"
        raise ValueError(message)

    trial = search(STEADY, Recipe("onnx", "int8", broken), gate(lambda _: True))
    assert trial.verdict.fault.startswith("cannot make onnx-int8: operator GRU is beyond me, expected")
    with pytest.raises(BundleError):
        make(Recipe("onnx", "int8", broken), STEADY)


def test_a_tail_of_more_layers_than_there_are_is_all_of_them() -> None:
    assert tail(STEADY, 0) == ()
    assert tail(STEADY, 99) == STEADY.operators
