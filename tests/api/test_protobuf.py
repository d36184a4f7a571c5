"""Our reading and writing of Protocol Buffers against the library's own, with the published messages as tritonclient brings them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from edged.api import grpc_messages as messages
from edged.api.grpc_calls import CALLS
from edged.api.protobuf import Field, Table, decode, encode
from edged.api.refusal import RefusedError

PAIRS: tuple[tuple[str, Table], ...] = (
    ("ModelInferRequest", messages.INFER_REQUEST),
    ("ModelInferResponse", messages.INFER_RESPONSE),
    ("ModelStreamInferResponse", messages.STREAM_RESPONSE),
    *((f"{call.name}Request", call.takes) for call in CALLS),
    *((f"{call.name}Response", call.gives) for call in CALLS),
)
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


@given(st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    for table in (messages.INFER_REQUEST, messages.LOAD, messages.LOG):
        try:
            decode(table, memoryview(body))
        except RefusedError as error:
            assert error.kind == "invalid"  # noqa: PT017 - either of the two ends is well


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
