"""What one connection learned of a request spares others of the same address the reading, and gives nobody more than he may."""

from __future__ import annotations

import gc
import socket
from collections.abc import Sequence
from weakref import ref

import numpy as np
import pytest

from edged.api.access import Access
from edged.api.http import InferenceApi
from edged.domain.tensor import Array
from fakes.raw_http import RawClient
from fakes.repeating import VALUES, Gate, Reads, asked, at_work, exchanged, knowing, made, number, one_runs_others_wait
from fakes.serving import FakeBrought, box, served
from fakes.waiting import until

MINE = "Authorization: Bearer " + "a" * 40 + "\r\n"


@pytest.mark.parametrize("values", [4, VALUES])
def test_the_first_request_of_another_connection_is_not_read_again(reads: Reads, values: int) -> None:
    with served(made(values)) as port, RawClient(port) as first, RawClient(port) as second:
        found = [number(exchanged(client, asked(one, values))) for one in range(3) for client in (first, second)]

    assert found == [0, 0, 2, 2, 4, 4]
    assert reads.count == 1


def test_who_asks_two_things_in_turns_is_read_twice_while_others_ask_the_same(port: int, reads: Reads) -> None:
    with RawClient(port) as one, RawClient(port) as other, RawClient(port) as both:
        exchanged(one, asked(1, id="a"))
        exchanged(other, asked(1, id="b"))
        said = [exchanged(both, asked(2, id=name)).body for name in "abab"]

    assert [b'"id":"a"' in body for body in said] == [True, False, True, False]
    assert reads.count == 2


@pytest.mark.parametrize(("more", "status"), [("", 200), ("Inference-Header-Content-Length: 3\r\n", 400)])
def test_a_length_that_is_said_otherwise_is_the_parsers_to_judge(port: int, more: str, status: int) -> None:
    with RawClient(port) as first, RawClient(port) as second:
        assert number(exchanged(first, asked(1))) == 2.0
        sent = asked(1).replace(b"Inference-Header", b"%bINFERENCE-header" % more.encode())
        assert exchanged(second, sent).status == status


def test_nothing_is_kept_when_nobody_is_connected(port: int, reads: Reads) -> None:
    for count in (1, 2):
        with RawClient(port) as client:
            assert number(exchanged(client, asked(1))) == 2.0
            assert number(exchanged(client, asked(2))) == 4.0
        assert reads.count == count
        with RawClient(port) as client:  # answered after the end of the one before was seen
            assert client.ask("GET", "/healthz").status == 200
        gc.collect()


def test_another_address_is_read(port: int, reads: Reads) -> None:
    with RawClient(port) as here, RawClient(port, source="127.0.0.9") as there:
        assert [number(exchanged(client, asked(1))) for client in (here, there)] == [2.0, 2.0]

    assert reads.count == 2


def test_who_brings_another_token_is_not_let_in_by_it(reads: Reads) -> None:
    with served(made(), access=Access(token=b"a" * 40)) as port, RawClient(port) as client:
        assert number(exchanged(client, asked(1, headers=MINE))) == 2.0
        for theirs in ("", MINE.replace("aa", "ab")):
            with RawClient(port) as other:
                assert exchanged(other, asked(1, headers=theirs)).status == 401

    assert reads.count == 1


def test_an_address_that_guesses_is_not_answered_on_a_new_connection_either() -> None:
    with served(made(), access=Access(token=b"a" * 40)) as port, RawClient(port) as client:
        assert number(exchanged(client, asked(1, headers=MINE))) == 2.0
        for guess in range(20):
            with RawClient(port) as guesser:
                assert guesser.ask("GET", "/v2", Authorization=f"Bearer {guess:040}").status == 401
        with RawClient(port) as new:
            assert exchanged(new, asked(1, headers=MINE)).status == 429


def test_after_a_reload_a_new_connection_is_let_in_by_the_new_token_alone() -> None:
    api = InferenceApi(made().handlers, 4_000_000)
    with at_work(api, b"a" * 40, b"b" * 40) as (port, server), RawClient(port) as client:
        assert number(exchanged(client, asked(1, headers=MINE))) == 2.0
        server.reload()
        with RawClient(port) as new:
            assert exchanged(new, asked(1, headers=MINE)).status == 401
        with RawClient(port) as new:
            assert number(exchanged(new, asked(1, headers=MINE.replace("a" * 40, "b" * 40)))) == 2.0


def test_another_model_of_the_same_name_is_asked_by_all() -> None:
    tripled = FakeBrought("m", "2.0.0", compute=lambda tensors: [3 * tensors[0]])
    models = [FakeBrought("m"), tripled]
    made = box(make={"m": lambda: models.pop(0)}).loaded("m")
    with served(made) as port, RawClient(port) as client, RawClient(port) as other:
        assert number(exchanged(client, asked(1))) == 2.0
        made.handlers.unload("m")
        made.handlers.load("m")
        assert [number(exchanged(one, asked(1))) for one in (other, client, other)] == [3.0, 3.0, 3.0]


def test_of_two_who_learn_at_once_either_may_leave(reads: Reads) -> None:
    gate = Gate()
    with served(made(compute=gate)) as port, RawClient(port) as stays:
        gate.shut()
        with RawClient(port) as leaves:
            for client in (stays, leaves):
                client.send(asked(1))
            until(lambda: reads.count == 2, "both were read")
            gate.passes.set()
            assert [number(client.hear()) for client in (stays, leaves)] == [2.0, 2.0]
        for _ in range(3):
            with RawClient(port) as new:
                assert number(exchanged(new, asked(3))) == 6.0

    assert reads.count == 2


@pytest.mark.parametrize("closes", ["Proxy-Connection: close\r\n", "Connection: keep-alive\r\nConnection: close\r\n"])
def test_what_closes_its_own_connection_keeps_no_others_open(closes: str) -> None:
    """Also while the first one's answer is still on its way."""

    def much(_tensors: Sequence[Array]) -> list[Array]:
        return [np.zeros((1, 5_000_000), np.float32)]

    with served(made(compute=much)) as port, RawClient(port) as first, RawClient(port) as second:
        first.send(asked(1, headers=closes))
        assert first.socket.recv(1, socket.MSG_PEEK) == b"H"
        said = exchanged(second, asked(1, headers=closes))
        assert (said.status, said.headers["connection"], second.is_closed()) == (200, "close", True)


def test_a_model_that_was_unloaded_is_held_by_no_connection() -> None:
    made = box(make={"m": lambda: FakeBrought("m")}).loaded("m")
    with served(made) as port, RawClient(port) as client:
        assert [number(exchanged(client, asked(1))) for _ in range(2)] == [2.0, 2.0]
        old = ref(made.handlers.shelf.get("m"))
        made.handlers.unload("m")
        made.handlers.load("m")
        assert number(exchanged(client, asked(1))) == 2.0
        until(lambda: gc.collect() >= 0 and old() is None, "it is let go")


def test_who_was_never_answered_is_refused_without_being_read(reads: Reads) -> None:
    gate = Gate()
    made_box = made(VALUES, gate, queue=1)
    with served(made_box) as port, knowing(port, 2, VALUES) as clients:
        one_runs_others_wait(gate, made_box, clients, VALUES)
        with RawClient(port) as new:
            assert [exchanged(new, asked(1, VALUES)).status for _ in range(3)] == [429] * 3
            gate.passes.set()
            assert [number(client.hear()) for client in clients] == [4.0, 6.0]
            assert number(exchanged(new, asked(4, VALUES))) == 8.0

    assert reads.count == 1
