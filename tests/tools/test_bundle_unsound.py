"""Whatever a bundle lacks, or somebody put into it, is told in one line: never a traceback."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgectl.cli import main
from edged.update.manifest import sha256_of
from fakes.modelfile import onnx_model
from fakes.sensor import sensor_bundle
from fakes.twovariants import two_variants


@pytest.fixture
def level(tmp_path: Path) -> Path:
    """Give a sound bundle with golden samples and labels, which its decoder does not need."""
    folder = sensor_bundle(tmp_path / "level")
    (folder / "labels.txt").write_text("a\n")
    text = (folder / "model.toml").read_text().replace("[output]", '[output]\nlabels = "labels.txt"', 1)
    (folder / "model.toml").write_text(text)
    return folder


def verified(capsys: pytest.CaptureFixture[str], folder: Path) -> tuple[int, list[str], str]:
    """Give the exit status, the faults, and why the one variant was not tried."""
    status = main(["bundle", "verify", str(folder), "--json"])
    document = json.loads(capsys.readouterr().out)
    return status, document["faults"], document["variants"][0]["fault"]


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda folder: (folder / "labels.txt").unlink(), "labels: cannot read file 'labels.txt': No such file"),
        (lambda folder: (folder / "labels.txt").write_bytes(b"\xff"), "labels: cannot use file 'labels.txt': 'utf-8'"),
        (lambda folder: shutil.rmtree(folder / "golden"), "golden: cannot use folder 'golden/': it holds 0 files"),
    ],
    ids=["no labels", "no text", "no samples"],
)
def test_what_a_bundle_lacks_is_told_once_and_no_variant_is_tried(
    level: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], fault: str
) -> None:
    spoil(level)
    status, faults, why = verified(capsys, level)
    assert (status, len(faults)) == (1, 1)
    assert faults[0].startswith(fault)
    assert why == f"not tried: {faults[0]}"


def test_a_reference_that_does_not_run_is_named_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = two_variants(tmp_path / "level")
    text = (folder / "model.toml").read_text()
    digest = sha256_of(folder / "model.tflite")
    (folder / "model.tflite").write_bytes(b"no model at all")
    text = text.replace(digest, sha256_of(folder / "model.tflite"))
    (folder / "model.toml").write_text(
        text.replace('precision = "fp32"', 'precision = "int8"', 2).replace("int8", "fp32", 1)
    )
    main(["bundle", "verify", str(folder), "--json"])
    lines = {line["id"]: line for line in json.loads(capsys.readouterr().out)["variants"]}
    assert lines["large"]["parity"] == "not judged"
    assert lines["large"]["fault"].startswith("against fp32: cannot ")


def packed(folder: Path, *entries: tuple[tarfile.TarInfo, bytes], times: int = 1) -> Path:
    file = folder / "x.edgemodel"
    with file.open("wb") as stream:
        for head, content in entries * times:
            head.size = len(content)
            stream.write(head.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE))
        stream.write(bytes(2 * tarfile.BLOCKSIZE))
    return file


def head(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    return made


@pytest.mark.parametrize(
    ("entries", "times"),
    [
        ([(head("x", tarfile.XHDTYPE), b"30 path=model.toml\n")], 3000),
        ([(head("././@LongLink", tarfile.GNUTYPE_LONGNAME), b"model.toml\0")], 3000),
        ([(head("x", tarfile.XHDTYPE), b"17 path=a\0b.toml\n"), (head("model.toml"), b"x")], 1),
        ([(head("././@LongLink", tarfile.GNUTYPE_LONGNAME), b"a\0b"), (head("x"), b"x")], 1),
        ([(head("x", tarfile.XGLTYPE), b"30 size=-99999999999999999999\n"), (head("model.toml"), b"x")], 1),
    ],
    ids=["chained heads", "chained long names", "a NUL in a path", "a NUL in a long name", "a size below nothing"],
)
def test_a_hostile_archive_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], entries: list[tuple[tarfile.TarInfo, bytes]], times: int
) -> None:
    assert main(["bundle", "verify", str(packed(tmp_path, *entries, times=times))]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("edgectl: cannot ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    "names",
    ["{[]: 1}", "{{}: 1}", "(" * 100_000, "[" * 3000 + "]" * 3000, "-" * 100_000 + "1", "{1: 2, 'a': 3}", "\0"],
    ids=["a list as a key", "a set of dicts", "brackets", "lists", "signs", "mixed keys", "a NUL"],
)
def test_names_that_break_the_parser_are_left_alone(names: str) -> None:
    pytest.importorskip("onnx", reason="needs edged[workshop]")
    from edgectl.bundle.onnx_inside import _names  # noqa: PLC0415 - after the check for what it needs

    assert _names(names) == ()


def test_a_model_with_such_names_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx", reason="needs edged[workshop]")
    model = onnx.load_from_string(onnx_model())
    entry = model.metadata_props.add()
    entry.key, entry.value = "names", "{[]: 1}"
    onnx.save(model, str(tmp_path / "x.onnx"))
    arguments = ["bundle", "new", str(tmp_path / "x.onnx"), "--name", "x", "--license", "MIT", "--kind", "window"]
    shape = ["--length", "4", "--stride", "4", "--channels", "1", "--decoder", "classification"]
    assert main([*arguments, *shape, "--out", str(tmp_path / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["variants"]


@pytest.mark.parametrize("flag", [0x1, 0x0], ids=["a password", "a broken stream"])
def test_a_label_file_that_cannot_be_unpacked_is_left_alone(tmp_path: Path, flag: int) -> None:
    pytest.importorskip("ai_edge_litert.tools", reason="needs edged[tflite]")
    from edgectl.bundle.tflite_inside import _labels  # noqa: PLC0415 - after the check for what it needs

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "a\nb\n" * 100)
    content = bytearray(stream.getvalue())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= flag
    content[50:54] = b"\xff" * 4
    (tmp_path / "x.tflite").write_bytes(content)
    assert _labels(tmp_path / "x.tflite", "labels.txt") == ()
