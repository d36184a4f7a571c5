from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.update.records import Pointer, Records, Release
from edged.update.rollout import State
from fakes.clock import FakeClock
from fakes.disk import FragileDisk

FIRST = Release(digest="1" * 64, version="1.0.0")
SECOND = Release(digest="2" * 64, version="2.0.0")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "state", FragileDisk(), FakeClock(wall=1_800_000_000_123_456_789))


def test_a_box_that_never_ran_remembers_nothing(records: Records, tmp_path: Path) -> None:
    tmp_path.joinpath("state").mkdir()

    assert records.pointer("parts") == Pointer()
    assert records.models() == []
    assert records.quarantine().releases == ()


def test_a_pointer_is_read_back_as_it_was_kept(records: Records, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    pointer = Pointer(active=SECOND, previous=FIRST, state=State.REJECTED, attempt=2, seq=7, reason="why")

    records.point("parts", pointer)

    assert records.pointer("parts") == pointer
    assert records.models() == ["parts"]


@pytest.mark.parametrize("damaged", [b"", b"\0" * 64, b'{"seq": "no"}', b'{"active": {"digest": "../x"}}'])
def test_a_pointer_that_the_disk_damaged_is_read_from_its_copy(
    records: Records, tmp_path: Path, damaged: bytes
) -> None:
    (tmp_path / "state").mkdir()
    records.point("parts", Pointer(active=FIRST))
    (tmp_path / "state" / "slots" / "parts" / "pointer.json").write_bytes(damaged)

    assert records.pointer("parts").active == FIRST


def test_keys_of_a_newer_edged_are_left_alone(records: Records, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    records.point("parts", Pointer(active=FIRST))
    file = tmp_path / "state" / "slots" / "parts" / "pointer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "campaign": 4}))

    assert records.pointer("parts").active == FIRST


def test_a_quarantined_release_keeps_its_first_reason(records: Records, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    records.quarantine_release("parts", FIRST, "first")
    records.quarantine_release("parts", SECOND, "second")
    records.quarantine_release("parts", FIRST, "third")

    quarantine = records.quarantine()

    assert [held.reason for held in quarantine.releases] == ["first", "second"]
    assert quarantine.reason_for(FIRST) == "first"
    assert quarantine.reason_for(Release(digest="3" * 64, version="3.0.0")) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("active", State.COMMITTED),
        ("tried", State.READY),
        ("verified", State.VERIFYING),
        ("of-a-later-edged", State.IDLE),
    ],
)
def test_a_state_of_another_version_does_not_cost_what_is_live(
    records: Records, tmp_path: Path, written: str, read: State
) -> None:
    (tmp_path / "state").mkdir()
    records.point("parts", Pointer(active=FIRST))
    file = tmp_path / "state" / "slots" / "parts" / "pointer.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "state": written}))

    pointer = records.pointer("parts")

    assert (pointer.active, pointer.state) == (FIRST, read)


def test_what_is_no_model_s_slot_is_no_model(records: Records, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    records.point(".configuration", Pointer(active=FIRST))

    assert records.models() == []


def test_while_a_candidate_is_on_its_way_the_copy_tells_what_is_live(records: Records, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    records.point("parts", Pointer(active=FIRST, state=State.COMMITTED))
    records.point("parts", Pointer(active=FIRST, candidate=SECOND, state=State.DOWNLOADING))
    (tmp_path / "state" / "slots" / "parts" / "pointer.json").write_bytes(b"")

    assert records.pointer("parts") == Pointer(active=FIRST, state=State.COMMITTED)


def test_a_file_in_quarantine_is_known_by_its_digest(records: Records, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    records.quarantine_release("parts", FIRST.model_copy(update={"target": "a" * 64}), "why")

    quarantine = records.quarantine()

    assert (quarantine.reason_for_target("a" * 64), quarantine.reason_for_target("b" * 64)) == ("why", None)
