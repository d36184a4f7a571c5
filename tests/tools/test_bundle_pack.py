from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgectl.bundle.pack import pack, packed, unpacked
from edgectl.cli import main
from edged.domain.bundle import Bundle
from edged.domain.errors import BundleError, ConfigError
from edged.update import archive as packing
from edged.update.archive import unpack
from edged.update.manifest import files_of, read_bundle, sha256_of
from fakes.modelfile import onnx_model

MANIFEST = """name = "tiny"
version = "1.0.0"
task = "classification"
license = "MIT"

[input]
kind = "window"
length = 4
stride = 4
channels = 1

[output]
decoder = "classification"
labels = "labels.txt"

[[variant]]
id = "onnx-fp32"
file = "fp32.onnx"
sha256 = "{digest}"
runtime = "onnx"
precision = "fp32"
layout = "flat"
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "fp32.onnx").write_bytes(onnx_model())
    (folder / "labels.txt").write_text("a\nb\nc\nd\n")
    (folder / "model.toml").write_text(MANIFEST.format(digest=sha256_of(folder / "fp32.onnx")))
    return read_bundle(folder)


def test_the_same_bundle_gives_the_same_bytes_whatever_its_times_and_modes(bundle: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    shutil.copytree(bundle.folder, other)
    for file in other.iterdir():
        os.utime(file, (1, 1))
        file.chmod(0o600)
    assert packed(read_bundle(other)) == packed(bundle)


def test_the_manifest_comes_first_then_the_files_by_name(bundle: Bundle, tmp_path: Path) -> None:
    with tarfile.open(pack(bundle, tmp_path)) as archive:
        assert archive.getnames() == ["model.toml", "fp32.onnx", "labels.txt"]
        assert {(entry.mtime, entry.uid, entry.gid, entry.uname, entry.mode) for entry in archive} == {
            (0, 0, 0, "", 0o644)
        }


def test_what_was_packed_is_read_back(bundle: Bundle, tmp_path: Path) -> None:
    file = pack(bundle, tmp_path)
    assert file.name == "tiny-1.0.0.edgemodel"
    with unpacked(file) as again:
        assert again.manifest == bundle.manifest
        assert {name: sha256_of(place) for name, place in files_of(again).items()} == {
            name: sha256_of(place) for name, place in files_of(bundle).items()
        }


def test_packing_twice_changes_nothing_and_another_content_is_not_overwritten(bundle: Bundle, tmp_path: Path) -> None:
    file = pack(bundle, tmp_path)
    assert pack(bundle, tmp_path) == file
    (bundle.folder / "labels.txt").write_text("w\nx\ny\nz\n")
    with pytest.raises(
        ConfigError, match="it is there already with other content, expected a new file; raise the version"
    ):
        pack(bundle, tmp_path)


def test_a_link_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "labels.txt").rename(bundle.folder / "other.txt")
    (bundle.folder / "labels.txt").symlink_to("other.txt")
    with pytest.raises(
        BundleError, match=r"'labels.txt': it is a link, expected a file of the bundle's own \(and 1 more\)"
    ):
        pack(bundle, tmp_path)


def test_a_stray_file_is_not_packed_and_a_recipe_beside_it_does_not_matter(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "recipe.py").write_text("")
    (bundle.folder / "README.md").write_text("![a curve](curve.png)")
    (bundle.folder / "curve.png").write_bytes(b"")
    pack(bundle, tmp_path)
    (bundle.folder / "old.onnx").write_text("")
    with pytest.raises(BundleError, match=r"'old.onnx': model.toml does not name it"):
        pack(bundle, tmp_path)


def test_an_altered_file_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    (bundle.folder / "fp32.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match="truncated or altered"):
        pack(bundle, tmp_path)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


HOSTILE: dict[str, tuple[list[tarfile.TarInfo], str]] = {
    "climbing": ([entry("../x")], "leads out of the bundle"),
    "absolute": ([entry("/etc/x")], "leads out of the bundle"),
    "backslash": ([entry("..\\x")], "leads out of the bundle"),
    "link": ([entry("x", tarfile.SYMTYPE, "/etc/passwd")], "is no regular file"),
    "hard link": ([entry("x", tarfile.LNKTYPE, "y")], "is no regular file"),
    "device": ([entry("x", tarfile.CHRTYPE)], "is no regular file"),
    "sparse": ([entry("x", tarfile.GNUTYPE_SPARSE)], "is no regular file"),
    "folder": ([entry("x", tarfile.DIRTYPE)], "is no regular file"),
    "twice": ([entry("x"), entry("./x")], "stands twice"),
    "below a file": ([entry("x"), entry("x/y")], "stands twice"),
    "no manifest": ([entry("x")], "holds no model.toml"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    entries, told = HOSTILE[name]
    file = tmp_path / "x.edgemodel"
    with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
        for one in entries:
            archive.addfile(one, io.BytesIO())
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(BundleError, match=told):
        unpack(file, folder)
    assert list(folder.iterdir()) == []


def test_more_than_the_bounds_is_refused(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = pack(bundle, tmp_path)
    monkeypatch.setattr(packing, "MAX_FILES", 2)
    with pytest.raises(BundleError, match="is one too many, expected at most 2 files"):
        unpack(file, tmp_path / "out")


def test_a_name_that_no_tar_holds_is_not_packed(bundle: Bundle, tmp_path: Path) -> None:
    place = bundle.folder / ("x" * 200) / ("y" * 200)
    place.parent.mkdir()
    (bundle.folder / "labels.txt").rename(place)
    text = (bundle.folder / "model.toml").read_text()
    (bundle.folder / "model.toml").write_text(text.replace("labels.txt", place.relative_to(bundle.folder).as_posix()))
    with pytest.raises(BundleError, match="expected a path of at most 255 characters"):
        pack(read_bundle(bundle.folder), tmp_path)


def test_a_file_that_is_not_there_cannot_be_unpacked(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read absent\.edgemodel"):
        unpack(tmp_path / "absent.edgemodel", tmp_path)


CUTS: dict[str, Callable[[bytes], bytes]] = {
    "cut in a file": lambda content: content[:700],
    "cut in a head": lambda content: content[:300],
    "nothing": lambda _: b"",
    "a picture": lambda _: b"\x89PNG\r\n" * 300,
    "compressed": lambda _: b"\x1f\x8b" + b"\x00" * 600,
}


@pytest.mark.parametrize("name", CUTS)
def test_a_damaged_file_is_refused(bundle: Bundle, tmp_path: Path, name: str) -> None:
    file = pack(bundle, tmp_path)
    file.write_bytes(CUTS[name](file.read_bytes()))
    with pytest.raises(BundleError, match=r"cannot (read|unpack) tiny-1.0.0.edgemodel"), unpacked(file):
        pytest.fail("it was unpacked")


def test_the_verb_tells_the_file_and_its_digest(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bundle", "pack", str(bundle.folder), "--out", str(tmp_path / "out")]) == 0
    file = tmp_path / "out" / "tiny-1.0.0.edgemodel"
    assert capsys.readouterr().out == f"{file} {sha256_of(file)}\n"


def test_no_bundle_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "verify", str(tmp_path / "nowhere")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("edgectl: cannot find bundle")
    assert captured.err.count("\n") == 1
