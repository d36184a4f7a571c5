"""Who may do what."""

from __future__ import annotations

import base64
import hmac
from types import SimpleNamespace
from typing import Any

import pytest

from edged.api.access import Access, Right
from edged.api.refusal import RefusedError

TOKEN, READER = "t" * 32, "r" * 32
GUARDED = Access(TOKEN.encode(), READER.encode(), frozenset({"localhost", "press-07"}))
OPEN = Access()


def check(access: Access, right: Right = "read", **headers: Any) -> str:
    given = {"host": "127.0.0.1:8080", "origin": "", "authorization": "", **headers}
    try:
        access.check(right, **given)
    except RefusedError as error:
        return error.kind
    return "passes"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "localhost:8080", "LOCALHOST"])
def test_addresses_and_the_boxes_own_names_are_answered(host: str) -> None:
    assert check(OPEN, host=host) == "passes"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "", "127.0.0.1.evil.example", "localhost.evil", "[evil]", "a:b:c"]
)
def test_any_other_name_is_dns_rebinding_and_refused(host: str) -> None:
    assert check(OPEN, host=host) == "forbidden"


@pytest.mark.parametrize(
    ("origin", "is_answered"),
    [
        ("http://127.0.0.1:8080", "passes"),
        ("https://127.0.0.1:8080", "passes"),
        ("http://127.0.0.1:9090", "forbidden"),
        ("https://evil.example", "forbidden"),
        ("null", "forbidden"),
    ],
)
def test_a_page_of_another_site_is_refused_even_where_no_token_is_asked(origin: str, is_answered: str) -> None:
    assert check(OPEN, "control", origin=origin) == is_answered


def test_without_a_token_who_connects_may_do_everything() -> None:
    assert check(OPEN, "control") == "passes"


@pytest.mark.parametrize(
    ("right", "authorization", "said"),
    [
        ("open", "", "passes"),
        ("read", "", "unauthenticated"),
        ("read", "Bearer wrong", "unauthenticated"),
        ("read", f"Bearer {READER}", "passes"),
        ("read", f"bearer  {TOKEN}", "passes"),
        ("control", f"Bearer {READER}", "forbidden"),
        ("control", f"Bearer {TOKEN}", "passes"),
        ("control", f"Digest {TOKEN}", "unauthenticated"),
        ("control", "Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode(), "passes"),
        ("read", "Basic no-base64!", "unauthenticated"),
        ("read", "Basic ====", "unauthenticated"),
        ("read", "Bearer é", "unauthenticated"),
    ],
)
def test_a_right_asks_for_its_token(right: Right, authorization: str, said: str) -> None:
    assert check(GUARDED, right, host="press-07", authorization=authorization) == said


def test_each_token_is_compared_to_its_end_whatever_the_other_says(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def constant_time(given: bytes, wanted: bytes) -> bool:
        compared.append((given, wanted))
        return hmac.compare_digest(given, wanted)

    monkeypatch.setattr("edged.api.access.hmac", SimpleNamespace(compare_digest=constant_time))
    access = Access(b"c" * 20, b"r" * 20)
    for given in ("c" * 20, "r" * 20):
        access.check("read", host="localhost", origin="", authorization=f"Bearer {given}")

    assert compared == [(b"c" * 20, b"c" * 20), (b"c" * 20, b"r" * 20), (b"r" * 20, b"c" * 20), (b"r" * 20, b"r" * 20)]


def test_no_token_is_no_token_for_reading() -> None:
    access = Access(TOKEN.encode())

    assert check(access, authorization="Bearer ") == "unauthenticated"


@pytest.mark.parametrize("tokens", [(b"short",), (b"x" * 32, b"short")])
def test_a_token_that_could_be_guessed_is_none(tokens: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="expected at least 16"):
        Access(*tokens)
