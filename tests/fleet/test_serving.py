from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.fleet.blocks import BLOCK_BYTES, Block, unpack
from edged.fleet.serving import answer

REQUEST = {"schema": "edged.get/1", "id": "a-1", "file": "targets/x", "offset": 2, "length": 4}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "repository" / "targets").mkdir(parents=True)
    (tmp_path / "repository" / "targets" / "x").write_bytes(b"0123456789")
    (tmp_path / "secret").write_bytes(b"secret")
    return tmp_path / "repository"


def asked(folder: Path, **changes: object) -> Block | None:
    return answer(folder, json.dumps({**REQUEST, **changes}).encode())


def test_a_block_is_what_was_asked_for_and_travels_whole(folder: Path) -> None:
    block = asked(folder)
    assert block is not None
    assert (block.content, block.size, block.status) == (b"2345", 10, 200)
    assert unpack(block.packed()) == block


def test_the_last_block_is_short_and_behind_the_end_there_is_nothing(folder: Path) -> None:
    blocks = [asked(folder, offset=8), asked(folder, offset=100)]
    assert [block.content for block in blocks if block] == [b"89", b""]


@pytest.mark.parametrize("file", ["absent", "../secret", "/etc/passwd", "targets", "", "a\0b", "x" * 300])
def test_no_other_file_is_handed_out(folder: Path, file: str) -> None:
    block = asked(folder, file=file)
    assert block is not None
    assert (block.status, block.content) == (404, b"")


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "edged.get/2"},
        {"offset": -1},
        {"offset": "0"},
        {"length": 0},
        {"length": BLOCK_BYTES + 1},
        {"id": 7},
        {"file": None},
        {"file": "x" * 600},
        {"padding": "x" * 5000},
        {"deep": [[[]]]},
    ],
)
def test_what_is_no_request_gets_no_answer(folder: Path, changes: dict[str, object]) -> None:
    assert asked(folder, **changes) is None


def test_two_servers_name_a_file_by_its_digest_alike(tmp_path: Path) -> None:
    tags = set()
    for name in ("one", "two"):
        (tmp_path / name / "targets").mkdir(parents=True)
        (tmp_path / name / "targets" / f"{'a' * 64}.x").write_bytes(b"content")
        block = asked(tmp_path / name, file=f"targets/{'a' * 64}.x")
        assert block is not None
        tags.add(block.tag)
    assert len(tags) == 1


@pytest.mark.parametrize(
    "message", [b"", b"\0", b"\0\0\0\2{}", b"\xff\xff\xff\xff{}", b"\0\0\0\5[1,2]", b"\0\0\0\3abcd"]
)
def test_what_is_no_block_is_none(message: bytes) -> None:
    assert unpack(message) is None
