"""Our reading and writing of Protocol Buffers against the library's own, with the published messages as tritonclient brings them."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tritonclient.grpc import service_pb2

from edged.api import grpc_messages as messages
from edged.api.grpc_calls import CALLS, read_infer
from edged.api.protobuf import Field, Table, decode, encode
from edged.api.refusal import RefusedError
from edged.api.regions import Regions
from edged.api.tensors import BYTES, DTYPES

PAIRS: tuple[tuple[str, Table], ...] = (
    ("ModelInferRequest", messages.INFER_REQUEST),
    ("ModelInferResponse", messages.INFER_RESPONSE),
    ("ModelStreamInferResponse", messages.STREAM_RESPONSE),
    *((f"{call.name}Request", call.takes) for call in CALLS),
    *((f"{call.name}Response", call.gives) for call in CALLS),
)
INPUTS = int(os.environ.get("EDGED_SOAK_INPUTS", "1000"))
"""``make soak`` gives a million."""
INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}


def values(field: Field) -> st.SearchStrategy[Any]:
    if field.kind == "map":
        return st.dictionaries(st.text(max_size=5), documents(field.table or messages.EMPTY), max_size=2)
    one = _one(field)
    return st.lists(one, max_size=3) if field.repeated else one


def _one(field: Field) -> st.SearchStrategy[Any]:
    if field.kind == "message":
        return documents(field.table or messages.EMPTY)
    if field.kind in INTEGERS:
        return st.integers(*INTEGERS[field.kind])
    plain = {
        "string": st.text(max_size=8),
        "bytes": st.binary(max_size=8),
        "bool": st.booleans(),
        "float": st.floats(width=32, allow_nan=False),
        "double": st.floats(allow_nan=False),
        "enum": st.sampled_from(sorted(field.names) or ["x"]),
    }
    return plain[field.kind]


def documents(table: Table) -> st.SearchStrategy[dict[str, Any]]:
    # Of a choice the last one written counts: one value is enough for any of them.
    choices = [field for field in table.fields if field.name.endswith("_param")]
    if choices:
        return st.sampled_from(choices).flatmap(lambda field: st.fixed_dictionaries({field.name: values(field)}))
    return st.fixed_dictionaries({}, optional={field.name: values(field) for field in table.fields})


def known(message: Any) -> dict[str, Any]:
    told: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return told


@pytest.mark.parametrize(("name", "table"), PAIRS, ids=[name for name, _ in PAIRS])
def test_numbers_and_kinds_are_the_published_ones(name: str, table: Table) -> None:
    _compare(getattr(service_pb2, name).DESCRIPTOR, table)


def _compare(descriptor: Any, table: Table) -> None:
    published = descriptor.fields_by_name
    for field in table.fields:
        found = published[field.name]
        is_map = bool(found.message_type and found.message_type.GetOptions().map_entry)
        assert found.number == field.number, field.name
        assert is_map == (field.kind == "map"), field.name
        if not is_map:
            kinds = {
                1: "double",
                2: "float",
                3: "int64",
                4: "uint64",
                5: "int32",
                8: "bool",
                9: "string",
                11: "message",
                12: "bytes",
            }
            assert {**kinds, 13: "uint32", 14: "enum"}[found.type] == field.kind, field.name
            assert found.is_repeated == field.repeated, field.name
        if field.kind == "enum":
            assert {value.name: value.number for value in found.enum_type.values}.items() >= field.names.items()
        if field.table is not None:
            _compare(
                found.message_type.fields_by_name["value"].message_type if is_map else found.message_type, field.table
            )


@pytest.mark.parametrize(("name", "table"), PAIRS[:3], ids=[name for name, _ in PAIRS[:3]])
@given(data=st.data())
def test_the_library_reads_what_we_write_and_we_what_it_writes(name: str, table: Table, data: st.DataObject) -> None:
    document = data.draw(documents(table))
    theirs = getattr(service_pb2, name).FromString(encode(table, document))
    again = decode(table, memoryview(theirs.SerializeToString()))
    assert known(getattr(service_pb2, name).FromString(encode(table, _plain(again)))) == known(theirs)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return bytes(value) if isinstance(value, memoryview) else value


PACKED = [("int32", "i4"), ("int64", "i8"), ("uint32", "u4"), ("uint64", "u8"), ("bool", "?")]


@pytest.mark.parametrize(("kind", "dtype"), PACKED)
@given(data=st.data())
def test_packed_numbers_are_those_that_come_one_by_one(kind: str, dtype: str, data: st.DataObject) -> None:
    table = Table((Field(1, "n", kind, repeated=True),))
    numbers = data.draw(arrays(dtype, st.integers(0, 9))).tolist()
    packed = encode(table, {"n": numbers})
    single = b"".join(encode(Table((Field(1, "n", kind),)), {"n": number}) for number in numbers)

    assert decode(table, memoryview(packed)) == decode(table, memoryview(single))


@pytest.mark.parametrize("packed", [b"\xff", b"\xff" * 10 + b"\x01", b"\x01\x80"])
def test_a_packed_number_without_an_end_is_refused(packed: bytes) -> None:
    table = Table((Field(1, "n", "uint64", repeated=True),))
    with pytest.raises(RefusedError, match="does not end"):
        decode(table, memoryview(b"\x0a" + bytes([len(packed)]) + packed))


def delimited(number: int, body: bytes) -> bytes:
    length = encode(Table((Field(1, "n", "uint64"),)), {"n": len(body)})[1:]
    return bytes([number << 3 | 2]) + length + body


LARGE = 3 << 20
INPUTS_AT, SHAPE_AT, CONTENTS_AT, UINT_AT = 5, 3, 5, 4
BOMBS = {
    "inputs": delimited(INPUTS_AT, b"") * 100_000,
    "unknown": b"\x7a\x00" * 100_000,
    "nested": delimited(INPUTS_AT, b"\x7a\x00" * 50_000) * 2,
    "shape": delimited(INPUTS_AT, delimited(SHAPE_AT, bytes(LARGE))),
    "numbers": delimited(INPUTS_AT, delimited(CONTENTS_AT, delimited(UINT_AT, bytes(LARGE // 2)))) * 2,
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_take_a_hundred_times_its_size_as_pythons_objects_is_refused(bomb: str) -> None:
    with pytest.raises(RefusedError, match="more than 65536 fields, or 2097152 numbers"):
        decode(messages.INFER_REQUEST, memoryview(BOMBS[bomb]))


@seed(20261121)
@settings(max_examples=INPUTS)
@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for table in (messages.INFER_REQUEST, messages.LOAD, messages.LOG):
        try:
            decode(table, memoryview(body))
        except RefusedError as error:
            assert error.kind == "invalid"  # noqa: PT017 - either of the two ends is well


TYPED = st.fixed_dictionaries(
    {
        "name": st.text(max_size=3),
        "datatype": st.sampled_from([*DTYPES, BYTES, "X"]),
        "shape": st.lists(st.integers(-1, 4) | st.integers(-(2**63), 2**63 - 1), max_size=3),
    },
    optional={
        "contents": documents(messages.CONTENTS),
        "parameters": st.dictionaries(
            st.sampled_from(["shared_memory_region", "shared_memory_byte_size", "shared_memory_offset", "x"]),
            documents(messages.PARAMETER),
            max_size=2,
        ),
    },
)
ASKED = st.fixed_dictionaries(
    {"inputs": st.lists(TYPED, max_size=3)},
    optional={
        "raw_input_contents": st.lists(st.binary(max_size=20), max_size=3),
        "outputs": st.lists(st.fixed_dictionaries({}, optional={"name": st.text(max_size=3)}), max_size=2),
        "parameters": st.dictionaries(
            st.sampled_from(["priority", "timeout", "decoded", "sequence_id", "sequence_start", "sequence_end"]),
            documents(messages.PARAMETER),
            max_size=3,
        ),
    },
)


@pytest.mark.slow
@seed(20261121)
@settings(max_examples=INPUTS // 4)
@given(ASKED | documents(messages.INFER_REQUEST))
def test_any_request_is_read_or_refused_in_few_words(document: dict[str, Any]) -> None:
    try:
        request, _ = read_infer(encode(messages.INFER_REQUEST, document), Regions())
    except RefusedError as error:
        assert (error.kind, len(str(error)) < 600) == ("invalid", True)  # noqa: PT017 - either of the two ends is well
    else:
        assert all(np.size(tensor.data) >= 1 for tensor in request.inputs)


def test_what_nests_without_an_end_is_refused() -> None:
    table = Table(())
    field = Field(1, "more", "message", table=table)
    object.__setattr__(table, "fields", (field,))
    body = b""
    for _ in range(40):
        body = b"\x0a" + bytes([len(body)]) + body if len(body) < 120 else body
    with pytest.raises(RefusedError, match="nested deeper"):
        decode(table, memoryview(body))


def test_tensors_are_viewed_and_not_copied() -> None:
    body = encode(messages.INFER_REQUEST, {"raw_input_contents": [b"12345678"]})
    (raw,) = decode(messages.INFER_REQUEST, memoryview(body))["raw_input_contents"]
    assert raw.obj is body


@pytest.mark.parametrize("value", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_numbers_of_both_signs_come_back(value: int) -> None:
    table = Table((Field(1, "n", "int64"),))
    assert decode(table, memoryview(encode(table, {"n": value}))) == {"n": value}


def test_floats_come_back_and_what_is_no_number_too() -> None:
    table = Table((Field(1, "x", "double"),))
    assert decode(table, memoryview(encode(table, {"x": math.inf}))) == {"x": math.inf}
    assert math.isnan(decode(table, memoryview(encode(table, {"x": math.nan})))["x"])
