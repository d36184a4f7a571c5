from __future__ import annotations

import json

import pytest

from edged.domain.errors import RejectedError
from edged.update.desired import MAX_BYTES, Audience, audiences, check, configuration, parse, resolve
from fakes.repository_simulator import NOW_MS, ordered
from fakes.repository_simulator import desired as document

OWN = audiences("press-07", ["line-a", "line-b"])
PARTS = ordered("parts-1.3.0.edgemodel", b"content")


def read(**changes: object) -> object:
    return parse(json.dumps(document(**changes)).encode())


def test_every_field_is_read_and_unknown_ones_are_left_alone() -> None:
    wanted = {**PARTS, "force": True, "shadow_one_in": 10, "probation_s": 60, "min_inferences": 5, "new": 1}
    found = parse(json.dumps(document(models={"parts": wanted, "sound": None}, later="x")).encode())
    order = found.models["parts"]
    assert order is not None
    assert (order.force, order.shadow_one_in, order.probation_s, order.min_inferences) == (True, 10, 60, 5)
    assert found.models["sound"] is None
    assert (found.seq, found.campaign, found.by) == (12, "autumn", "A. Fleet")
    assert found.issued_ms == NOW_MS


def test_what_is_not_said_is_usual() -> None:
    order = parse(json.dumps(document(models={"parts": PARTS})).encode()).models["parts"]
    assert order is not None
    assert (order.force, order.shadow_one_in, order.probation_s, order.min_inferences) == (False, 0, 900, 100)


def test_a_document_that_is_too_long_is_not_parsed() -> None:
    with pytest.raises(RejectedError, match=f"expected at most {MAX_BYTES}"):
        parse(b" " * (MAX_BYTES + 1))


def test_the_devices_word_counts_before_its_groups_and_those_in_their_order() -> None:
    device = parse(json.dumps(document(models={"a": {**PARTS, "version": "1.0.0"}, "d": None})).encode())
    first = parse(
        json.dumps(document(**{"for": {"group": "line-a"}}, models={"a": PARTS, "b": PARTS, "d": PARTS})).encode()
    )
    second = parse(json.dumps(document(**{"for": {"group": "line-b"}}, models={"b": None, "c": None})).encode())
    found = resolve([second, first, device], OWN)
    assert list(found) == ["a", "b", "c", "d"]
    assert found["a"].wanted is not None
    assert found["a"].wanted.version == "1.0.0"
    assert found["b"].source is first
    assert found["c"].wanted is None
    assert (found["d"].wanted, found["d"].source) == (None, device)


def test_a_word_for_a_group_that_was_left_counts_no_more() -> None:
    first = parse(json.dumps(document(**{"for": {"group": "line-a"}}, models={"b": PARTS})).encode())
    assert resolve([first], audiences("press-07")) == {}


def test_the_first_configuration_counts() -> None:
    device = parse(json.dumps(document()).encode())
    group = parse(json.dumps(document(**{"for": {"group": "line-b"}}, configuration={"toml": "x = 1"})).encode())
    assert configuration([device, group], OWN) is group
    assert configuration([device], OWN) is None


def test_an_order_is_valid_until_its_end_and_no_longer() -> None:
    found = parse(json.dumps(document()).encode())
    check(found, OWN[0], OWN, found.not_after_ms - 1)
    with pytest.raises(RejectedError, match=r"it ended 0 s ago.*issue it again"):
        check(found, OWN[0], OWN, found.not_after_ms)


def test_an_order_says_how_many_frames_are_compared_in_shadow_and_how_many_have_to_agree() -> None:
    asked = {"shadow_one_in": 10, "shadow_frames": 50, "shadow_agreement": 1}
    found = parse(json.dumps(document(models={"parts": {**PARTS, **asked}})).encode())
    order = found.models["parts"]
    assert order is not None
    assert (order.shadow_one_in, order.shadow_frames, order.shadow_agreement) == (10, 50, 1.0)


@pytest.mark.parametrize("share", [-0.1, 1.1, True, "0.9", None])
def test_an_agreement_that_is_no_share_is_refused(share: object) -> None:
    with pytest.raises(RejectedError, match=r"shadow_agreement is .*, expected a share from 0 to 1"):
        parse(json.dumps(document(models={"parts": {**PARTS, "shadow_agreement": share}})).encode())


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "A", "x" * 65])
def test_a_name_that_would_widen_a_topic_is_no_audience(name: str) -> None:
    with pytest.raises(ValueError, match="cannot address device"):
        Audience("device", name)
