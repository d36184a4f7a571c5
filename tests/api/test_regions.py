"""Shared memory: what is registered is read and written, and nothing a client does to it harms the box."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edged.api.refusal import RefusedError
from edged.api.regions import MOST_READ_BYTES, MOST_REGIONS, Reader, Regions


@pytest.fixture
def regions(tmp_path: Path) -> Regions:
    (tmp_path / "input").write_bytes(bytes(range(64)))
    return Regions(tmp_path)


def test_a_region_is_listed_read_and_written(regions: Regions, tmp_path: Path) -> None:
    regions.register("in", "/input", 16, 32)

    assert regions.status("in") == [{"name": "in", "key": "/input", "offset": 16, "byte_size": 32}]
    assert bytes(regions.read("in", 4, 3)) == bytes([20, 21, 22])
    regions.write("in", 0, 8, b"abc")
    assert (tmp_path / "input").read_bytes()[16:20] == b"abc\x13"
    regions.unregister("in")
    assert regions.status() == []


def test_all_go_at_once_and_their_files_are_closed(regions: Regions) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    regions.register("a", "/input", 0, 64)
    regions.register("b", "input", 0, 1)

    regions.unregister()

    assert regions.status() == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("key", "offset", "size"),
    [
        ("/../etc/passwd", 0, 1),
        ("/..", 0, 1),
        ("..", 0, 1),
        ("/", 0, 1),
        ("", 0, 1),
        (None, 0, 1),
        ("/a/b", 0, 1),
        ("/absent", 0, 1),
        ("/input", 0, 65),
        ("/input", 60, 8),
        ("/input", -1, 8),
        ("/input", 0, 0),
        ("/input", 0, None),
        ("/input", True, 1),
        ("/input", 0, 1 << 60),
    ],
)
def test_what_is_no_such_object_is_refused(regions: Regions, key: Any, offset: Any, size: Any) -> None:
    with pytest.raises(RefusedError) as caught:
        regions.register("in", key, offset, size)

    assert caught.value.kind == "invalid"
    assert regions.status() == []


def test_a_link_out_of_the_folder_is_not_followed(regions: Regions, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")

    with pytest.raises(RefusedError):
        regions.register("in", "/link", 0, 1)


def test_a_name_is_given_once_and_only_so_many(regions: Regions) -> None:
    for number in range(MOST_REGIONS):
        regions.register(str(number), "/input", 0, 1)
    for name in ("0", "new"):
        with pytest.raises(RefusedError, match="expected a new one"):
            regions.register(name, "/input", 0, 1)
    regions.unregister()


@pytest.mark.parametrize(("offset", "size"), [(0, 33), (32, 1), (-1, 1), (0, None), ("0", 1)])
def test_nothing_outside_a_region_is_read(regions: Regions, offset: Any, size: Any) -> None:
    regions.register("in", "/input", 0, 32)

    with pytest.raises(RefusedError, match="within 32 bytes"):
        regions.read("in", offset, size)


@pytest.mark.parametrize("name", ["absent", None, 7])
def test_a_region_that_there_is_not_is_refused(regions: Regions, name: Any) -> None:
    with pytest.raises(RefusedError, match="expected one that is registered"):
        regions.read(name, 0, 1)


def test_a_client_that_cuts_its_memory_off_is_told_so(regions: Regions, tmp_path: Path) -> None:
    regions.register("in", "/input", 0, 64)
    os.truncate(tmp_path / "input", 8)

    with pytest.raises(RefusedError, match="it holds 8 bytes there, expected 64"):
        regions.read("in", 0, 64)
    with pytest.raises(RefusedError, match="shorter than it was"):
        regions.write("in", 0, 64, bytes(64))
    assert (tmp_path / "input").stat().st_size == 8


def test_an_output_that_does_not_fit_is_not_written(regions: Regions) -> None:
    regions.register("out", "/input", 0, 64)

    with pytest.raises(RefusedError, match="there is room for 2"):
        regions.write("out", 0, 2, b"abc")


def test_one_request_reads_no_more_than_it_may_however_many_inputs_lie_in_a_region(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_READ_BYTES // 2)
    regions = Regions(tmp_path)
    regions.register("in", "/large", 0, MOST_READ_BYTES // 2)
    reader = Reader(regions)
    for _ in range(2):
        reader.read("in", 0, MOST_READ_BYTES // 2)

    with pytest.raises(RefusedError, match="more than 134217728 bytes together"):
        reader.read("in", 0, 1)
    assert len(Reader(regions).read("in", 0, 1)) == 1
