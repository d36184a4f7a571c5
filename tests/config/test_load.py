"""From configuration files to a configuration, or to every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.config.load import RejectedConfigError, load
from edged.config.schema import Config, Count
from fakes.configfile import GOOD, PIPELINE, SOURCE, Write, lines, rejected


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


def test_a_relative_path_counts_from_where_edged_was_started_and_an_interpreter_may_be_a_name(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(GOOD + '[state]\ndirectory = "state"\n[engine.edgetpu]\npython = "python3"\n')
    monkeypatch.chdir(tmp_path)

    config = load(file).config

    assert config.state.directory == tmp_path / "state"
    assert config.engine["edgetpu"].python == Path("python3")


@pytest.mark.parametrize("left", ["", "\n", "# nothing\n"])
def test_an_empty_file_as_a_power_cut_leaves_it_is_no_configuration(tmp_path: Path, left: str) -> None:
    file = tmp_path / "edged.toml"
    file.write_text(left)

    with pytest.raises(RejectedConfigError, match=r"cannot use an empty file.*power cut"):
        load(file)

    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "a.toml").write_text('[device]\nid = "a-box"\n')
    assert load(file).config.device.id == "a-box"


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


def test_who_only_looks_at_a_box_needs_no_name_for_it(tmp_path: Path) -> None:
    loaded = load(tmp_path / "edged.toml", root=tmp_path, required=False, named=False)
    assert (loaded.config.device.id, loaded.faults) == ("unnamed", ())
