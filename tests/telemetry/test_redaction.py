"""What is secret is hidden, wherever it stands, and what helps stays."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.assembly.support_archive import known_keys
from edged.config.read import parse_toml
from edged.telemetry.redaction import HIDDEN, MOST_LEARNED, Redaction

SECRET = "s1ngs-3PQ7x"  # noqa: S105 - a canary
KEY = f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----"


@pytest.fixture
def redaction() -> Redaction:
    return Redaction(known_keys())


@pytest.mark.parametrize(
    "text",
    [
        f"cannot open rtsp://viewer:{SECRET}@10.0.0.7/stream",
        f"cannot open rtsp://viewer:pa/ss@{SECRET}@10.0.0.7/stream",
        f"GET https://models.plant.local/x?token={SECRET}&y=1 HTTP/1.1",
        f"rtspsrc location=rtsp://10.0.0.7/ user-id=viewer user-pw={SECRET} ! decodebin",
        f"password={SECRET}",
        f'"password": "{SECRET}", "x": 1',
        f'{{"mqtt_password":"a \\"quoted\\" {SECRET}"}}',
        f"X-Api-Key: {SECRET}",
        f"client_secret = '{SECRET}'",
        f"Authorization: Bearer {SECRET}aaaa",
        f"authorization: Basic {SECRET}==",
        f"key:\n{KEY}\nend",
        f'header="key={SECRET}"',
        f"torn: {KEY[:50]}",
        json.dumps({"pem": KEY}),
        f'{{"accessToken": "{SECRET}", "dbPass": "{SECRET}"}}',
        f"MQTTPASSWORD={SECRET} password1={SECRET} Passwort: {SECRET} psk={SECRET} sig={SECRET} sessionid={SECRET}",
        f"Authorization: Token {SECRET}",
        f"mosquitto_pub --password {SECRET} -P {SECRET}; curl -u admin:{SECRET} x",
        f"cannot reach admin:{SECRET}@10.0.0.7, nor admin:{SECRET}@camera.local",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{SECRET}\n-----END PGP PRIVATE KEY BLOCK-----",
        f"{SECRET}\nedged[1]: {SECRET}\n-----END RSA PRIVATE KEY-----",
        f"root:$6${SECRET}$abcdefgh:19000:0:",
        f"glpat-{SECRET}{SECRET} github_pat_{SECRET.replace('-', '')}aaaaaaaaaaaa",
        f"data:image/jpeg;base64,/9j/{SECRET}{'A' * 300}==",
        f"the password is {SECRET}.",
        f"the camera's password for viewer at 10.0.0.7 was '{SECRET}', and works",
        f"Das Passwort lautet {SECRET}",
        f"tried it with password {SECRET}, twice",
        f"machine models.plant.local login press password {SECRET}",
        f"machine models.plant.local\n\tlogin press\n\taccount {SECRET}\n\tpassword {SECRET}",
        f"  password {SECRET}\n",
        f'{{"tokens": {{"{SECRET}": "viewer"}}}}',
        f'{{"passwords": ["a", "{SECRET}"]}}',
    ],
)
def test_what_looks_like_a_secret_is_hidden_in_a_text(redaction: Redaction, text: str) -> None:
    shown = redaction.text(text)
    assert SECRET not in shown
    assert HIDDEN in shown


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach 10.0.0.7:8883: connection refused, expected a broker",
        "password_file=/run/credentials/edged/mqtt: Permission denied",
        "auth failed: not authorised",
        "keyid 6c1c9e0e, key pipeline[0].rule, token_file /etc/edged/http.token",
        '{"digest": "sha256:' + "ab" * 32 + '", "at": "2026-11-21T20:00:00Z"}',
        "https://models.plant.local/parts-2.0.0.edgemodel",
        "passed 12 of 12; the pwm is at 50 %",
        "bypass: yes, compass=north",
        "the password is wrong, the token was expired, and the secret is still the same",
        "password required",
        "the token of the dashboard is in /etc/edged/http.token",
        "login failed: password rejected",
        "cannot replay: it was recorded with model:parts@2.0.0 at 12:34:56",
    ],
)
def test_what_helps_stays(redaction: Redaction, text: str) -> None:
    assert redaction.text(text) == text


def test_a_secret_of_one_place_is_hidden_in_every_other(redaction: Redaction) -> None:
    redaction.configuration({"mqtt": {"password": SECRET}})
    assert redaction.text(f"the broker said: {SECRET} is wrong") == f"the broker said: {HIDDEN} is wrong"
    assert redaction.document({"evidence": [f"<{SECRET}>"]}) == {"evidence": [f"<{HIDDEN}>"]}


def test_words_that_stand_behind_a_password_in_a_sentence_are_not_hunted_for(redaction: Redaction) -> None:
    redaction.text("password: required")
    assert redaction.text("a camera is required") == "a camera is required"


@pytest.mark.parametrize(
    ("toml", "hidden"),
    [
        (f'[mqtt]\npassword = "{SECRET}"', True),
        (f'[mqtt]\npasword = "{SECRET}"', True),
        (f'[mqtt]\npassword_file = "{SECRET}"', True),
        (f'[mqtt]\ntls = {{ ca = "/etc/ca.pem", key = "{SECRET}" }}', True),
        (f'[[source]]\nname = "dock"\nurl = "rtsp://a:{SECRET}@h/"', True),
        (f'[[source]]\nname = "dock"\nkind = "acme-camera"\noptions = {{ pin = "{SECRET}" }}', True),
        (f'[[pipeline]]\nname = "gate"\n[pipeline.odd]\ndeep = ["{SECRET}"]', True),
        (f'[[pipeline]]\nname = "gate"\nmodel = ["curl", "-u", "bob:{SECRET}"]', True),
        (f'[engine.edgetpu]\npython = "/opt/{SECRET}"', False),
        (f'[mqtt]\nusername = "{SECRET}"', False),
        (f'[mqtt]\npassword_file = "/run/{SECRET}"', False),
    ],
)
def test_a_configuration_shows_what_edged_knows_and_no_secret(redaction: Redaction, toml: str, hidden: bool) -> None:
    shown = json.dumps(redaction.configuration(parse_toml(toml)))
    assert (SECRET not in shown) == hidden


def test_a_list_of_tables_may_hold_what_is_none(redaction: Redaction) -> None:
    shown = redaction.configuration({"source": [{"name": "dock"}, f"password: {SECRET}", 3]})
    assert shown == {"source": [{"name": "dock"}, f"password: {HIDDEN}", 3]}


def test_a_secret_that_is_a_key_is_hidden_below_what_holds_secrets(redaction: Redaction) -> None:
    shown = json.dumps(redaction.document({"tokens": {SECRET: {"user": "viewer"}, "note": 1}, "note": {"p50_ms": 1.5}}))
    assert json.loads(shown) == {"tokens": {HIDDEN: {"user": HIDDEN}, "note": HIDDEN}, "note": {"p50_ms": 1.5}}
    assert SECRET not in json.dumps(redaction.configuration({"sink": [{"options": {SECRET: "viewer"}}]}))


def test_a_long_key_that_is_a_secret_is_hunted_for_and_a_boxs_name_is_not(redaction: Redaction) -> None:
    redaction.document({"tokens": {f"{SECRET}{SECRET}": "viewer", "press-07": "x"}})
    assert redaction.text(f"{SECRET}{SECRET} of press-07") == f"{HIDDEN} of press-07"


def test_of_a_configuration_that_cannot_be_read_the_bones_are_shown(redaction: Redaction) -> None:
    text = f'# {SECRET}\n[mqtt]\nhost = "{SECRET}"\nport = """\n{SECRET} = 3\n"""\nodd = "{SECRET}"\n[odd.{SECRET}]\n[[source]]\n'
    assert redaction.broken(text) == f"[mqtt]\nhost = {HIDDEN}\nport = {HIDDEN}\n[[source]]\n"


def test_what_a_broken_configuration_had_as_a_password_is_hidden_elsewhere(redaction: Redaction) -> None:
    redaction.broken(f'[mqtt\npassword = "{SECRET}"')
    assert SECRET not in redaction.text(f"said {SECRET}")


def test_documents_stay_documents(redaction: Redaction) -> None:
    told: dict[str, Any] = {
        "auth": True,
        "token": None,
        "tokens": [1, 2],
        "figures": {"p50_ms": 1.5},
        "password": ["a"],
    }
    assert redaction.document(told) == {
        "auth": True,
        "token": None,
        "tokens": [HIDDEN, HIDDEN],
        "figures": {"p50_ms": 1.5},
        "password": [HIDDEN],
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_whatever_a_document_holds_it_is_one_afterwards_and_twice_is_once(document: Any) -> None:
    once = Redaction(known_keys()).document(document)
    assert json.loads(json.dumps(once)) == once
    assert Redaction(known_keys()).document(once) == once


@given(st.text(max_size=300))
def test_whatever_a_text_is_it_is_gone_through(text: str) -> None:
    assert isinstance(Redaction(known_keys()).text(text), str)
    assert isinstance(Redaction(known_keys()).broken(text), str)


@pytest.mark.parametrize(
    "word",
    [
        "a://",
        "a://b?",
        "key=",
        "-eyJaaaaaaaa",
        "password=",
        "----END PRIVATE KEY-----",
        "password ",
        "password is ",
        "login a ",
        "tokens: {",
    ],
)
def test_a_hostile_line_takes_no_longer_than_a_long_one(redaction: Redaction, word: str) -> None:
    begin_s = time.process_time()
    redaction.lines(word * 12_000)
    assert time.process_time() - begin_s < 2.0


def test_a_log_with_another_token_in_every_line_is_searched_for_the_first_of_them(redaction: Redaction) -> None:
    redaction.lines("".join(f"token={number}x{SECRET}\n" for number in range(2 * MOST_LEARNED)))
    assert len(redaction.learned) == MOST_LEARNED
