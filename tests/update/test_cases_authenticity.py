"""Who may say what runs here: every attack and every honest accident of ``updates.md``, section 6, cases 11 to 28."""

from __future__ import annotations

import base64
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from edged.domain.errors import EdgedError, RejectedError
from edged.fleet.repository import Repository
from edged.update.trust import EARLIEST_MS
from fakes.couriers import Box
from fakes.followed import CONTENT, NAME, code_of, follow, incoming, offered, order, refusal
from fakes.repository_simulator import NOW, NOW_MS, Simulator, written

DAY_S = 24 * 3600
TEN_YEARS_S = 3652 * DAY_S


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return offered(tmp_path / "state")


def test_what_was_signed_and_ordered_is_fetched(box: Box) -> None:
    follow(box)


# -- files and metadata


def test_a_flipped_bit_in_a_file_is_refused_and_nothing_of_it_stays(box: Box) -> None:
    """Case 11."""
    path = next(path for path in box.simulator.files if path.endswith(NAME))
    box.simulator.files[path] = b"\xff" + CONTENT[1:]
    assert code_of(box) == "digest"
    assert incoming(box) == []
    box.simulator.files[path] = CONTENT
    follow(box)


@pytest.mark.parametrize("name", ["2.root", "timestamp", "3.snapshot", "3.targets"])
def test_a_flipped_bit_in_any_metadata_is_refused(box: Box, name: str) -> None:
    """Case 12."""
    box.simulator.rotate("timestamp")
    box.simulator.publish()
    whole = box.simulator.files[f"metadata/{name}.json"]
    box.simulator.files[f"metadata/{name}.json"] = whole.replace(b'"version":', b'"version":1', 1)
    assert code_of(box) in {"tampered", "unsigned", "rollback-attack"}
    box.simulator.files[f"metadata/{name}.json"] = whole
    follow(box)


def test_metadata_without_a_signature_is_refused(box: Box) -> None:
    """Case 13: none."""
    box.simulator.keys["timestamp"] = []
    box.simulator.publish()
    assert code_of(box) == "unsigned"


def test_metadata_signed_by_somebody_else_is_refused(box: Box) -> None:
    """Case 13: unknown."""
    box.simulator.keys["targets"] = [CryptoSigner.generate_ed25519()]
    box.simulator.publish()
    assert code_of(box) == "unsigned"


def test_an_order_with_too_few_signatures_is_refused(box: Box) -> None:
    """Case 13: too few."""
    keepers = [CryptoSigner.generate_ed25519() for _ in range(3)]
    box.simulator.desired_with(keepers, threshold=2)
    box.simulator.publish()
    alone = box.simulator.desire(order(), keepers[:1])
    assert refusal(lambda: box.judge(alone)) == "signature"
    assert box.judge(box.simulator.desire(order(), keepers[1:])).seq == 12


def test_an_order_signed_by_the_files_keys_is_refused(box: Box) -> None:
    """Case 13: the right fleet, the wrong role."""
    forged = box.simulator.desire(order(), box.simulator.keys["targets"])
    with pytest.raises(RejectedError, match="expected the signature of 'desired'"):
        box.judge(forged)


def test_an_altered_order_is_refused(box: Box) -> None:
    envelope = json.loads(box.simulator.desire(order()))
    payload = base64.b64decode(envelope["payload"]).replace(b"1.3.0", b"1.2.0")
    envelope["payload"] = base64.b64encode(payload).decode()
    assert refusal(lambda: box.judge(json.dumps(envelope).encode())) == "signature"


def test_a_signature_for_another_kind_of_document_is_none_for_an_order(box: Box) -> None:
    envelope = json.loads(box.simulator.desire(order()))
    envelope["payloadType"] = "application/vnd.edged.manifest+json"
    assert refusal(lambda: box.judge(json.dumps(envelope).encode())) == "malformed"


def replayed(box: Box, moment: dict[str, bytes]) -> None:
    box.simulator.files = dict(moment)


def test_older_metadata_again_is_told_as_a_rollback_attack(box: Box) -> None:
    """Case 14."""
    moment = dict(box.simulator.files)
    box.simulator.publish()
    follow(box)
    replayed(box, moment)
    assert code_of(box, seq=13) == "rollback-attack"


@pytest.mark.parametrize("lost", ["trust", "trust.json"])
def test_older_metadata_again_is_refused_after_the_client_lost_its_files(box: Box, lost: str) -> None:
    """Case 15: python-tuf alone accepts it; either copy of trust.json is enough to refuse."""
    moment = dict(box.simulator.files)
    box.simulator.publish()
    follow(box)
    replayed(box, moment)
    shutil.rmtree(box.state / "trust" / "metadata")
    place = box.state / lost
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    assert Repository(box.state / "fresh", box.simulator.provisioned, box.simulator, NOW_MS).seen()["timestamp"][0] == 2
    assert code_of(box, seq=13) == "rollback-attack"


def test_a_withheld_root_is_refused_after_the_client_lost_its_files(box: Box) -> None:
    """Case 15, for the role on which the others hang."""
    moment = dict(box.simulator.files)
    box.simulator.rotate("targets")
    box.simulator.publish()
    follow(box)
    replayed(box, moment)
    shutil.rmtree(box.state / "trust" / "metadata")
    assert code_of(box, seq=13) == "rollback-attack"


def test_an_older_snapshot_under_a_new_timestamp_is_refused(box: Box) -> None:
    """Case 16: mix and match."""
    files = box.simulator.files
    box.simulator.publish()
    files["metadata/3.snapshot.json"] = files["metadata/2.snapshot.json"]
    assert code_of(box) in {"rollback-attack", "tampered"}


# -- time


def test_expired_metadata_refuses_what_is_new_and_leaves_what_is_there(box: Box) -> None:
    """Case 17."""
    follow(box)
    box.clock.advance(31 * DAY_S)
    later = {"not_after": written(NOW + timedelta(days=60)), "seq": 13}
    assert code_of(box, **later) == "metadata-expired"
    assert len(incoming(box)) == 1
    for signed in (box.simulator.timestamp, box.simulator.snapshot, box.simulator.targets, box.simulator.root):
        signed.expires = NOW + timedelta(days=90)
    box.simulator.root.version += 1
    box.simulator.sign_root(box.simulator.keys["root"][:2])
    box.simulator.publish()
    follow(box, **later)


def test_a_box_that_boots_in_1970_judges_by_the_last_time_it_knew(box: Box) -> None:
    """Case 18."""
    box.clock.advance(29 * DAY_S)
    late = {"not_after": written(NOW + timedelta(days=60))}
    follow(box, **late)
    box.clock.wall, box.clock.is_synced = 0, False
    follow(box, **late)
    assert box.courier().marks.time_ms(0) == NOW_MS + 29 * DAY_S * 1000
    assert code_of(box, seq=13, not_after=written(NOW + timedelta(days=28))) == "expired"


def test_a_new_box_that_boots_in_1970_knows_that_it_cannot_be_before_its_own_making(tmp_path: Path) -> None:
    """Case 18: an old repository, replayed to a box that knows no time at all."""
    box = Box(tmp_path / "state", Simulator(expires=NOW.fromtimestamp(EARLIEST_MS / 1000 - DAY_S, NOW.tzinfo)))
    box.clock.wall, box.clock.is_synced = 0, False
    assert refusal(lambda: box.judge(box.simulator.desire(order()))) == "metadata-expired"


def test_a_clock_ten_years_ahead_refuses_until_it_is_set_and_poisons_nothing(box: Box) -> None:
    """Case 19."""
    follow(box)
    box.clock.is_synced = False
    box.clock.step_wall(TEN_YEARS_S)
    assert code_of(box, seq=13) == "metadata-expired"
    box.clock.step_wall(-TEN_YEARS_S)
    box.clock.is_synced = True
    follow(box, seq=13)


def test_a_signed_date_moves_the_time_of_a_box_without_a_clock(box: Box) -> None:
    """Case 19: signed time counts, the unset clock does not."""
    box.clock.wall, box.clock.is_synced = 0, False
    box.judge(box.simulator.desire(order()))
    assert box.courier().marks.floor_ms == NOW_MS


def test_an_order_dated_a_century_ahead_moves_the_time_no_further_than_the_repository_is_valid(box: Box) -> None:
    """Case 19: a keeper's own clock was wrong."""
    box.clock.wall, box.clock.is_synced = 0, False
    box.judge(box.simulator.desire(order(issued="2126-01-01T00:00:00Z", not_after="2127-01-01T00:00:00Z")))
    assert box.courier().marks.floor_ms == int(box.simulator.expires.timestamp() * 1000)
    box.simulator.timestamp.expires = box.simulator.snapshot.expires = box.simulator.targets.expires = NOW + timedelta(
        days=60
    )
    box.simulator.root.expires = NOW + timedelta(days=90)
    box.simulator.root.version += 1
    box.simulator.sign_root(box.simulator.keys["root"][:2])
    box.simulator.publish()
    late = {"issued": written(NOW + timedelta(days=31)), "not_after": written(NOW + timedelta(days=60))}
    assert box.judge(box.simulator.desire(order(seq=13, **late))).seq == 13


# -- keys


@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("role", ["root", "timestamp", "targets"])
def test_keys_may_be_changed_while_the_box_is_away(box: Box, role: str, times: int) -> None:
    """Case 20."""
    follow(box)
    for _ in range(times):
        box.simulator.rotate(role)
    box.simulator.publish()
    follow(box, seq=13)
    assert box.courier().marks.roles["root"].version == 1 + times


def test_a_root_that_one_of_two_signed_is_refused(box: Box) -> None:
    """Case 21."""
    old = box.simulator.keys["root"]
    box.simulator.rotate("root", old[:1])
    box.simulator.publish()
    assert code_of(box) == "unsigned"


def test_a_thief_who_ran_ahead_is_forgotten_with_his_key(box: Box) -> None:
    """Case 22: version 1,000,000 by a stolen key, then another key."""
    follow(box)
    honest = box.simulator.timestamp.version
    box.simulator.timestamp.version = 1_000_000
    box.simulator.stamp()
    follow(box)
    box.simulator.timestamp.version = honest
    box.simulator.stamp()
    assert code_of(box, seq=13) == "rollback-attack"
    box.simulator.rotate("timestamp")
    box.simulator.stamp()
    follow(box, seq=13)


def test_a_root_of_trust_that_is_none_is_the_operators_fault(tmp_path: Path) -> None:
    box = Box(tmp_path / "state", trust=b"no metadata")
    with pytest.raises(EdgedError, match=r"cannot use the provisioned root of trust.*see \[updates\] trust"):
        box.judge(box.simulator.desire(order()))
