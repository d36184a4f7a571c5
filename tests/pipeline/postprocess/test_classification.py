from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.bundle import WindowInput
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.result import Classes, ClassScore
from edged.domain.tensor import Quantization, TensorSpec
from edged.pipeline.postprocess import classification
from fakes.binding import bound, picture

FLOAT = TensorSpec("y", (1, 3), "float32")
BYTES = TensorSpec("y", (1, 3), "uint8", Quantization(1 / 256, 0))
LABELS = ("cat", "dog", "fish")


def _decode(spec: TensorSpec, values: list[float], **output: Any) -> Classes:
    output = {"decoder": "classification", "labels": LABELS, **output}
    labels = output.pop("labels")
    decoder = classification.bind(bound([spec], labels=labels, **output))
    tensor = np.array(values).astype(spec.dtype).reshape([abs(size) for size in spec.shape])
    return decoder.decode([tensor], [], picture())


def test_the_best_come_first_with_their_names() -> None:
    assert _decode(FLOAT, [0.25, 0.125, 0.625]) == Classes((ClassScore("fish", 0.625), ClassScore("cat", 0.25)))


def test_scores_of_a_quantised_output_are_real_values() -> None:
    assert _decode(BYTES, [64, 255, 63]) == Classes((ClassScore("dog", 255 / 256), ClassScore("cat", 0.25)))


def test_a_signed_output_counts_from_its_zero_point() -> None:
    spec = TensorSpec("y", (1, 3), "int8", Quantization(1 / 256, -128))
    assert _decode(spec, [-128, 127, 0]) == Classes((ClassScore("dog", 255 / 256), ClassScore("fish", 0.5)))


def test_nothing_sure_enough_is_an_empty_answer() -> None:
    assert _decode(FLOAT, [0.2, 0.2, 0.2]) == Classes(())


def test_of_equal_scores_the_first_class_comes_first() -> None:
    assert [item.label for item in _decode(FLOAT, [0.3, 0.4, 0.4]).items] == ["dog", "fish", "cat"]


def test_at_most_five_are_told() -> None:
    spec = TensorSpec("y", (1, 10), "float32")
    got = _decode(spec, [index / 10 for index in range(10)], min_score=0.0, labels=())
    assert [item.label for item in got.items] == ["9", "8", "7", "6", "5"]


def test_of_a_thousand_equal_classes_the_first_five_are_told() -> None:
    spec = TensorSpec("y", (1, 1000), "uint8", Quantization(1 / 256, 0))
    got = _decode(spec, [0.0] * 995 + [7.0] * 5, min_score=0.0, labels=())
    assert [item.label for item in got.items] == ["995", "996", "997", "998", "999"]


def test_fewer_are_told_when_the_bundle_says_so() -> None:
    assert len(_decode(FLOAT, [0.3, 0.3, 0.4], max_items=2).items) == 2


def test_softmax_makes_shares_of_one_and_does_not_overflow() -> None:
    got = _decode(FLOAT, [1000.0, 1000.0, 0.0], activation="softmax")
    assert [(item.label, item.score) for item in got.items] == [("cat", 0.5), ("dog", 0.5)]


def test_sigmoid_takes_each_class_for_itself_and_does_not_overflow() -> None:
    got = _decode(FLOAT, [0.0, 1e4, -1e4], activation="sigmoid")
    assert [(item.label, item.score) for item in got.items] == [("dog", 1.0), ("cat", 0.5)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("activation", ["none", "softmax"])
def test_an_output_that_is_no_number_is_a_failure_and_not_an_empty_answer(bad: float, activation: str) -> None:
    with pytest.raises(EngineLostError, match="cannot decode output 'y'"):
        _decode(FLOAT, [0.5, bad, 0.1], activation=activation)


def test_labels_that_do_not_fit_are_refused_with_both_numbers() -> None:
    with pytest.raises(BundleError, match="the model's 3 classes: the label file holds 2 lines"):
        _decode(FLOAT, [0, 0, 0], labels=("cat", "dog"))


@pytest.mark.parametrize("shape", [(1, 3), (3,), (-1, 3), (1, 1, 1, 3)])
def test_axes_of_one_do_not_matter(shape: tuple[int, ...]) -> None:
    assert _decode(TensorSpec("y", shape, "float32"), [0.0, 1.0, 0.0]).items[0].label == "dog"


@pytest.mark.parametrize(
    "outputs",
    [
        [],
        [FLOAT, FLOAT],
        [TensorSpec("y", (2, 3), "float32")],
        [TensorSpec("y", (), "float32")],
        [TensorSpec("y", (-1,), "uint8")],
    ],
)
def test_outputs_of_another_kind_are_refused(outputs: list[TensorSpec]) -> None:
    with pytest.raises(
        BundleError, match=r"cannot decode with 'classification': the model gives .* expected one output"
    ):
        classification.bind(bound(outputs, decoder="classification"))


def test_keys_of_other_decoders_are_refused() -> None:
    with pytest.raises(BundleError, match=r"cannot use nms_iou, threshold in \[output\]"):
        classification.bind(bound([FLOAT], decoder="classification", nms_iou=0.5, threshold=1.0))


def test_a_classifier_of_windows_is_welcome() -> None:
    window = WindowInput(kind="window", length=4, stride=1, channels=1)
    decoder = classification.bind(bound([FLOAT], model_input=window, decoder="classification"))
    assert decoder.decode([np.array([[0, 1, 0]], np.float32)], [], picture()).items[0].label == "1"


@given(integers=st.lists(st.integers(0, 255), min_size=3, max_size=3), min_score=st.floats(0, 1))
def test_cutting_integers_equals_cutting_real_values(integers: list[int], min_score: float) -> None:
    got = {item.label for item in _decode(BYTES, [float(value) for value in integers], min_score=min_score).items}
    wanted = {label for label, value in zip(LABELS, integers, strict=True) if value / 256 >= min_score - 1e-6 / 256}
    assert got == wanted


@given(
    st.sampled_from(["uint8", "int8"]),
    st.lists(st.integers(0, 255), min_size=3, max_size=60),
    st.floats(0, 1),
    st.integers(-128, 127),
)
def test_eight_bit_scores_are_found_as_wider_ones_are(dtype: str, raw: list[int], min_score: float, zero: int) -> None:
    count, tensor = len(raw), np.array(raw, np.uint8).view(dtype)
    zero_point = zero if dtype == "int8" else zero + 128
    named = {"labels": tuple(f"c{place}" for place in range(count)), "min_score": min_score}

    def decoded(kind: str) -> Classes:
        spec = TensorSpec("y", (1, count), kind, Quantization(1 / 128, zero_point))
        binding = bound([spec], decoder="classification", **named)
        return classification.bind(binding).decode([tensor.astype(kind).reshape(1, -1)], [], picture())

    assert decoded(dtype) == decoded("int32")
