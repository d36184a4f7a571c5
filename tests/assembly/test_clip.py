"""A recording read back: whole, or refused with what is wrong with it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.clip import MAX_MEMBER_BYTES, MAX_ROWS, NEEDED, read_clip
from edged.assembly.clip_file import MANIFEST, ClipWriter
from edged.domain.errors import ConfigError
from edged.pipeline.preroll import Item
from edged.sinks.encoded import encoded

PICTURE = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
ABOUT = {
    **{name: name for name, kind in NEEDED.items() if kind is str},
    "seconds": 0.25,
    "counts": {"missed": 1, "inputs": 2, "results": 0, "events": 0},
    "short": False,
    "models": [],
    "config": {"pipeline": {}, "source": {}},
}
ROW = {"index": 3, "mono_ns": 5, "wall_ns": 7, "source_s": 0.25}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    writer = ClipWriter(tmp_path, "a")
    writer.add(Item("input", 0.25, ROW, *encoded(PICTURE, lossless=True)))
    writer.add(Item("input", 0.5, {**ROW, "index": 4, "missed": 1}))
    writer.add(Item("reading", 0.5, {"load_1m": 0.5}))
    return writer.finish(ABOUT, b"what was learned")


def test_it_comes_back_as_it_was(file: Path) -> None:
    clip = read_clip(file)
    frame = clip.frame(clip.inputs[0])
    assert np.array_equal(frame.data, PICTURE)
    assert (frame.stamp.index, frame.stamp.mono_ns, frame.stamp.wall_ns, frame.stamp.source_s) == (3, 5, 7, 0.25)
    assert clip.calibration() == b"what was learned"
    assert (clip.is_exact, clip.shows_pictures) == (True, True)
    assert clip.readings == ({"load_1m": 0.5},)


def test_a_folder_that_it_was_unpacked_into_is_as_good(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "unpacked")
    clip = read_clip(tmp_path / "unpacked")
    assert np.array_equal(clip.frame(clip.inputs[0]).data, PICTURE)
    assert clip.calibration() == b"what was learned"


@pytest.mark.parametrize("at", [0, 40, -30, -1])
def test_one_that_was_cut_off_is_refused(file: Path, at: int) -> None:
    file.write_bytes(file.read_bytes()[: at or 0])
    with pytest.raises(ConfigError, match=r"cannot read recording .*a\.zip: .*expected a whole one; copy it again"):
        read_clip(file)


def test_a_changed_bit_in_an_input_is_found(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[content.index(b"IDAT") + 10] ^= 1
    file.write_bytes(content)
    clip = read_clip(file)
    with pytest.raises(ConfigError, match=r"cannot read inputs/000000\.png in .*Bad CRC-32"):
        clip.frame(clip.inputs[0])


def test_another_archive_is_no_recording(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(ConfigError, match=r"There is no item named 'manifest\.json'"):
        read_clip(tmp_path / "b.zip")


def test_a_later_format_is_refused(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "later")
    manifest = tmp_path / "later" / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": "edged.recording/2"}))
    with pytest.raises(ConfigError, match=r"is not of edged\.recording/1"):
        read_clip(tmp_path / "later")


def test_a_manifest_without_what_is_needed_is_refused(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "poor")
    (tmp_path / "poor" / MANIFEST).write_text('{"schema": "edged.recording/1", "pipeline": "gate"}')
    with pytest.raises(
        ConfigError, match="its manifest has no began_at, config, counts, device, edged, ended_at, id, models"
    ):
        read_clip(tmp_path / "poor")


def test_one_that_is_not_there_is_told_with_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is none, expected a file .*edgectl record list"):
        read_clip(tmp_path / "absent.zip")


def test_an_input_is_never_read_from_elsewhere(file: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(tmp_path / "sly")
    (tmp_path / "secret.npy").write_bytes(b"secret")
    clip = read_clip(tmp_path / "sly")
    with pytest.raises(ConfigError, match="is no name of an input"):
        clip.frame({**ROW, "file": "../secret.npy"})


def unpacked(file: Path, folder: Path) -> Path:
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("inputs.ndjson", "[]"),
        ("inputs.ndjson", '{"index": "3", "mono_ns": 5, "wall_ns": 7, "source_s": 0.25}'),
        ("inputs.ndjson", '{"index": 3, "mono_ns": 5, "wall_ns": 7, "source_s": NaN}'),
        ("results.ndjson", '{"index": 3, "mono_ns": 5, "model": {"name": "parts"}}'),
        ("events.ndjson", '{"index": 3, "mono_ns": 5}'),
        ("readings.ndjson", "3"),
        ("readings.ndjson", "[" * 100_000),
        ("readings.ndjson", "{}\n" * (MAX_ROWS + 1)),
    ],
)
def test_a_row_that_edged_never_wrote_is_refused(file: Path, tmp_path: Path, name: str, row: str) -> None:
    folder = unpacked(file, tmp_path / "odd")
    (folder / name).write_text(row)
    with pytest.raises(ConfigError, match="expected a whole one; copy it again"):
        read_clip(folder)


@pytest.mark.parametrize(
    "told",
    [
        {"counts": {}},
        {"models": [{}]},
        {"short": 0},
        {"config": []},
        {"config": {"pipeline": {}}},
        {"seconds": "1"},
        {"id": "\x1b[31mred"},
    ],
)
def test_a_manifest_that_edged_never_wrote_is_refused(file: Path, tmp_path: Path, told: dict[str, object]) -> None:
    folder = unpacked(file, tmp_path / "odd")
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, **told}))
    with pytest.raises(ConfigError, match="expected what edged writes"):
        read_clip(folder)


def test_what_unpacks_into_more_than_edged_writes_is_refused(file: Path) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("inputs.ndjson", bytes(MAX_MEMBER_BYTES + 1))
    with pytest.raises(ConfigError, match=r"inputs\.ndjson is larger than"):
        read_clip(file)


@pytest.mark.parametrize("shape", [(2**40, 1), (3,), (2, 2, 2)])
def test_a_window_that_is_none_is_refused(file: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    folder = unpacked(file, tmp_path / "odd")
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(32)
    (folder / "inputs" / "000000.npy").write_bytes(npy)
    clip = read_clip(folder)
    with pytest.raises(ConfigError, match="expected the input that was recorded"):
        clip.frame({**clip.inputs[0], "file": "inputs/000000.npy"})
