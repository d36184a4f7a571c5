from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.config.load import MAX_DROP_INS, Fault, Loaded, RejectedConfigError, load
from edged.config.read import parse_toml
from edged.config.schema import Config, Count
from edged.domain.errors import ConfigError

SOURCE = """
[[source]]
name = "dock"
kind = "file"
path = "/data/dock.mp4"
"""
PIPELINE = """
[[pipeline]]
name = "people"
source = "dock"
model = "person"
"""
GOOD = '[device]\nid = "press-07"\n' + SOURCE + PIPELINE

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write edged.toml and drop-ins; give the main file."""

    def write_files(main: str | bytes, **drop_ins: str) -> Path:
        file = tmp_path / "edged.toml"
        file.write_bytes(main.encode() if isinstance(main, str) else main)
        for name, text in drop_ins.items():
            (tmp_path / "conf.d").mkdir(exist_ok=True)
            (tmp_path / "conf.d" / f"{name}.toml").write_text(text, encoding="utf-8")
        return file

    return write_files


def lines(loaded: Loaded | RejectedConfigError, folder: Path) -> list[str]:
    return [str(fault).replace(f"{folder}/", "") for fault in loaded.faults]


def rejected(file: Path) -> RejectedConfigError:
    with pytest.raises(RejectedConfigError) as caught:
        load(file, root=file.parent)
    return caught.value


def test_a_good_file_gives_its_configuration_without_faults(write: Write) -> None:
    file = write(GOOD)

    loaded = load(file)

    assert loaded.faults == ()
    assert loaded.files == (file,)
    assert [pipeline.name for pipeline in loaded.config.pipeline] == ["people"]
    assert loaded.config.device.id == "press-07"


def test_an_absent_file_counts_as_an_empty_one_only_where_the_caller_says_so(tmp_path: Path) -> None:
    machine(tmp_path, "0123456789abcdef0123456789abcdef")

    loaded = load(tmp_path / "edged.toml", root=tmp_path, required=False)

    assert loaded.config.pipeline == ()
    assert loaded.config.mqtt.port == 1883
    assert loaded.files == ()
    with pytest.raises(RejectedConfigError, match=r"edged\.toml: cannot read the file: No such file"):
        load(tmp_path / "edged.toml", root=tmp_path)


@pytest.mark.parametrize("left", ["", "\n", "# nothing\n"])
def test_an_empty_file_as_a_power_cut_leaves_it_is_no_configuration(tmp_path: Path, left: str) -> None:
    file = tmp_path / "edged.toml"
    file.write_text(left)

    with pytest.raises(RejectedConfigError, match=r"cannot use an empty file.*power cut"):
        load(file)

    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text('[device]\nid = "a-box"\n')
    assert load(file).config.device.id == "a-box"


def test_an_absent_file_does_not_hide_a_fault_of_a_drop_in(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10.toml").symlink_to(tmp_path / "nowhere")

    with pytest.raises(RejectedConfigError, match=r"10\.toml: cannot read the file: No such file"):
        load(tmp_path / "edged.toml", root=tmp_path, required=False)


def machine(root: Path, text: str) -> None:
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "machine-id").write_text(text, encoding="ascii")


def test_a_box_without_an_id_is_named_after_its_machine_which_stays_secret(tmp_path: Path, write: Write) -> None:
    machine(tmp_path, "0123456789abcdef0123456789abcdef\n")

    names = {load(write(text), root=tmp_path).config.device.id for text in ("[mqtt]\n", "[device]\ngroups = ['a']")}

    (name,) = names
    assert name.startswith("edged-")
    assert name.removeprefix("edged-") not in "0123456789abcdef0123456789abcdef"


def test_two_machines_get_two_names(tmp_path: Path, write: Write) -> None:
    names = set()
    for text in ("0123456789abcdef0123456789abcdef", "1123456789abcdef0123456789abcdef"):
        machine(tmp_path, text)
        names.add(load(write("[mqtt]\n"), root=tmp_path).config.device.id)

    assert len(names) == 2


@pytest.mark.parametrize("text", [None, "", "uninitialized\n"])
def test_a_box_that_cannot_be_named_is_told_where_to_put_a_name(tmp_path: Path, write: Write, text: str | None) -> None:
    if text is not None:
        machine(tmp_path, text)

    error = rejected(write("[telemetry]\ninterval_s = 10"))

    assert lines(error, tmp_path) == [
        "edged.toml: device.id: cannot name this box: etc/machine-id holds no id, expected an id here"
    ]


def test_a_machine_id_of_another_alphabet_is_none(tmp_path: Path, write: Write) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "machine-id").write_bytes(b"\xff\xfe")

    assert "cannot name this box" in str(rejected(write("[mqtt]\n")))


def test_every_fault_is_told_at_once_with_its_file_and_key(tmp_path: Path, write: Write) -> None:
    file = write(
        GOOD + "rule = [{ name = 'r', when = { label = 'x' } }]\n",
        **{
            "10-cam": """
                [[pipeline]]
                name = "gate"
                source = "dock"
                model = "parts"
                [[pipeline]]
                name = "yard"
                source = "dokc"
                model = "parts"
                priority = "high"
                [[pipeline.rule]]
                name = "near"
                when = { min_score = 1.5, zoen = [] }
                """,
        },
    )

    loaded = load(file)

    assert lines(loaded, tmp_path) == [
        "conf.d/10-cam.toml: pipeline[1].priority: cannot use 'high': expected a whole number",
        "conf.d/10-cam.toml: pipeline[1].rule[0].when.min_score: cannot use 1.5: expected a number at most 1",
        "conf.d/10-cam.toml: pipeline[1].rule[0].when.zoen: cannot use unknown key 'zoen': did you mean 'zone'?",
        "conf.d/10-cam.toml: pipeline[1].source: cannot find source 'dokc': did you mean 'dock'?",
    ]
    assert {fault.pipeline for fault in loaded.faults} == {"yard"}
    assert [pipeline.name for pipeline in loaded.config.pipeline] == ["people", "gate"]


def test_a_fault_of_the_boxs_own_rejects_it_with_those_of_the_pipelines(tmp_path: Path, write: Write) -> None:
    error = rejected(write(GOOD + "priorty = 3\n[mqtt]\nport = 0\n[telemtry]\n"))

    assert lines(error, tmp_path) == [
        "edged.toml: mqtt.port: cannot use 0: expected a number at least 1",
        "edged.toml: telemtry: cannot use unknown key 'telemtry': did you mean 'telemetry'?",
        "edged.toml: pipeline[0].priorty: cannot use unknown key 'priorty': did you mean 'priority'?",
    ]
    assert str(error) == (
        f"cannot use the configuration: {tmp_path}/edged.toml: mqtt.port: cannot use 0: expected a number at least 1 "
        "(and 2 more); edged check lists every fault"
    )


def test_a_sources_fault_costs_the_pipelines_on_it_and_no_other(tmp_path: Path, write: Write) -> None:
    loaded = load(
        write(GOOD + "[[source]]\nname = 'yard'\nkind = 'camera'\n[[pipeline]]\nname='y'\nsource='yard'\nmodel='m'")
    )

    assert lines(loaded, tmp_path) == [
        "edged.toml: source[1].url: cannot do without this key: it is absent, expected a value",
        "edged.toml: pipeline[1].source: cannot use source 'yard': it has faults, expected a source without",
    ]
    assert [fault.pipeline for fault in loaded.faults] == [None, "y"]
    assert [source.name for source in loaded.config.source] == ["dock"]
    assert [pipeline.name for pipeline in loaded.config.pipeline] == ["people"]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("", "source[0].kind: cannot do without this key: it is absent, expected a value"),
        (
            "kind = 'vidio'",
            (
                "source[0].kind: cannot use 'vidio': expected one of 'camera', 'file', 'images', 'csv', 'serial', 'topic', "
                "'system'"
            ),
        ),
        ("kind = 3", "source[0].kind: cannot use 3: expected one of"),
        ("kind = 'file'\npath = 'x'\nfsp = 3", "source[0].fsp: cannot use unknown key 'fsp': did you mean 'fps'?"),
        ("kind = 'file'\npath = 'x'\nbaud = 3", "source[0].baud: cannot use unknown key 'baud': expected one of fps"),
    ],
)
def test_a_source_is_judged_by_its_kind(tmp_path: Path, write: Write, kind: str, line: str) -> None:
    loaded = load(write(f"[device]\nid = 'a'\n[[source]]\nname = 's'\n{kind}\n"))

    assert lines(loaded, tmp_path)[0].startswith(f"edged.toml: {line}")


def test_two_of_one_name_in_a_file_are_both_left_out(tmp_path: Path, write: Write) -> None:
    loaded = load(write(GOOD + PIPELINE + SOURCE.replace("dock", "yard") + SOURCE.replace("dock", "yard")))

    assert lines(loaded, tmp_path) == [
        "edged.toml: source[2].name: cannot use name 'yard': it stands at source[1] too, expected each name once",
        "edged.toml: pipeline[1].name: cannot use name 'people': it stands at pipeline[0] too, expected each name once",
    ]
    assert loaded.config.pipeline == ()
    assert [source.name for source in loaded.config.source] == ["dock"]


def test_a_later_file_stands_over_an_earlier_one_key_by_key(write: Write) -> None:
    file = write(
        GOOD,
        **{
            "20": "[mqtt]\nport = 2000\n[[pipeline]]\nname = 'people'\npriority = 7",
            "10": "[mqtt]\nhost = 'broker'\nport = 1000\n[device]\ngroups = ['a']",
        },
    )

    config = load(file).config

    assert (config.mqtt.host, config.mqtt.port) == ("broker", 2000)
    assert (config.device.id, config.device.groups) == ("press-07", ("a",))
    assert [(pipeline.model, pipeline.priority) for pipeline in config.pipeline] == [("person", 7)]


def test_rules_of_a_later_file_are_added_and_those_of_one_name_joined(write: Write) -> None:
    rule = "[[pipeline.rule]]\nname = '{}'\nwhen = {{ label = '{}' }}\n"
    file = write(
        GOOD + rule.format("a", "x"),
        **{"10": "[[pipeline]]\nname = 'people'\n[[pipeline.rule]]\nname='a'\nfor_s = 2\n" + rule.format("b", "y")},
    )

    (pipeline,) = load(file).config.pipeline

    assert [(r.name, r.when.label, r.for_s) for r in pipeline.rule] == [("a", "x", 2.0), ("b", "y", 0.0)]


def test_a_list_of_a_later_file_replaces_the_earlier_one(write: Write) -> None:
    config = load(
        write(GOOD + "[models]\ndirectories = ['/a', '/b']", **{"10": "[models]\ndirectories = ['/c']"})
    ).config

    assert config.models.directories == (Path("/c"),)


def test_a_fault_in_a_joined_pipeline_is_told_where_it_stands(tmp_path: Path, write: Write) -> None:
    file = write(
        GOOD.replace('model = "person"', ""), **{"10": "[[pipeline]]\nname = 'people'\nobjective = { fps = 0 }"}
    )

    assert lines(load(file), tmp_path) == [
        "edged.toml: pipeline[0].model: cannot do without this key: it is absent, expected a value",
        "conf.d/10.toml: pipeline[0].objective.fps: cannot use 0: expected a number above 0",
    ]


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


def test_an_unreadable_drop_in_is_told_with_the_faults_of_the_others(tmp_path: Path, write: Write) -> None:
    error = rejected(write(GOOD + "priority = 0.5", **{"10": "[["}))

    # The source that the other pipeline lacks may stand in the file that could not be read: no fault of its own.
    assert [line.split(": ")[:2] for line in lines(error, tmp_path)] == [
        ["conf.d/10.toml", "cannot read the file"],
        ["edged.toml", "pipeline[0].priority"],
    ]


def test_only_visible_toml_files_are_drop_ins(tmp_path: Path, write: Write) -> None:
    file = write(GOOD, **{".hidden": "[["})
    (tmp_path / "conf.d" / "note.txt").write_text("[[")

    assert load(file).faults == ()


def test_a_drop_in_folder_that_is_a_file_is_a_fault(tmp_path: Path, write: Write) -> None:
    (tmp_path / "conf.d").write_text("")

    assert lines(rejected(write(GOOD)), tmp_path) == [
        "conf.d: cannot read the folder: Not a directory, expected a folder of TOML files"
    ]


def test_more_drop_ins_than_anybody_keeps_are_a_fault(tmp_path: Path, write: Write) -> None:
    file = write(GOOD, **{f"{number:04}": "" for number in range(MAX_DROP_INS + 1)})

    assert lines(rejected(file), tmp_path) == ["conf.d: cannot read 257 files, expected at most 256"]


@pytest.mark.parametrize("part", ["source", "pipeline"])
@pytest.mark.parametrize("value", ["3", "'x'", "{ name = 'x' }"])
def test_a_part_that_is_no_array_rejects_the_box(tmp_path: Path, write: Write, part: str, value: str) -> None:
    (line,) = lines(rejected(write(f"{part} = {value}\n[device]\nid = 'a'")), tmp_path)

    assert line.startswith(f"edged.toml: {part}: cannot use ")
    assert line.endswith(": expected a list")


def test_an_item_that_is_no_table_costs_only_itself(tmp_path: Path, write: Write) -> None:
    loaded = load(write("source = [1]\npipeline = ['x', { name = 3 }]\n[device]\nid = 'a'"))

    assert lines(loaded, tmp_path) == [
        "edged.toml: source[0]: cannot use 1: expected a table",
        "edged.toml: pipeline[0]: cannot use 'x': expected a table",
        "edged.toml: pipeline[1].name: cannot use 3: expected text",
        "edged.toml: pipeline[1].source: cannot do without this key: it is absent, expected a value",
        "edged.toml: pipeline[1].model: cannot do without this key: it is absent, expected a value",
    ]
    assert [fault.pipeline for fault in loaded.faults][1:3] == ["pipeline[0]", "pipeline[1]"]


def test_what_a_url_holds_is_never_shown(tmp_path: Path, write: Write) -> None:
    camera = "[device]\nid='a'\n[[source]]\nname = 'c'\nkind = 'camera'\nurl = {}\n"
    for url in ("'rtsp://viewer:secret@10.0.0.7/x'", "'rtspsrc location=rtsp://viewer:secret@h ! fakesink'"):
        (line,) = lines(load(write(camera.format(url))), tmp_path)
        assert line == (
            "edged.toml: source[0].url: cannot use a URL with user information, expected username and password_file as "
            "keys of their own"
        )
    (line,) = lines(load(write(camera.format("'rtsp://h/" + "x" * 5000 + "'"))), tmp_path)
    assert line == "edged.toml: source[0].url: cannot use a URL: expected at most 4096 characters"
    (line,) = lines(load(write(camera.format("'/dev/video0'") + "password = 'secret'")), tmp_path)
    assert line == "edged.toml: source[0].password: cannot use unknown key 'password': did you mean 'password_file'?"


def test_a_configuration_survives_being_kept_as_json(write: Write) -> None:
    rules = """
        rule = [{ name = 'a', when = { anomaly = true } }, { name = 'b', when = { count = '== 0', label = 'x' } }]
        [mqtt]
        tls = {}
        """
    config = load(write(GOOD + rules)).config

    assert Config.model_validate_json(config.model_dump_json()) == config
    assert config.pipeline[0].rule[1].when.count == Count("==", 0)


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


def test_who_only_looks_at_a_box_needs_no_name_for_it(tmp_path: Path) -> None:
    loaded = load(tmp_path / "edged.toml", root=tmp_path, required=False, named=False)
    assert (loaded.config.device.id, loaded.faults) == ("unnamed", ())
