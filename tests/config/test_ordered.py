"""What was ordered over the air, in the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.config.load import RejectedConfigError, load
from edged.config.ordered import fragment, in_force

DIGEST = "a" * 64


@pytest.fixture
def main(tmp_path: Path) -> Path:
    file = tmp_path / "edged.toml"
    file.write_text(
        f'[device]\nid = "press-07"\n[state]\ndirectory = "{tmp_path / "state"}"\n[telemetry]\ninterval_s = 5\n'
    )
    return file


def order(state: Path, text: str, name: str = "pointer.json", digest: object = DIGEST) -> Path:
    slot = state / "slots" / ".configuration"
    slot.mkdir(parents=True, exist_ok=True)
    (slot / name).write_text(json.dumps({"active": {"digest": digest}}))
    file = fragment(state, DIGEST)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_what_is_in_force_is_read_after_all_other_files(main: Path, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "99.toml").write_text("[telemetry]\ninterval_s = 7\n")
    file = order(tmp_path / "state", "[telemetry]\ninterval_s = 9\n")

    loaded = load(main)

    assert loaded.config.telemetry.interval_s == 9
    assert loaded.files[-1] == file


def test_another_file_can_be_read_in_its_place_or_none(main: Path, tmp_path: Path) -> None:
    order(tmp_path / "state", "[telemetry]\ninterval_s = 9\n")
    other = tmp_path / "other.toml"
    other.write_text("[telemetry]\ninterval_s = 11\n")

    assert load(main, ordered=other).config.telemetry.interval_s == 11
    assert load(main, ordered=None).config.telemetry.interval_s == 5


def test_its_faults_are_told_with_its_file(main: Path, tmp_path: Path) -> None:
    file = order(tmp_path / "state", "[telemetry]\ninterval_s = -1\n")

    with pytest.raises(RejectedConfigError) as caught:
        load(main)

    assert [fault.file for fault in caught.value.faults] == [file]


def test_one_that_cannot_be_read_is_a_fault(main: Path, tmp_path: Path) -> None:
    order(tmp_path / "state", "[[")

    with pytest.raises(RejectedConfigError):
        load(main)


def test_a_state_directory_that_is_none_is_told_as_before(main: Path) -> None:
    main.write_text('[device]\nid = "press-07"\n[state]\ndirectory = 3\n')

    with pytest.raises(RejectedConfigError, match="directory"):
        load(main)


def test_the_pointer_s_copy_stands_in_for_it(tmp_path: Path) -> None:
    file = order(tmp_path, "", "pointer.json~")
    (tmp_path / "slots" / ".configuration" / "pointer.json").write_bytes(b"")

    assert in_force(tmp_path) == file


@pytest.mark.parametrize("digest", ["../../etc/passwd", 3, "b" * 64])
def test_a_digest_that_is_none_or_of_no_file_is_nothing(tmp_path: Path, digest: object) -> None:
    order(tmp_path, "", digest=digest)

    assert in_force(tmp_path) is None


def test_a_slot_without_an_order_is_nothing(tmp_path: Path) -> None:
    slot = tmp_path / "slots" / ".configuration"
    slot.mkdir(parents=True)
    (slot / "pointer.json").write_text('{"active": null}')

    assert in_force(tmp_path) is None


def test_a_repository_without_anybody_to_trust_is_a_fault(main: Path) -> None:
    main.write_text(main.read_text() + '[updates]\nrepository = "https://models.plant.local/"\n')

    with pytest.raises(RejectedConfigError, match="cannot take models from a repository without trust"):
        load(main)
