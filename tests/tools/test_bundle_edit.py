"""What is added to a bundle on disk, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgectl.bundle.edit import Addition, add, free_name
from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError
from edged.update.manifest import read_bundle
from fakes.sensor import sensor_bundle


@pytest.fixture
def level(tmp_path: Path) -> Bundle:
    return read_bundle(sensor_bundle(tmp_path / "level"))


def addition(level: Bundle, name: str = "int8", file: str = "int8.tflite") -> Addition:
    return Addition(level.manifest.variant[0], name, file, b"weights", "int8")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_variant_is_added_behind_those_that_are_there(level: Bundle) -> None:
    assert [one.id for one in add(level, [addition(level)]).manifest.variant] == ["fp32", "int8"]


@pytest.mark.parametrize(("name", "file"), [("fp32", "int8.tflite"), ("int8", "../outside.tflite"), ("Int 8", "x")])
def test_what_would_make_the_manifest_unsound_changes_nothing(level: Bundle, name: str, file: str) -> None:
    before = contents(level.folder)
    with pytest.raises(BundleError, match=r"the manifest would be refused: .*nothing was changed"):
        add(level, [addition(level, name, file)])
    assert contents(level.folder) == before


def test_a_file_that_is_there_is_not_overwritten(level: Bundle) -> None:
    (level.folder / "int8.tflite").write_bytes(b"somebody's")
    before = contents(level.folder)
    with pytest.raises(BundleError, match=r"cannot add int8.tflite to .*: it is there already, expected a new file"):
        add(level, [addition(level)])
    assert contents(level.folder) == before


def test_a_name_is_free_when_neither_the_folder_nor_an_earlier_addition_has_it(level: Bundle) -> None:
    (level.folder / "a").mkdir()
    (level.folder / "a" / "int8.tflite").write_bytes(b"somebody's")
    assert free_name(level, "int8.tflite") == "int8.tflite"
    assert free_name(level, "a/int8.tflite") == "a/int8-2.tflite"
    assert free_name(level, "a/int8.tflite", ["a/int8-2.tflite"]) == "a/int8-3.tflite"
