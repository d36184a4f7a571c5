"""Lines of keys: what the file's reader sees and what is counted here must be the same keys."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgectl.config.answers import toml
from edgectl.config.lines import lines_of
from edged.config.placed import Placed, place

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TEXT = '''# a box
[device]
id = "press-07"   # its name

[mqtt]
tls = { ca = "/etc/ca.pem" }

[[source]]
name = "dock"
masks = [
    [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]],  # a triangle
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
]
note = """
[no.table]
x = 1
"""

[[source]]
name = "spindle"
grid.step_s = 2

[[pipeline]]
name = "a"
[[pipeline.rule]]
name = "one"
[[pipeline.rule]]
name = "two"
when = { label = "person" }
[engine.edgetpu]
python = "/opt/coral/bin/python3"
'''


def keys(part: Placed) -> Iterator[str]:
    children = (
        part.value.values() if isinstance(part.value, dict) else part.value if isinstance(part.value, list) else ()
    )
    for child in children:
        yield child.key
        yield from keys(child)


def test_each_key_stands_where_a_reader_finds_it() -> None:
    found = lines_of(TEXT)
    assert {
        key: found[key]
        for key in (
            "device.id",
            "mqtt.tls.ca",
            "source[0].masks[1][2][0]",
            "source[0].note",
            "source[1]",
            "source[1].grid.step_s",
            "pipeline[0].rule[1].when.label",
            "engine.edgetpu.python",
        )
    } == {
        "device.id": 3,
        "mqtt.tls.ca": 6,
        "source[0].masks[1][2][0]": 10,
        "source[0].note": 14,
        "source[1]": 19,
        "source[1].grid.step_s": 21,
        "pipeline[0].rule[1].when.label": 29,
        "engine.edgetpu.python": 31,
    }


NAMES = st.text("abc", min_size=1, max_size=3)
VALUES = st.recursive(
    st.integers(-5, 5) | st.booleans() | st.text('ab"[]=#\n', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=3)
DOCUMENTS = st.dictionaries(NAMES, TABLES | st.lists(TABLES, min_size=1, max_size=3), max_size=3)


def written(document: dict[str, Any]) -> str:
    lines: list[str] = []
    for name, value in document.items():
        for table in value if isinstance(value, list) else [value]:
            lines.append(f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            lines += [f"{key} = {toml(child)}" for key, child in table.items()]
    return "\n".join(lines) + "\n"


@given(DOCUMENTS)
def test_every_key_that_the_reader_sees_has_a_line_that_says_it(document: dict[str, Any]) -> None:
    text = written(document)
    assert tomllib.loads(text) == document
    found = lines_of(text)
    lines = text.split("\n")
    for key in keys(place(document, Path("x"))):
        if key in found:
            last = key.rpartition(".")[2].split("[")[0]
            assert last in lines[found[key] - 1]
        else:
            # The array itself stands in no line of its own: its tables do.
            assert f"{key}[0]" in found


@given(st.text())
def test_text_is_written_as_toml_reads_it(text: str) -> None:
    # A lone surrogate is no text, and a carriage return before a line feed is one line end.
    whole = json.loads(json.dumps(text)).encode("utf-8", "replace").decode()
    assert tomllib.loads(f"x = {toml(whole)}") == {"x": whole}


def test_a_long_array_is_read_once() -> None:
    began_s = time.process_time()
    lines = lines_of("x = [\n" + "  1,\n" * 5000 + "]\ny = 1\n")

    assert (lines["x"], lines["y"]) == (1, 5003)
    assert time.process_time() - began_s < 2.0
