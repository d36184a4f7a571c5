"""Clients whose libraries send head and JSON apart, as most do: they are spared the reading like others, and waited for no longer."""

from __future__ import annotations

import time
from http.client import HTTPConnection

import numpy as np
import pytest

from edged.api import guarded, repeating
from edged.api.access import Access
from edged.api.http import InferenceApi
from fakes.raw_http import RawClient
from fakes.repeating import INFER, VALUES, Reads, asked, at_work, exchanged, knowing, made, number
from fakes.serving import served
from fakes.waiting import LONGEST_S

PAUSE_S = 0.05
"""Long enough for what was sent to be read before the rest comes."""
MINE = "Authorization: Bearer " + "a" * 40 + "\r\n"


def halves(sent: bytes) -> tuple[bytes, bytes]:
    """Give a request's head, and what follows it."""
    head = sent.index(b"\r\n\r\n") + 4
    return sent[:head], sent[head:]


def apart(client: RawClient, sent: bytes, *cuts: int, pause_s: float = PAUSE_S) -> None:
    """Send a request in pieces; a cut counts from the end of the head."""
    ends = [len(halves(sent)[0]) + cut for cut in cuts]
    for begin, end in zip([0, *ends], [*ends, len(sent)], strict=True):
        client.send(sent[begin:end])
        time.sleep(pause_s)


JSON_BYTES = len(halves(asked(1))[1]) - 4 * 4


@pytest.mark.parametrize("cuts", [(0,), (1,), (0, 1, 2), (0, 40), (0, JSON_BYTES), (JSON_BYTES,)])
def test_however_they_are_apart_they_are_read_once(port: int, reads: Reads, cuts: tuple[int, ...]) -> None:
    found = []
    with RawClient(port) as client:
        for one in range(4):
            apart(client, asked(one), *cuts)
            found.append(number(client.hear()))
        with RawClient(port) as new:
            apart(new, asked(4), *cuts)
            found.append(number(new.hear()))

    assert found == [0, 2, 4, 6, 8]
    assert reads.count == 1


@pytest.mark.parametrize("values", [4, VALUES])
def test_the_standard_library_is_read_once(reads: Reads, values: int) -> None:
    with served(made(values)) as port:
        client, found = HTTPConnection("127.0.0.1", port, timeout=20), []
        for one in range(4):
            head, _, body = asked(one, values).partition(b"\r\n\r\n")
            headers = dict(line.split(": ") for line in head.decode().splitlines()[2:])
            client.request("POST", INFER, body, headers)
            found.append(float(np.frombuffer(client.getresponse().read()[-4:], "<f4")[0]))
        client.close()

    assert found == [0, 2, 4, 6]
    assert reads.count == 1


@pytest.mark.parametrize("values", [4, VALUES])
def test_triton_s_client_is_read_once(reads: Reads, values: int) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="tritonclient has no wheels for this Python")
    with served(made(values)) as port:
        client, found = triton.InferenceServerClient(f"127.0.0.1:{port}"), []
        for one in range(4):
            tensor = triton.InferInput("x", [1, values], "FP32")
            tensor.set_data_from_numpy(np.full((1, values), one, np.float32))
            said = client.infer("m", [tensor], outputs=[triton.InferRequestedOutput("x")])
            found.append(set(said.as_numpy("x").ravel().tolist()))
        client.close()

    assert found == [{0}, {2}, {4}, {6}]
    assert reads.count == 1


@pytest.mark.parametrize("cut", [0, 3, 20])
def test_another_json_behind_a_known_head_is_read(port: int, reads: Reads, cut: int) -> None:
    with RawClient(port) as client:
        for name in ("a", "b", "a"):
            apart(client, asked(1, id=name), cut)
            said = client.hear()
            assert number(said) == 2.0
            assert f'"id":"{name}"'.encode() in said.body

    # The third has to be read anew: a connection keeps one.
    assert reads.count == 3


def test_what_comes_too_late_is_the_parsers(port: int, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeating, "APART_S", 2 * PAUSE_S)
    with RawClient(port) as client:
        assert number(exchanged(client, asked(1))) == 2.0
        for cuts in ((0,), (0, 10, 20)):
            count = reads.count
            apart(client, asked(3), *cuts, pause_s=4 * PAUSE_S)
            assert number(client.hear()) == 6.0
            assert reads.count == count + 1
        assert number(exchanged(client, asked(4))) == 8.0


@pytest.mark.parametrize("cut", [0, 20])
def test_what_never_comes_loses_the_connection(port: int, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr(repeating, "APART_S", PAUSE_S)
    monkeypatch.setattr(guarded, "MESSAGE_S", 0.3)
    with knowing(port, 1) as (client,):
        head, rest = halves(asked(1))
        client.send(head + rest[:cut])
        assert client.is_closed()
        with RawClient(port) as other:
            assert number(exchanged(other, asked(2))) == 4.0


def test_who_waits_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.api.server.KEEP_ALIVE_S", 1)
    monkeypatch.setattr(repeating, "APART_S", LONGEST_S)
    with served(made()) as port, RawClient(port) as client:
        for one in (1, 2):
            head, rest = halves(asked(one))
            client.send(head)
            time.sleep(1.5)
            client.send(rest)
            assert number(client.hear()) == 2 * one


def test_who_goes_away_meanwhile_leaves_nothing(port: int, reads: Reads) -> None:
    with knowing(port, 1) as (stays,):
        with RawClient(port) as leaves:
            apart(leaves, asked(1)[:-16], 0)
        assert number(exchanged(stays, asked(2))) == 4.0

    assert reads.count == 1


def test_several_at_once_are_answered_in_order(port: int) -> None:
    with knowing(port, 1) as (client,):
        sent = b"".join(asked(one) for one in range(3))
        apart(client, sent, 0)
        assert [number(client.hear()) for _ in range(3)] == [0, 2, 4]


def test_a_token_that_ends_meanwhile_lets_nobody_in() -> None:
    api = InferenceApi(made().handlers, 4_000_000)
    with at_work(api, b"a" * 40, b"b" * 40) as (port, server), RawClient(port) as client:
        assert number(exchanged(client, asked(1, headers=MINE))) == 2.0
        head, rest = halves(asked(2, headers=MINE))
        client.send(head)
        time.sleep(PAUSE_S)
        server.reload()
        client.send(rest)
        assert client.hear().status == 401


def test_another_ones_head_is_the_parsers_to_judge() -> None:
    with served(made(), access=Access(token=b"a" * 40)) as port, RawClient(port) as client:
        assert number(exchanged(client, asked(1, headers=MINE))) == 2.0
        with RawClient(port) as other:
            apart(other, asked(1, headers=MINE.replace("aa", "ab")), 0)
            assert other.hear().status == 401


def test_the_end_of_the_server_answers_what_has_begun() -> None:
    api = InferenceApi(made().handlers, 4_000_000)
    with at_work(api) as (port, server), knowing(port, 1) as (client,):
        head, rest = halves(asked(2))
        client.send(head)
        time.sleep(PAUSE_S)
        server.stop()
        assert not server.join(0.3)
        client.send(rest)
        said = client.hear()
        assert (number(said), said.headers["connection"]) == (4.0, "close")
        assert client.is_closed()
