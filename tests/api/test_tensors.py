"""Tensors of the protocol: what is read is what was written, and what is no tensor is refused in words."""

from __future__ import annotations

import json
import os
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edged.api.refusal import RefusedError
from edged.api.regions import Regions
from edged.api.tensors import (
    BYTES,
    DTYPES,
    Tensor,
    fitted,
    from_bytes,
    from_values,
    named,
    raw,
    to_bytes,
    to_values,
)
from edged.api.wire import read_call
from edged.domain.tensor import Array, TensorSpec

INPUTS = int(os.environ.get("EDGED_SOAK_INPUTS", "1000"))
"""``make soak`` gives a million."""


@given(st.sampled_from(sorted(DTYPES)).flatmap(lambda name: arrays(DTYPES[name], (2, 3))))
def test_what_is_written_in_binary_is_read_as_it_was(array: Array) -> None:
    tensor = named("x", array)

    read = from_bytes("x", tensor.datatype, tensor.shape, memoryview(to_bytes(tensor)))

    assert isinstance(read.data, np.ndarray)
    assert read.data.dtype == array.dtype
    np.testing.assert_array_equal(read.data, array)


@given(
    st.sampled_from(sorted(set(DTYPES) - {"FP16", "FP32", "FP64"})).flatmap(lambda name: arrays(DTYPES[name], (2, 2)))
)
def test_what_is_written_as_json_is_read_as_it_was(array: Array) -> None:
    tensor = named("x", array)

    read = from_values("x", tensor.datatype, tensor.shape, json.loads(json.dumps(to_values(tensor))))

    np.testing.assert_array_equal(read.data, array)


def test_whole_numbers_of_both_ends_of_their_type_are_read_side_by_side() -> None:
    read = from_values("x", "UINT64", [3], [1, 2**64 - 1, 2**53 + 1])
    np.testing.assert_array_equal(read.data, np.array([1, 2**64 - 1, 2**53 + 1], np.uint64))


@given(st.lists(st.binary(max_size=20), max_size=5))
def test_elements_of_any_length_come_through(elements: list[bytes]) -> None:
    if not elements:
        return
    tensor = Tensor("x", BYTES, (len(elements),), tuple(elements))

    assert from_bytes("x", BYTES, tensor.shape, memoryview(to_bytes(tensor))) == tensor


def test_a_binary_tensor_lies_on_the_body_that_was_received() -> None:
    body = bytearray(np.arange(4, dtype="<f4").tobytes())

    array = from_bytes("x", "FP32", [4], memoryview(body)).data

    body[:4] = np.float32(7).tobytes()
    assert isinstance(array, np.ndarray)
    assert array[0] == 7


def test_a_tensor_that_begins_between_two_words_is_copied_to_where_runtimes_can_read_it() -> None:
    body = bytearray(1) + np.arange(4, dtype="<f4").tobytes()

    array = from_bytes("x", "FP32", [4], memoryview(body)[1:]).data

    assert isinstance(array, np.ndarray)
    assert array.flags.aligned
    assert array.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("datatype", "shape", "values", "words"),
    [
        ("FP32", [2], [1, 2, 3], r"shape \[3\], expected \[2\]"),
        ("FP32", [2, 2], [[1, 2], [3]], "differ in length or depth"),
        ("FP32", [1], [1e39], "not finite as FP32"),
        ("FP32", [1], ["1"], "not all of one kind"),
        ("FP32", [1], [None], "not all of one kind"),
        ("FP32", [1], {"0": 1}, "no list"),
        ("FP32", [1], "1", "no list"),
        ("UINT8", [1], [256], "outside 0 to 255"),
        ("UINT8", [1], [-1], "outside 0 to 255"),
        ("INT64", [1], [1 << 64], "outside -9223372036854775808 to"),
        ("UINT64", [1], [-1], "outside 0"),
        ("INT8", [1], [1.5], "not all of one kind"),
        ("BOOL", [1], [1], "not all of one kind"),
        ("BYTES", [2], ["a"], "expected 2 texts"),
        ("BYTES", [1], [1], "expected 1 texts"),
        ("FP32", [-1], [1], "whole numbers above 0"),
        ("FP32", [0], [], "whole numbers above 0"),
        ("FP32", [True], [1], "whole numbers above 0"),
        ("FP32", [1.0], [1], "whole numbers above 0"),
        ("FP32", [1] * 17, [1], "at most 16"),
        ("FLOAT", [1], [1], "expected one of BOOL"),
        ("FP32", [1], [10**400], "not finite as FP32"),
        ("BOOL", [1], [10**30], "not all of one kind"),
        ("FP32", [10**4000, 10**4000], [1], "whole numbers above 0"),
        ("FP32", [1], [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]], r"expected \[1\]"),
        ("BYTES", [5000], [""] * 5000, "expected at most 4096"),
    ],
)
def test_what_is_no_such_tensor_is_refused(datatype: str, shape: list[Any], values: Any, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        from_values("x", datatype, shape, values)
    assert caught.value.kind == "invalid"


def test_a_name_without_an_end_is_not_told_back() -> None:
    with pytest.raises(RefusedError) as caught:
        from_values("x" * 1_000_000, "FP32", [1], [1])
    assert str(caught.value) == "cannot read a tensor whose name has 1000000 characters, expected at most 256"


def test_texts_among_numbers_take_no_more_memory_than_they_are_long() -> None:
    # As NumPy's own texts these were 4 GB: as wide as the widest, 4 bytes a character.
    tracemalloc.start()
    with pytest.raises(RefusedError, match="not all of one kind"):
        from_values("x", "FP32", [10_001], ["a" * 100_000] + [""] * 10_000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 2_000_000


@pytest.mark.parametrize(
    ("datatype", "shape", "body", "words"),
    [
        ("FP32", [2], b"\0" * 7, "it has 7 bytes, expected 8"),
        ("BOOL", [2], b"\0\2", "expected 0 and 1"),
        ("BYTES", [1], b"\5\0\0\0ab", "end inside an element"),
        ("BYTES", [1], b"\5\0", "end inside an element"),
        ("BYTES", [1], b"\1\0\0\0ab", "1 bytes follow"),
        ("FP32", [1 << 31, 1 << 31, 1 << 31], b"", "expected 39614081257132168796771975168"),
        ("BYTES", [1 << 20], bytes(4 << 20), "expected at most 4096"),
    ],
)
def test_bytes_that_are_no_such_tensor_are_refused(datatype: str, shape: list[Any], body: bytes, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        from_bytes("x", datatype, shape, memoryview(body))


def test_a_model_is_given_its_inputs_in_its_own_order() -> None:
    specs = [TensorSpec("a", (1,), "int32"), TensorSpec("b", (-1, 2), "float32")]
    given_inputs = [named("b", np.zeros((3, 2), np.float32)), named("a", np.zeros(1, np.int32))]

    assert [array.shape for array in fitted(given_inputs, specs)] == [(1,), (3, 2)]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "none: expected each of 'x' once"),
        ([named("y", np.zeros((1, 4), np.float32))], "'y': expected each of 'x' once"),
        ([named("x", np.zeros((1, 4), np.float32))] * 2, "expected each of 'x' once"),
        ([named("x", np.zeros((1, 4), np.float64))], "its datatype is FP64, expected FP32"),
        ([named("x", np.zeros((4,), np.float32))], r"its shape is \[4\], expected \[1, 4\]"),
        ([named("x", np.zeros((1, 5), np.float32))], r"its shape is \[1, 5\], expected \[1, 4\]"),
        ([Tensor("x", BYTES, (1,), (b"",))], "its datatype is BYTES, expected FP32"),
    ],
)
def test_inputs_that_do_not_fit_the_model_are_refused(inputs: list[Tensor], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        fitted(inputs, [TensorSpec("x", (1, 4), "float32")])


def test_a_raw_body_takes_the_models_shape_and_fills_its_one_free_dimension() -> None:
    assert raw(TensorSpec("x", (-1, 2), "uint8"), memoryview(b"abcdef")).shape == (3, 2)


@pytest.mark.parametrize(("shape", "body"), [((-1, 2), b"abc"), ((-1, -1), b"ab"), ((-1, 2), b""), ((2,), b"abc")])
def test_a_raw_body_that_fills_no_shape_is_refused(shape: tuple[int, ...], body: bytes) -> None:
    with pytest.raises(RefusedError):
        raw(TensorSpec("x", shape, "uint8"), memoryview(body))


def test_numbers_that_are_none_are_refused_as_json_and_written_in_binary() -> None:
    tensor = named("y", np.array([np.nan], np.float32))

    assert len(to_bytes(tensor)) == 4
    with pytest.raises(RefusedError, match="expected binary output"):
        to_values(tensor)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["name", "data", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "parameters": st.dictionaries(
            st.sampled_from(["priority", "timeout", "decoded", "binary_data_output", "other"]), JSON, max_size=3
        ),
        "outputs": JSON | st.lists(st.fixed_dictionaries({"name": st.text(max_size=4)}), max_size=2),
        "inputs": JSON
        | st.lists(
            st.fixed_dictionaries(
                {"name": st.text(max_size=4) | JSON, "datatype": st.sampled_from([*DTYPES, BYTES, "X"])},
                optional={
                    "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
                    "data": st.lists(st.integers(-3, 300) | st.floats() | st.text(max_size=3), max_size=6) | JSON,
                    "parameters": st.dictionaries(
                        st.sampled_from(["binary_data_size", "shared_memory_region", "shared_memory_byte_size"]),
                        st.integers(-1, 40) | JSON,
                        max_size=2,
                    ),
                },
            ),
            max_size=3,
        ),
    },
)


@seed(20261121)
@settings(max_examples=INPUTS)
@given(SHAPED.map(lambda one: json.dumps(one).encode()) | st.binary(max_size=64), st.binary(max_size=40), st.data())
def test_any_body_at_all_is_read_or_refused(header: bytes, tail: bytes, data: st.DataObject) -> None:
    length = data.draw(st.sampled_from([None, len(header), len(header) + 1, 0, 1 << 20]))
    kind, tensors = _read(memoryview(bytearray(header + tail)), length)

    assert kind in {"read", "invalid"}
    assert all(np.size(tensor.data) >= 1 for tensor in tensors)


def _read(body: memoryview, header_bytes: int | None) -> tuple[str, tuple[Tensor, ...]]:
    try:
        return "read", read_call("m", "", body, header_bytes, Regions()).request.inputs
    except RefusedError as error:
        return error.kind if len(str(error)) < 600 else "long-winded", ()
