"""Whose orders are followed: ``updates.md``, section 6, cases 21 to 28, and orders that are judged without a network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from edged.domain.errors import RejectedError, RetryableError
from edged.update.desired import Audience
from fakes.couriers import LINE, Box
from fakes.followed import CONTENT, NAME, code_of, follow, incoming, offered, order, refusal
from fakes.repository_simulator import ordered

DAY_S = 24 * 3600


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return offered(tmp_path / "state")


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
