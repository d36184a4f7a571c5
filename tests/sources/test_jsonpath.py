from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import ConfigError
from edged.sources.jsonpath import Path, numbers_at

DOCUMENT = {"a": {"b": [{"c": 1}, {"c": 2.5}]}, "x": 3, "ok": True, "name": "n", "big": 10**400, "list": [[1], [2]]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", 3),
        ("$.x", 3),
        ("a.b[1].c", 2.5),
        ("a.b[7].c", None),
        ("a.b.c", None),
        ("x[0]", None),
        ("x.y", None),
        ("nowhere", None),
        ("list[1][0]", 2),
        ("$", DOCUMENT),
    ],
)
def test_a_path_leads_to_its_value_or_to_nothing(text: str, value: Any) -> None:
    assert Path.parse(text).find(DOCUMENT) == value


def test_a_document_that_is_an_array_is_entered_by_its_index() -> None:
    assert Path.parse("[1]").find([4, 5]) == 5
    assert Path.parse("$[0].x").find([{"x": 1}]) == 1


@pytest.mark.parametrize("text", ["a..b", "a[", "a[x]", "a]", "a.", "a[1]b", "a[1234567]", "a[-1]"])
def test_what_is_no_path_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot read path"):
        Path.parse(text)


def test_numbers_are_floats_in_the_order_of_the_paths() -> None:
    assert numbers_at(DOCUMENT, [Path.parse("a.b[1].c"), Path.parse("x")]) == [2.5, 3.0]


@pytest.mark.parametrize("text", ["ok", "name", "big", "a", "nowhere"])
def test_what_is_no_number_spoils_the_sample(text: str) -> None:
    assert numbers_at(DOCUMENT, [Path.parse("x"), Path.parse(text)]) is None


@given(st.text(max_size=20))
def test_any_text_is_a_path_or_a_config_error(text: str) -> None:
    try:
        path = Path.parse(text)
    except ConfigError:
        return
    assert path.find(7) in {7, None}
