from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from edged.domain.errors import BundleError
from edged.update.manifest import (
    MAX_GOLDEN_FILES,
    RefusedBundleError,
    files_of,
    find_bundles,
    read_bundle,
    verify,
)
from fakes.bundle import make_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "models" / "parts")


def edit(folder: Path, old: str, new: str) -> None:
    manifest = folder / "model.toml"
    text = manifest.read_text(encoding="utf-8")
    assert old in text
    manifest.write_text(text.replace(old, new), encoding="utf-8")


def faults_of(folder: Path) -> list[str]:
    return verify(read_bundle(folder))


def test_a_whole_bundle_has_no_faults(folder: Path) -> None:
    assert faults_of(folder) == []


def test_a_manifest_tells_every_fault_at_once_with_its_key(folder: Path) -> None:
    edit(folder, 'task = "classification"', 'task = "clasification"\nlicence = "x"')
    edit(folder, "width = 8", "width = 0\nwitdh = 3")
    edit(folder, 'file = "int8.tflite"', 'file = "../int8.tflite"')

    with pytest.raises(RefusedBundleError) as caught:
        read_bundle(folder)

    assert sorted(caught.value.faults) == [
        "model.toml: input.width: cannot use 0: expected a number above 0",
        "model.toml: input.witdh: cannot use unknown key 'witdh': did you mean 'width'?",
        "model.toml: licence: cannot use unknown key 'licence': did you mean 'license'?",
        (
            "model.toml: task: cannot use 'clasification': expected 'classification', 'detection', 'segmentation', "
            "'keypoints', 'anomaly' or 'regression'"
        ),
        "model.toml: variant[0].file: cannot use path '../int8.tflite': expected a relative path inside the bundle",
    ]
    assert caught.value.folder == folder


def test_a_number_that_is_none_is_a_fault_and_not_a_threshold_that_nothing_passes(folder: Path) -> None:
    edit(folder, "width = 8", "width = 8\nmean = [nan]\nstd = [inf]")

    with pytest.raises(RefusedBundleError) as caught:
        read_bundle(folder)

    assert sorted(caught.value.faults) == [
        "model.toml: input.mean[0]: cannot use nan: expected a finite number",
        "model.toml: input.std[0]: cannot use inf: expected a finite number",
    ]


def test_a_fault_of_the_manifest_as_a_whole_has_no_key(folder: Path) -> None:
    text = (folder / "model.toml").read_text()
    variant = text[text.index("[[variant]]") : text.index("[golden]")]
    edit(folder, "[golden]", variant + "[golden]")

    with pytest.raises(RefusedBundleError, match=r"model\.toml: cannot tell variants apart: 'int8' stands twice"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "cannot read the file: No such file or directory"),
        (b"name =", "cannot read the file: Invalid value"),
        (b"\xff", "byte 0xff in line 1 is not UTF-8"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_told(folder: Path, content: bytes | None, line: str) -> None:
    (folder / "model.toml").unlink()
    if content is not None:
        (folder / "model.toml").write_bytes(content)

    with pytest.raises(BundleError, match=line):
        read_bundle(folder)


def test_an_altered_file_is_told_with_both_digests(folder: Path) -> None:
    (folder / "int8.tflite").write_bytes(b"Weights")

    assert faults_of(folder) == [
        (
            "variant[0] 'int8': cannot use file 'int8.tflite': it was truncated or altered (7 bytes with sha256 "
            f"{hashlib.sha256(b'Weights').hexdigest()}), expected sha256 {hashlib.sha256(b'weights').hexdigest()}"
        )
    ]


def test_an_empty_file_is_told(folder: Path) -> None:
    (folder / "int8.tflite").write_bytes(b"")

    assert faults_of(folder) == [
        "variant[0] 'int8': cannot use file 'int8.tflite': it has 0 bytes, expected 1 to 2147483648"
    ]


def test_a_missing_file_is_told_with_the_faults_of_the_others(folder: Path) -> None:
    (folder / "int8.tflite").unlink()
    (folder / "labels.txt").write_text(" \n\n")
    (folder / "golden" / "first" / "sample.json").unlink()
    (folder / "drift.npz").unlink()

    assert faults_of(folder) == [
        "variant[0] 'int8': cannot read file 'int8.tflite': No such file or directory, expected a file of the bundle",
        "labels: cannot use file 'labels.txt': it holds no label, expected one a line",
        "golden: cannot use folder 'golden/': it holds 0 files, expected 1 to 1000",
        "drift: cannot read file 'drift.npz': No such file or directory, expected a file of the bundle",
    ]


def test_labels_of_another_encoding_are_told(folder: Path) -> None:
    (folder / "labels.txt").write_bytes(b"Schl\xfcssel\n")

    assert faults_of(folder) == [
        (
            "labels: cannot use file 'labels.txt': 'utf-8' codec can't decode byte 0xfc in position 4: invalid start byte, "
            "expected UTF-8 text"
        ),
    ]


def test_labels_that_are_missing_are_told(folder: Path) -> None:
    (folder / "labels.txt").unlink()

    assert faults_of(folder) == [
        "labels: cannot read file 'labels.txt': No such file or directory, expected a file of the bundle"
    ]


def test_a_bundle_needs_neither_labels_nor_golden_samples_nor_drift(folder: Path) -> None:
    edit(folder, 'labels = "labels.txt"', "")
    edit(folder, '[golden]\nsamples = "golden/"\n', "")
    edit(folder, '[drift]\nreference = "drift.npz"\n', "")

    assert faults_of(folder) == []
    assert sorted(files_of(read_bundle(folder))) == ["int8.tflite", "model.toml"]


def test_a_missing_golden_folder_is_told(folder: Path) -> None:
    edit(folder, "golden/", "silver/")

    assert faults_of(folder) == ["golden: cannot use folder 'silver/': it holds 0 files, expected 1 to 1000"]


def test_more_golden_samples_than_a_box_has_time_for_are_told(folder: Path) -> None:
    for number in range(MAX_GOLDEN_FILES):
        (folder / "golden" / str(number)).write_text("x")

    assert faults_of(folder) == [
        "golden: cannot use folder 'golden/': it holds more than 1000 files, expected 1 to 1000"
    ]


@pytest.mark.parametrize("name", ["int8.tflite", "labels.txt", "drift.npz", "golden/first/sample.json"])
def test_a_link_out_of_the_bundle_is_told(folder: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"weights")
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "secret")

    (fault,) = faults_of(folder)

    assert f"cannot use file '{name}': it leads out of the bundle to {tmp_path / 'secret'}" in fault


def test_a_link_inside_the_bundle_is_followed(folder: Path) -> None:
    (folder / "int8.tflite").rename(folder / "weights")
    (folder / "int8.tflite").symlink_to("weights")

    assert faults_of(folder) == []


def test_a_link_to_itself_is_told(folder: Path) -> None:
    (folder / "int8.tflite").unlink()
    (folder / "int8.tflite").symlink_to("int8.tflite")

    (fault,) = faults_of(folder)

    assert "cannot read file 'int8.tflite'" in fault


def test_a_folder_and_a_pipe_are_no_files(folder: Path) -> None:
    (folder / "int8.tflite").unlink()
    os.mkfifo(folder / "int8.tflite")
    (folder / "labels.txt").unlink()
    (folder / "labels.txt").mkdir()

    assert faults_of(folder) == [
        "variant[0] 'int8': cannot use file 'int8.tflite': it is no regular file, expected one",
        "labels: cannot use file 'labels.txt': it is no regular file, expected one",
    ]


def test_a_variants_own_labels_and_samples_count(folder: Path) -> None:
    own = (
        'precision = "int8"\noutput = { decoder = "classification", labels = "own.txt" }\ngolden = { samples = "own" }'
    )
    edit(folder, 'precision = "int8"', own)

    assert faults_of(folder) == [
        "labels: cannot read file 'own.txt': No such file or directory, expected a file of the bundle",
        "golden: cannot use folder 'own': it holds 0 files, expected 1 to 1000",
    ]


def test_only_files_that_the_manifest_names_belong_to_the_bundle(folder: Path) -> None:
    (folder / "recipe.py").write_text("train()")

    assert list(files_of(read_bundle(folder))) == [
        "drift.npz",
        "golden/first/sample.json",
        "int8.tflite",
        "labels.txt",
        "model.toml",
    ]


def test_the_highest_version_stands_first_and_of_one_version_the_earlier_folder(tmp_path: Path) -> None:
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    make_bundle(shipped / "b", version="1.9.0")
    make_bundle(shipped / "a", version="1.10.0")
    make_bundle(own / "z", version="1.9.0")
    make_bundle(own / "rc", version="1.10.0-rc.1")
    make_bundle(own / "other", name="other")

    catalogue = find_bundles([own, tmp_path / "absent", shipped])

    assert [bundle.folder for bundle in catalogue.bundles["parts"]] == [
        shipped / "a",
        own / "rc",
        own / "z",
        shipped / "b",
    ]
    assert list(catalogue.bundles) == ["other", "parts"]


def test_a_broken_bundle_is_told_and_hides_no_good_one(tmp_path: Path) -> None:
    make_bundle(tmp_path / "good")
    (make_bundle(tmp_path / "bad", version="2.0.0") / "model.toml").write_text("name = 1")
    (tmp_path / "no-bundle").mkdir()
    (tmp_path / "file").write_text("")

    catalogue = find_bundles([tmp_path])

    assert [bundle.folder.name for bundle in catalogue.bundles["parts"]] == ["good"]
    assert [error.folder.name for error in catalogue.refused] == ["bad"]
    assert str(catalogue.refused[0]).startswith(f"cannot use bundle {tmp_path / 'bad'}: model.toml: name: cannot use 1")


def test_golden_samples_have_a_size_that_a_box_can_hold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.update.manifest.MAX_SAMPLES_BYTES", 1000)
    monkeypatch.setattr("edged.update.manifest.MAX_SAMPLE_BYTES", 600)
    for number in range(2):
        (folder / "golden" / str(number)).write_bytes(b"x" * 600)
    assert faults_of(folder) == ["golden: cannot use folder 'golden/': it holds 1202 bytes, expected at most 1000"]
    (folder / "golden" / "0").write_bytes(b"x" * 601)
    assert faults_of(folder) == ["golden: cannot use file 'golden/0': it has 601 bytes, expected 1 to 600"]


def test_a_folder_that_the_disk_does_not_list_makes_no_bundle_without_samples(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = read_bundle(folder)

    def failing(place: Path) -> None:
        raise OSError(5, "Input/output error", place)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(BundleError, match=r"cannot list .*golden: Input/output error"):
        files_of(bundle)
