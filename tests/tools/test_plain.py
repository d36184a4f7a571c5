"""Nothing that a device, a file or a box calls itself steers the terminal that shows it, and every document is JSON."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import edgectl
from edgectl.page import Page
from edgectl.plain import as_json, one_line, plain

HOSTILE = "cam\x1b[2J\x9b31m\x07\u202egnp.exe\udcff"


def printed(*things: object, is_terminal: bool) -> str:
    file = io.StringIO()
    colors = "standard" if is_terminal else None
    Page(file=file, width=60, force_terminal=is_terminal, highlight=False, color_system=colors).print(*things)
    return file.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_text_steers_the_page_on_which_it_stands(*, is_terminal: bool) -> None:
    table = Table("name")
    table.add_row(escape(HOSTILE))
    for thing in (HOSTILE, Text(HOSTILE), table):
        shown = printed(thing, is_terminal=is_terminal)
        assert "cam?" in shown
        assert not set("\x07\x9b\u202e\udcff") & set(shown)
        assert "\x1b[2J" not in shown


def test_colours_are_still_richs_own() -> None:
    assert printed(Text("x", "red"), is_terminal=True) == "\x1b[31mx\x1b[0m\n"


def test_a_table_stays_a_table_whatever_stands_in_it() -> None:
    table = Table("name", "next")
    table.add_row("\x1b" * 5 + "a", "b")
    assert len({len(line) for line in printed(table, is_terminal=False).splitlines()}) == 1


def test_whatever_edgectl_prints_on_is_such_a_page() -> None:
    (place,) = edgectl.__path__
    found = {file.name for file in Path(place).rglob("*.py") if re.search(r"\bConsole\(", file.read_text("utf-8"))}
    assert found == set()


@given(st.text())
def test_a_plain_text_is_as_long_and_has_no_control_character(text: str) -> None:
    assert len(plain(text)) == len(text)
    assert plain(text).replace("\n", "").isprintable()
    assert one_line(text).isprintable()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_a_document_reads_as_it_was_and_steers_no_terminal(document: object) -> None:
    written = as_json(document)
    assert json.loads(written) == document
    assert written.replace("\n", "").isprintable()


def test_what_is_no_number_is_null() -> None:
    written = as_json({"rate": math.nan, "of": [math.inf, 1.5], "in": ({"x": -math.inf},)})
    assert json.loads(written) == {"rate": None, "of": [None, 1.5], "in": [{"x": None}]}
