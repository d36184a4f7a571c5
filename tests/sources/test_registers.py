from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import ConfigError
from edged.sources.registers import Kind, Register, Request, ValueType, plan, value_of


@pytest.mark.parametrize(
    ("kind", "order", "words", "value"),
    [
        ("u16", "big", [0xFFFE], 65534),
        ("i16", "big", [0xFFFE], -2),
        ("u32", "big", [1, 2], 65538),
        ("u32", "little", [2, 1], 65538),
        ("i32", "big", [0xFFFF, 0xFFFF], -1),
        ("i64", "little", [5, 0, 0, 0], 5),
        ("u64", "big", [0, 0, 0, 5], 5),
        ("f32", "big", list(struct.unpack(">2H", struct.pack(">f", 1.5))), 1.5),
        ("f64", "little", list(reversed(struct.unpack(">4H", struct.pack(">d", -2.25)))), -2.25),
    ],
)
def test_words_stand_for_a_number(kind: ValueType, order: str, words: list[int], value: float) -> None:
    register = Register("x", 10, type=kind, word_order=order, scale=2, offset=1)  # type: ignore[arg-type] # one of two
    answers = {("holding", 10 + i): word for i, word in enumerate(words)}

    assert value_of(register, answers) == value * 2 + 1  # type: ignore[arg-type] # as above


def test_a_bit_is_zero_or_one() -> None:
    assert value_of(Register("x", 3, "coil", "bool"), {("coil", 3): 1}) == 1.0


def test_neighbours_are_read_at_once_and_nothing_between_them() -> None:
    registers = [
        Register("c", 4), Register("a", 0, type="f32"), Register("b", 2), Register("d", 0, "input"),
        Register("again", 1, type="u32"), Register("e", 7, "coil", "bool"), Register("f", 8, "coil", "bool"),
    ]  # fmt: skip

    assert plan(registers) == (
        Request("coil", 7, 2),
        Request("holding", 0, 3),
        Request("holding", 4, 1),
        Request("input", 0, 1),
    )


def test_no_request_asks_for_more_than_the_protocol_allows() -> None:
    assert plan([Register(str(i), i) for i in range(126)]) == (Request("holding", 0, 125), Request("holding", 125, 1))


@pytest.mark.parametrize(("kind", "value"), [("coil", "u16"), ("holding", "bool")])
def test_bits_are_no_numbers(kind: Kind, value: ValueType) -> None:
    with pytest.raises(ConfigError, match=f"cannot read {value} 'x' from {kind}"):
        plan([Register("x", 0, kind, value)])


@given(
    st.lists(
        st.builds(Register, st.just("x"), st.integers(0, 400), type=st.sampled_from(["u16", "u32", "f64"])), max_size=12
    )
)
def test_a_plan_reads_every_register_whole_and_no_other(registers: list[Register]) -> None:
    wanted = {one.address + i for one in registers for i in range(one.count)}

    requests = plan(registers)

    assert {one.address + i for one in requests for i in range(one.count)} == wanted
    for register in registers:
        assert any(
            one.address <= register.address and register.address + register.count <= one.address + one.count
            for one in requests
        )
