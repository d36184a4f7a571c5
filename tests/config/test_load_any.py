"""Whatever stands in a configuration file, it brings about nothing but faults."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.config.load import Fault, RejectedConfigError, load
from edged.config.read import parse_toml
from edged.config.schema import Config
from edged.domain.errors import ConfigError
from fakes.configfile import GOOD, Write, lines, rejected


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[device]\nid = \n", "cannot read the file: Invalid value (at line 2, column 6), expected TOML"),
        (b"[device]\n# \xe4\n", "cannot read the file: byte 0xe4 in line 2 is not UTF-8, expected UTF-8 text"),
        (b"a = " + b"[" * 40 + b"]" * 40, "cannot read the file: nested too deeply, expected at most 16 levels"),
        (b"a = " + b"[" * 9999, "cannot read the file: nested too deeply, expected at most 16 levels"),
        (b"a = 0x" + b"f" * 9999, "cannot read the file: an integer of more than 64 bits, expected TOML"),
        (b"#" * 1_048_577, "cannot read the file: longer than 1048576 bytes, expected a TOML file of at most that"),
    ],
)
def test_a_file_that_cannot_be_read_rejects_the_box(tmp_path: Path, write: Write, content: bytes, line: str) -> None:
    assert lines(rejected(write(content)), tmp_path) == [f"edged.toml: {line}"]


@pytest.mark.parametrize(
    "key", ["a", '"a"', "'a'", r'"\""', "a-1 "], ids=["bare", "text", "literal", "escaped", "spaced"]
)
@pytest.mark.parametrize(
    "form", ["{} = 1", "[{}]", "[[{}]]", "a = {{ {} = 1 }}"], ids=["key", "table", "array", "inline"]
)
def test_a_key_of_thousands_of_parts_takes_no_memory(key: str, form: str) -> None:
    text = form.format(".".join([key] * 3000))
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="nested too deeply"):
            parse_toml(text)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most_bytes < 4_000_000


def test_texts_with_dots_are_no_keys() -> None:
    text = 'a = "' + ".".join(["1"] * 60) + '"\nb = [' + "0.5, " * 500 + "]\n# " + "." * 500 + " = \n"
    assert parse_toml(text)["b"] == [0.5] * 500


def test_a_number_of_too_many_digits_is_no_crash(tmp_path: Path, write: Write) -> None:
    (line,) = lines(rejected(write("a = " + "9" * 5000)), tmp_path)

    assert line.endswith("expected TOML")


def test_a_byte_order_mark_does_not_matter(write: Write) -> None:
    assert load(write(b"\xef\xbb\xbf" + GOOD.encode())).faults == ()


def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "edged.toml")

    assert lines(rejected(tmp_path / "edged.toml"), tmp_path) == [
        "edged.toml: cannot read the file: it is no regular file, expected a TOML file"
    ]


def test_a_name_that_no_file_can_have_is_a_fault() -> None:
    with pytest.raises(RejectedConfigError, match=r"cannot read the folder: .*embedded null"):
        load(Path("/\0/edged.toml"), required=False)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(item)}' for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return f"'''{value}'''" if isinstance(value, str) else str(value)


KEYS = st.sampled_from(
    [
        "name",
        "kind",
        "source",
        "model",
        "rule",
        "when",
        "count",
        "zone",
        "masks",
        "url",
        "path",
        "report",
        "then",
        "on",
        "objective",
        "tls",
        "port",
        "listen",
        "id",
        "fps",
        "key]",
        "a.b",
        "",
    ]
)
SCALARS = (
    st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats()
    | st.sampled_from(["dock", "camera", "file", "csv", ">= 1", "[::1", "a://b@c", "1.2.3.4:80", "1979-05-27", ""])
    | st.text("az'/:@\n é", max_size=8).filter(lambda text: "'" not in text and "\r" not in text)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
SECTIONS = st.sampled_from([*Config.model_fields, "other"])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=60
)
@given(
    st.dictionaries(SECTIONS, VALUES | st.lists(st.dictionaries(KEYS, VALUES), max_size=3), max_size=4),
    st.dictionaries(SECTIONS, VALUES | st.lists(st.dictionaries(KEYS, VALUES), max_size=3), max_size=2),
)
def test_no_document_brings_about_anything_but_faults(
    write: Write, main: dict[str, Any], drop_in: dict[str, Any]
) -> None:
    texts = ["\n".join(f"{key} = {toml(value)}" for key, value in part.items()) for part in (main, drop_in)]

    assert_judged(write(texts[0], **{"10": texts[1]}))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_no_bytes_bring_about_anything_but_faults(write: Write, content: bytes) -> None:
    assert_judged(write(content))


def assert_judged(file: Path) -> None:
    """Either there is a configuration, or there are faults that say why not; nothing else may come out."""
    faults: tuple[Fault, ...] = ()
    config: Config | None = None
    try:
        config = load(file).config
    except RejectedConfigError as error:
        faults = error.faults
    assert (config is None) == bool(faults)
