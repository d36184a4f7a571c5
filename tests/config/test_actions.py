"""The tables of actions: what may stand there, and what a fault costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.config.load import load

BOX = '[device]\nid = "a"\n[[source]]\nname = "s"\nkind = "camera"\nurl = "/dev/video0"\n'
PIPELINE = '[[pipeline]]\nname = "{name}"\nsource = "s"\nmodel = "m"\n[[pipeline.rule]]\nname = "r"\nwhen = {{}}\naction = ["{action}"]\n'
HORN = '[[action]]\nname = "horn"\nkind = "publish"\n'


def written(folder: Path, text: str) -> Path:
    file = folder / "edged.toml"
    file.write_text(BOX + text, encoding="utf-8")
    return file


def test_a_rule_may_name_a_table_wherever_it_stands(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, PIPELINE.format(name="p", action="horn") + HORN))

    assert loaded.faults == ()
    assert loaded.config.pipeline[0].rule[0].action == ("horn",)


def test_a_name_that_no_table_has_costs_its_pipeline_and_the_nearest_is_named(tmp_path: Path) -> None:
    pipelines = PIPELINE.format(name="p", action="horn") + PIPELINE.format(name="q", action="hron")
    loaded = load(written(tmp_path, HORN + pipelines))

    assert [pipeline.name for pipeline in loaded.config.pipeline] == ["p"]
    ((costs, message),) = {(fault.pipeline, fault.message) for fault in loaded.faults}
    assert (costs, message.endswith("did you mean 'horn'?")) == ("q", True)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('kind = "command"\nrun = ["stop-belt"]', "expected the whole path of a program"),
        ('kind = "command"\nrun = []', "run"),
        ('kind = "webhook"\nurl = "ftp://a/b"', "expected an http or https URL"),
        ('kind = "webhook"\nurl = "http://a/b c"', "without spaces"),
        ('kind = "webhook"\nurl = "http://a:99999/"', "Port"),
        ('kind = "webhook"\nurl = "https://me:secret@a/b"', "user information"),
        ('kind = "serial"\nport = "/dev/ttyS0"\ntext = "{label}"', "expected no braces but"),
        ('kind = "serial"\nport = "/dev/ttyS0"\ntext = "{rule.__class__}"', "expected no braces but"),
        ('kind = "serial"\nport = "/dev/ttyS0"\ntext = "open {"', "expected no braces but"),
        ('kind = "gpio"\nline = -1', "line"),
        ('kind = "publish"\non = []', "on"),
        ('kind = "publish"\ninterlock = {}', "expected one of them"),
        ('kind = "publish"\ninterlock = { path = "/a", line = 1 }', "expected one of them"),
        ('kind = "shout"', "shout"),
    ],
)
def test_a_fault_in_a_table_costs_who_names_it_and_not_the_box(tmp_path: Path, table: str, words: str) -> None:
    faulty = f'[[action]]\nname = "x"\n{table}\n'
    text = HORN + faulty + PIPELINE.format(name="p", action="horn") + PIPELINE.format(name="q", action="x")
    loaded = load(written(tmp_path, text))

    assert [pipeline.name for pipeline in loaded.config.pipeline] == ["p"]
    assert any(words in f"{fault.key}: {fault.message}" and fault.pipeline is None for fault in loaded.faults)
    assert "secret" not in " ".join(map(str, loaded.faults))
