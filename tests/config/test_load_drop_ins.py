"""Configurations of several files: which stands over which, and what of them cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.config.load import MAX_DROP_INS, RejectedConfigError, load
from fakes.configfile import GOOD, Write, lines, rejected


def test_an_absent_file_does_not_hide_a_fault_of_a_drop_in(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "10.toml").symlink_to(tmp_path / "nowhere")

    with pytest.raises(RejectedConfigError, match=r"10\.toml: cannot read the file: No such file"):
        load(tmp_path / "edged.toml", root=tmp_path, required=False)


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
