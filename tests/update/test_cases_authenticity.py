"""Who may say what runs here: every attack and every honest accident of ``updates.md``, section 6, cases 11 to 28."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from edged.domain.errors import EdgedError, RejectedError, RetryableError
from edged.fleet.repository import Repository
from edged.update.desired import Audience
from edged.update.trust import EARLIEST_MS
from fakes.couriers import LINE, Box
from fakes.repository_simulator import NOW, NOW_MS, Simulator, desired, ordered, written

NAME = "parts-1.3.0.edgemodel"
CONTENT = bytes(range(256)) * 64
DAY_S = 24 * 3600
TEN_YEARS_S = 3652 * DAY_S


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path / "state")
    box.simulator.add(NAME, CONTENT, name="parts", version="1.3.0")
    box.simulator.publish()
    return box


def order(**changes: object) -> dict[str, object]:
    return desired(**{"models": {"parts": ordered(NAME, CONTENT)}, **changes})


def follow(box: Box, **changes: object) -> None:
    """Judge an order and fetch what it names."""
    courier = box.courier()
    accepted = courier.judge(box.simulator.desire(order(**changes)), Audience("device", "press-07"))
    wanted = accepted.models["parts"]
    assert wanted is not None
    assert courier.fetch(wanted).path.read_bytes() == CONTENT


def refusal(attempt: Callable[[], object]) -> str:
    with pytest.raises(EdgedError) as refused:
        attempt()
    return refused.value.code


def code_of(box: Box, **changes: object) -> str:
    return refusal(lambda: follow(box, **changes))


def incoming(box: Box) -> list[str]:
    return sorted(file.name for file in (box.state / "incoming").glob("*"))


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


def test_an_order_by_a_key_that_was_withdrawn_is_refused(box: Box) -> None:
    gone = box.simulator.keys["desired"]
    follow(box)
    box.simulator.desired_with([CryptoSigner.generate_ed25519()])
    box.simulator.publish()
    assert refusal(lambda: box.judge(box.simulator.desire(order(seq=13), gone))) == "signature"


# -- orders


@pytest.mark.parametrize(
    ("whose", "found_at"),
    [
        ({"device": "press-08"}, Audience("device", "press-07")),
        ({"device": "press-08"}, Audience("device", "press-08")),
        ({"group": "line-b"}, LINE),
        ({"group": "line-a"}, Audience("device", "press-07")),
        ({"device": "press-07"}, LINE),
    ],
)
def test_an_order_for_another_box_or_group_is_rejected(box: Box, whose: dict[str, str], found_at: Audience) -> None:
    """Case 23."""
    envelope = box.simulator.desire(order(**{"for": whose}))
    assert refusal(lambda: box.judge(envelope, found_at)) == "other-audience"


def test_an_older_order_that_the_broker_kept_is_rejected_and_the_same_again_is_not(box: Box) -> None:
    """Case 24."""
    older, newer = (box.simulator.desire(order(seq=seq)) for seq in (11, 12))
    box.judge(older)
    first = box.judge(newer)
    assert refusal(lambda: box.judge(older)) == "replayed"
    assert box.judge(newer) == first


def test_another_order_of_the_same_number_is_rejected(box: Box) -> None:
    """Case 24: two hands that count alike."""
    box.judge(box.simulator.desire(order()))
    assert refusal(lambda: box.judge(box.simulator.desire(order(campaign="other")))) == "seq-reused"


def test_numbers_of_device_and_group_are_counted_apart(box: Box) -> None:
    box.judge(box.simulator.desire(order()))
    assert box.judge(box.simulator.desire(order(seq=1, **{"for": {"group": "line-a"}})), LINE).seq == 1


@pytest.mark.parametrize(
    ("custom", "code"),
    [
        ({"profiles": ["jetson-orin-nano"]}, "incompatible"),
        ({"min_edged": "99.0.0"}, "incompatible"),
        ({"name": "screws"}, "mismatch"),
        ({"version": "1.4.0"}, "mismatch"),
    ],
)
def test_a_right_signature_for_something_that_does_not_fit_is_rejected_and_no_failure(
    box: Box, custom: dict[str, object], code: str
) -> None:
    """Case 25."""
    box.simulator.targets.targets[NAME].unrecognized_fields["custom"] = {"name": "parts", "version": "1.3.0", **custom}
    box.simulator.publish()
    with pytest.raises(RejectedError) as rejected:
        follow(box)
    assert rejected.value.code == code
    assert incoming(box) == []


def test_a_release_for_this_profile_and_version_fits(box: Box) -> None:
    fits = {"profiles": ["raspberry-pi-5"], "min_edged": "0.1.0"}
    box.simulator.targets.targets[NAME].unrecognized_fields["custom"] = fits
    box.simulator.publish()
    follow(box)


def test_an_order_for_other_bytes_than_the_signed_ones_is_rejected(box: Box) -> None:
    assert code_of(box, models={"parts": ordered(NAME, b"other")}) == "mismatch"


def test_a_file_that_nobody_lists_is_rejected(box: Box) -> None:
    assert code_of(box, models={"parts": ordered("other.edgemodel", CONTENT)}) == "not-offered"


@pytest.mark.parametrize(
    "name", ["../parts", "/etc/passwd", "a\0b", "x" * 300, "", ".", "..", "a/b", "a\\b", "-rf", "%2e%2e", "ä"]
)
def test_a_name_that_is_a_path_is_rejected(box: Box, name: str) -> None:
    """Case 26."""
    assert code_of(box, models={"parts": ordered(name, CONTENT)}) == "malformed"
    assert code_of(box, models={name: ordered(NAME, CONTENT)}) == "malformed"


DEEP = b"[" * 100_000 + b"]" * 100_000
BOMBS: dict[str, bytes] = {
    "deep": DEEP,
    "long": b'{"payload": "' + b"x" * 1_000_000 + b'"}',
    "twice": b'{"payload": "", "payload": "", "payloadType": "", "signatures": []}',
    "number": b'{"payload": 1' + b"0" * 100_000 + b"}",
    "no JSON": b"\xff\xfe",
    "NaN": b'{"payload": NaN}',
    "another": b"[]",
    "empty": b"",
    "many signatures": json.dumps({"payload": "", "payloadType": "", "signatures": [{}] * 1000}).encode(),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_an_envelope_that_is_a_bomb_is_rejected(box: Box, bomb: bytes) -> None:
    """Case 28: before anything of it is believed."""
    assert refusal(lambda: box.judge(bomb)) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"x": [[[[[[[[[[]]]]]]]]]]},
        {"models": {f"m{number}": None for number in range(65)}},
        {"seq": 2**60},
        {"seq": True},
        {"seq": 0},
        {"not_after": "tomorrow"},
        {"campaign": "x" * 300},
        {"models": []},
        {"models": {"parts": ordered(NAME, CONTENT, length=10**17)}},
        {"models": {"parts": ordered(NAME, CONTENT, version="1.3")}},
        {"models": {"parts": ordered(NAME, CONTENT, force="yes")}},
        {"for": {"device": "press-07", "group": "line-a"}},
        {"configuration": {"toml": 7}},
        {"schema": "edged.desired/2"},
        {"padding": "x" * 100_000},
    ],
)
def test_a_signed_order_that_makes_no_sense_is_rejected(box: Box, changes: dict[str, object]) -> None:
    """Case 28: a keeper's own mistake costs no memory and no box."""
    assert refusal(lambda: box.judge(box.simulator.desire(order(**changes)))) == "malformed"


# -- without a network


def no_network(_path: str) -> None:
    message = "cannot read: no route to host, expected an answer"
    raise RetryableError(message, code="network")


def test_without_a_network_an_order_is_judged_by_what_was_trusted_before(box: Box) -> None:
    follow(box)
    box.simulator.before = no_network
    assert box.judge(box.simulator.desire(order(seq=13))).seq == 13


def test_without_a_network_what_was_trusted_before_still_expires(box: Box) -> None:
    follow(box)
    box.simulator.before = no_network
    box.clock.advance(31 * DAY_S)
    assert refusal(lambda: box.judge(box.simulator.desire(order(seq=13)))) == "metadata-expired"


def test_without_a_network_an_unknown_signature_is_judged_later(box: Box) -> None:
    follow(box)
    stranger = [CryptoSigner.generate_ed25519()]
    box.simulator.desired_with(stranger)
    box.simulator.publish()
    box.simulator.before = no_network
    assert refusal(lambda: box.judge(box.simulator.desire(order(seq=13)))) == "network"
    box.simulator.before = lambda _path: None
    assert box.judge(box.simulator.desire(order(seq=13))).seq == 13


def test_without_a_network_a_new_box_waits(box: Box) -> None:
    box.simulator.before = no_network
    assert code_of(box) == "network"


def test_a_root_of_trust_that_is_none_is_the_operators_fault(tmp_path: Path) -> None:
    box = Box(tmp_path / "state", trust=b"no metadata")
    with pytest.raises(EdgedError, match=r"cannot use the provisioned root of trust.*see \[updates\] trust"):
        box.judge(box.simulator.desire(order()))
