from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.control.command import MAX_COMMAND_BYTES, VERBS, Command, Refused, judge, read_command
from edged.control.handled import Handled

NOON_MS = 1_795_262_400_000
NOON = "2026-11-21T12:00:00Z"


def wire(**fields: Any) -> bytes:
    return json.dumps({"id": "c-1", "verb": "ping", "expires_at": NOON, **fields}).encode()


def refused(payload: bytes) -> Refused:
    found = read_command(payload)
    assert isinstance(found, Refused), found
    return found


def test_a_command_is_read() -> None:
    expected = Command("c-1", "pause", NOON_MS, {"pipeline": "gate"})
    assert read_command(wire(verb="pause", args={"pipeline": "gate"})) == expected


def test_without_arguments_it_has_none_and_unknown_fields_are_ignored() -> None:
    assert read_command(wire(note=[1, {"a": 1.5}, "]}]}"])) == Command("c-1", "ping", NOON_MS, {})


@pytest.mark.parametrize(
    ("text", "after_noon_ms"),
    [
        ("2026-11-21T12:00:00Z", 0),
        ("2026-11-21t12:00:00z", 0),
        ("2026-11-21 12:00:00.5Z", 500),
        ("2026-11-21T12:00:00.123456789Z", 123),
        ("2026-11-21T14:00:00+02:00", 0),
        ("2026-11-21T08:30:00-03:30", 0),
        ("2026-11-21T12:00:60Z", 59_000),
    ],
)
def test_rfc_3339_is_read_in_every_form(text: str, after_noon_ms: int) -> None:
    found = read_command(wire(expires_at=text))
    assert isinstance(found, Command)
    assert found.expires_ms - NOON_MS == after_noon_ms


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001  (the zone is drawn beside it)
def test_the_moment_is_the_one_that_python_reads(moment: datetime, east_min: int) -> None:
    aware = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=east_min)))
    found = read_command(wire(expires_at=aware.isoformat()))
    assert isinstance(found, Command)
    assert found.expires_ms == int(aware.timestamp()) * 1000


@pytest.mark.parametrize("text", [None, 7, "", "tomorrow", "2026-11-21T12:00:00", "2026-13-01T00:00:00Z", "2026-11-21"])
def test_a_time_that_is_none_is_malformed_and_keeps_the_id(text: Any) -> None:
    found = refused(wire(expires_at=text))
    assert (found.code, found.id, found.verb) == ("malformed", "c-1", "ping")
    assert "RFC 3339" in found.message


def test_a_command_that_says_no_time_is_told_so() -> None:
    found = refused(json.dumps({"id": "c-1", "verb": "ping"}).encode())
    assert found.message.startswith("cannot take a command without expires_at, expected RFC 3339 such as")


@pytest.mark.parametrize("id_", [None, 7, "", "a b", "x" * 65, "é", "a\n", ["a"]])
def test_an_id_that_cannot_be_repeated_is_malformed(id_: Any) -> None:
    found = refused(wire(id=id_))
    assert (found.code, found.id) == ("malformed", "")


@pytest.mark.parametrize("verb", [None, 3, "explode", "x" * 9000, ["ping"], "\ud800"])
def test_an_unknown_verb_is_refused_with_those_that_are_known(verb: Any) -> None:
    found = refused(wire(verb=verb))
    assert (found.code, found.id) == ("unknown-verb", "c-1")
    assert "reload" in found.message
    assert len(found.message.encode()) < 250


@pytest.mark.parametrize("args", [None, 7, "gate", ["gate"], {"pipelin": "gate"}, {"pipeline": 7}, {"pipeline": None}])
def test_arguments_that_the_verb_does_not_take_are_refused(args: Any) -> None:
    assert refused(wire(verb="pause", args=args)).code == "malformed"


def test_a_verb_without_arguments_takes_none() -> None:
    assert "under: none" in refused(wire(args={"pipeline": "gate"})).message


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe", "UTF-8 at byte 0"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"[" * 9 + b"]" * 9, "deeper"),
        (b"[" * 16_000, "deeper"),
        (b'{"a":' * 3000, "deeper"),
        (b'{"id":"a","id":"b"}', "twice"),
        (b'{"id":NaN}', "NaN"),
        (b'{"id":-Infinity}', "-Infinity"),
        (b'{"id":1e999}', "out of range"),
        (b'{"id":' + b"9" * 10_000 + b"}", "10000 digits"),
        (b'{"id":-' + b"9" * 19 + b"}", "digits"),
        (b"null", "object"),
        (b"[]", "object"),
        (b"7.5", "object"),
        (b"123", "object"),
        (b'{"id":"a"} x', "Extra data"),
        (b'{"id":"\x00"}', "control character"),
    ],
)
def test_hostile_json_is_refused_with_the_reason(payload: bytes, word: str) -> None:
    found = refused(payload)
    assert found.code == "malformed"
    assert word in found.message


def test_what_is_oversized_is_not_even_parsed() -> None:
    found = refused(b"[" * (10 << 20))
    assert (found.code, found.id) == ("oversized", "")
    assert str(MAX_COMMAND_BYTES) in found.message


@pytest.mark.parametrize("filling", [b'\\"', b'"', b"[{", b'"\\\\', b"9", b'{"a":1,', b"\\u0000"])
def test_the_largest_payload_takes_milliseconds_whatever_it_holds(filling: bytes) -> None:
    payload = (b'{"a":"' + filling * MAX_COMMAND_BYTES)[:MAX_COMMAND_BYTES]
    began = time.process_time()
    read_command(payload)
    assert time.process_time() - began < 0.5


@given(st.binary(max_size=300))
def test_no_bytes_at_all_make_it_raise(payload: bytes) -> None:
    assert isinstance(read_command(payload), Command | Refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.just("c-1") | JSON,
            "verb": st.sampled_from(sorted(VERBS)) | JSON,
            "args": st.just({}) | st.dictionaries(st.just("pipeline"), st.text(max_size=5)) | JSON,
            "expires_at": st.just(NOON) | JSON,
        },
    )
)
def test_no_document_at_all_makes_it_raise(document: dict[str, Any]) -> None:
    found = read_command(json.dumps(document).encode())
    assert isinstance(found, Command | Refused)
    if isinstance(found, Refused):
        found.message.encode()


COMMAND = Command("c-1", "ping", NOON_MS)


def test_a_command_in_time_is_permitted_until_it_expires() -> None:
    assert judge(COMMAND, Handled(), NOON_MS - 1, retained=False) is None
    found = judge(COMMAND, Handled(), NOON_MS, retained=False)
    assert found is not None
    assert (found.code, found.id, found.verb) == ("expired", "c-1", "ping")


def test_a_retained_command_is_never_permitted() -> None:
    found = judge(COMMAND, Handled(), 0, retained=True)
    assert found is not None
    assert found.code == "retained"


def test_a_command_is_permitted_once() -> None:
    handled = Handled().with_one("c-1", NOON_MS, 0, synced=True)
    found = judge(COMMAND, handled, 0, retained=False)
    assert found is not None
    assert found.code == "duplicate"


def test_a_box_that_boots_in_1970_does_not_take_what_expired_before_it_went_down() -> None:
    handled = Handled(latest_ms=NOON_MS + 1)
    found = judge(COMMAND, handled, 5_000, retained=False)
    assert found is not None
    assert found.code == "expired"
