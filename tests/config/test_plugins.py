from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edged.config.load import load
from edged.config.plugins import brought, load_plugin
from edged.config.schema import FileSource, PluginSource
from edged.domain.errors import DeviceError
from fakes.brought import bring

BOX = '[device]\nid = "a"\n'
SOURCE = '[[source]]\nname = "s"\nkind = "owl"\noptions = { ear = "left" }\n'
PIPELINE = '[[pipeline]]\nname = "p"\nsource = "s"\nmodel = "m"\n'
RULE = '[[pipeline.rule]]\nname = "r"\nwhen = {}\naction = ["hoot"]\n'


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that packages are found in."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def written(folder: Path, text: str) -> Path:
    (folder / "edged.toml").write_text(BOX + text, encoding="utf-8")
    return folder / "edged.toml"


def test_an_installed_packages_kind_is_taken_with_its_options_and_nothing_is_imported(
    packages: Path, tmp_path: Path
) -> None:
    module = bring(packages, "edged.sources", "owl", "raise AssertionError('imported')")
    loaded = load(written(tmp_path, SOURCE + PIPELINE))
    assert loaded.faults == ()
    assert loaded.config.source == (PluginSource(name="s", kind="owl", options={"ear": "left"}),)
    assert module not in sys.modules


def test_a_packages_kind_without_options_is_told_what_it_lacks(packages: Path, tmp_path: Path) -> None:
    bring(packages, "edged.sources", "owl", "")
    (fault,) = load(written(tmp_path, SOURCE.replace("options", "#"))).faults
    assert (fault.key, fault.message) == (
        "source[0].options",
        "cannot do without this key: it is absent, expected a value",
    )


def test_a_package_cannot_take_the_place_of_a_kind_of_edged(packages: Path, tmp_path: Path) -> None:
    bring(packages, "edged.sources", "file", "")
    loaded = load(written(tmp_path, '[[source]]\nname = "s"\nkind = "file"\npath = "/a.mp4"\n' + PIPELINE))
    assert loaded.config.source == (FileSource(name="s", kind="file", path=Path("/a.mp4")),)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("camrea", "cannot use 'camrea': did you mean 'camera'?"),
        ("xyz", "cannot use 'xyz': expected one of 'camera', 'file', "),
    ],
)
def test_a_kind_that_nobody_brings_is_told_with_the_nearest_that_is_known(
    packages: Path, tmp_path: Path, kind: str, message: str
) -> None:
    bring(packages, "edged.sources", "owl", "")
    faults = load(written(tmp_path, SOURCE.replace("owl", kind) + PIPELINE)).faults
    assert (faults[0].key, faults[0].message[: len(message)]) == ("source[0].kind", message)


def test_an_action_that_is_brought_is_taken_and_another_costs_its_pipeline(packages: Path, tmp_path: Path) -> None:
    bring(packages, "edged.sources", "owl", "")
    bring(packages, "edged.actions", "hoot", "")
    silent = (PIPELINE + RULE).replace('"p"', '"q"').replace("hoot", "hood")
    loaded = load(written(tmp_path, SOURCE + PIPELINE + RULE + silent))
    assert [pipeline.rule[0].action for pipeline in loaded.config.pipeline] == [("hoot",)]
    assert [(fault.pipeline, fault.message) for fault in loaded.faults] == [
        (
            "q",
            "cannot find action 'hood' among the [[action]] tables and what installed packages bring: did you mean 'hoot'?",
        )
    ]


def test_what_is_brought_is_found_by_group_and_loaded(packages: Path) -> None:
    bring(packages, "edged.engines", "owl", "def made():\n    return 'hoo'\n")
    assert "owl" in brought("edged.engines")
    assert "owl" not in brought("edged.sources")
    assert load_plugin("edged.engines", "owl")() == "hoo"


def test_what_nobody_brings_cannot_be_loaded() -> None:
    with pytest.raises(DeviceError, match=r"cannot find 'owl' of edged\.engines: no installed package") as caught:
        load_plugin("edged.engines", "owl")
    assert caught.value.code == "plugin-missing"


@pytest.mark.parametrize("code", ["import absent_library", "made_otherwise = 1", "raise OSError('no\\nway')", "1 / 0"])
def test_a_package_that_cannot_be_imported_is_a_fault_of_the_box(packages: Path, code: str) -> None:
    module = bring(packages, "edged.engines", "broken", code)
    with pytest.raises(DeviceError, match=rf"cannot load 'broken' of edged\.engines: {module}:made gives"):
        load_plugin("edged.engines", "broken")
