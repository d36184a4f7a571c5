from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from edged.config.faults import explain, nearest, shown


class Inner(BaseModel):
    model_config = {"extra": "forbid"}
    size: int = Field(default=1, multiple_of=2)


class Left(BaseModel):
    model_config = {"extra": "forbid"}
    kind: Literal["left"]
    inner: Inner = Inner()


class Outer(BaseModel):
    model_config = {"extra": "forbid"}
    part: Left | Inner | None = Field(default=None)
    table: dict[str, Inner] = Field(default_factory=dict)


def faults(document: Any) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(document)
    return list(explain(caught.value, [Outer], document))


def test_keys_of_a_table_of_tables_are_known() -> None:
    assert faults({"table": {"a": {"sise": 1}}}) == [
        (("table", "a", "sise"), "cannot use unknown key 'sise': did you mean 'size'?")
    ]


def test_a_fault_without_words_of_our_own_keeps_the_librarys() -> None:
    assert faults({"table": {"a": {"size": 3}}}) == [
        (("table", "a", "size"), "cannot use 3: expected Input should be a multiple of 2")
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (1.5, "1.5"),
        ("x", "'x'"),
        ({}, "a table"),
        ([1, 2], "a list of 2"),
        ("rtsp://a:b@c", "a URL"),
        ("x" * 100, "'" + "x" * 59 + "…"),
    ],
)
def test_a_value_is_shown_short_and_without_what_may_be_secret(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        ("mqt", ["mqtt", "http"], "did you mean 'mqtt'?"),
        ("xyz", ["mqtt", "http"], "expected one of http, mqtt"),
        ("xyz", [], "expected none"),
    ],
)
def test_the_nearest_known_name_is_told_or_all_of_them(name: str, known: list[str], text: str) -> None:
    assert nearest(name, known) == text
