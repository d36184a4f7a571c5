"""Requests that are not read anew: their turn, their time and their memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from edged.api import guarded
from edged.api.guarded import GuardedProtocol
from edged.api.http import InferenceApi
from edged.domain.errors import EngineLostError
from edged.domain.tensor import Array, TensorSpec
from fakes.raw_http import RawClient, Said
from fakes.repeating import VALUES, Gate, asked, at_work, exchanged, knowing, made, number, one_runs_others_wait
from fakes.serving import FakeBrought, box, doubled, served
from fakes.waiting import LONGEST_S, until


@pytest.mark.parametrize("values", [4, VALUES])
def test_who_finds_the_line_full_is_told_when_to_come_again(values: int) -> None:
    gate = Gate()
    made_box = made(values, compute=gate, queue=2)
    with served(made_box) as port, knowing(port, 4, values) as clients:
        one_runs_others_wait(gate, made_box, clients[:3], values)
        # Two at once: the second is not read as what is left of the first.
        clients[3].send(asked(4, values) * 2)
        said = [clients[3].hear() for _ in range(2)]
        gate.passes.set()

        assert [one.status for one in said] == [429, 429]
        assert int(said[0].headers["retry-after"]) >= 1
        assert made_box.handlers.shelf.get("m").counts.refusals == {"overloaded": 2}
        assert [number(client.hear()) for client in clients[:3]] == [4.0, 6.0, 6.0]
        assert number(exchanged(clients[3], asked(4, values))) == 8.0


def test_who_is_refused_and_sends_no_more_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MESSAGE_S", 0.5)
    gate = Gate()
    made_box = made(VALUES, compute=gate, queue=1)
    with served(made_box) as port, knowing(port, 3, VALUES) as clients:
        one_runs_others_wait(gate, made_box, clients[:2], VALUES)
        clients[2].send(asked(4, VALUES)[:-4])

        assert clients[2].hear().status == 429
        assert clients[2].is_closed()
        gate.passes.set()
        assert [number(client.hear()) for client in clients[:2]] == [4.0, 6.0]


def test_a_limit_holds_in_the_line() -> None:
    gate = Gate()
    made_box = made(compute=gate)
    with served(made_box) as port, RawClient(port) as client, RawClient(port) as other:
        limit = {"parameters": {"binary_data_output": True, "timeout": 200_000}}
        assert number(exchanged(client, asked(1, **limit))) == 2.0
        gate.shut()
        other.send(asked(5))
        assert gate.began.wait(LONGEST_S)
        said = exchanged(client, asked(2, **limit))
        gate.passes.set()

        assert said.status == 504
        assert number(other.hear()) == 10.0
        assert number(exchanged(client, asked(3, **limit))) == 6.0


def test_who_goes_away_leaves_the_line_and_the_memory() -> None:
    gate = Gate()
    made_box = made(VALUES, compute=gate)
    api = InferenceApi(made_box.handlers, 4_000_000)
    with at_work(api) as (port, _), knowing(port, 3, VALUES) as (first, second, third):
        gate.shut()
        first.send(asked(2, VALUES))
        assert gate.began.wait(LONGEST_S)
        second.send(asked(3, VALUES))
        third.send(asked(4, VALUES)[:-4])
        until(lambda: made_box.handlers.shelf.get("m").waiting == 1, "one waits")
        second.close()
        third.close()
        until(lambda: made_box.handlers.shelf.get("m").waiting == 0, "it left the line")
        gate.passes.set()

        assert number(first.hear()) == 4.0
        assert 3.0 not in gate.seen
        until(lambda: api.buffers.taken == 0, "no body lies anywhere")


def test_the_numbers_of_a_run_that_nobody_waits_for_are_not_written_over() -> None:
    gate = Gate()
    api = InferenceApi(made(VALUES, compute=gate).handlers, 4_000_000)
    with at_work(api) as (port, _), knowing(port, 2, VALUES) as (first, second):
        gate.shut()
        first.send(asked(2, VALUES))
        assert gate.began.wait(LONGEST_S)
        first.close()
        until(lambda: api.buffers.taken == 0, "its memory was given back")
        second.send(asked(3, VALUES))
        until(lambda: api.handlers.shelf.get("m").waiting == 1, "the next one waits")
        gate.passes.set()

        assert number(second.hear()) == 6.0
        assert gate.after == gate.seen


def loaded_meanwhile(newer: FakeBrought) -> Said:
    """Give what a client hears whose body was on its way when another version took the model's place."""
    models = [FakeBrought("m"), newer]
    api = InferenceApi(box(make={"m": lambda: models.pop(0)}).loaded("m").handlers, 4_000_000)
    with at_work(api) as (port, _), knowing(port, 1) as (client,):
        sent = asked(1)
        client.send(sent[:-4])
        until(lambda: api.buffers.taken > 0, "the rest of it came")
        api.handlers.load("m")
        return exchanged(client, sent[-4:])


def test_a_body_that_was_on_its_way_is_answered_by_the_newer_version() -> None:
    tripled = FakeBrought("m", "2.0.0", compute=lambda tensors: [3 * tensors[0]])

    assert number(loaded_meanwhile(tripled)) == 3.0


def test_a_body_that_was_on_its_way_is_not_given_to_a_model_that_takes_something_else() -> None:
    wide = TensorSpec("x", (1, 8), "float32")

    assert loaded_meanwhile(FakeBrought("m", "2.0.0", inputs=(wide,), outputs=(wide,))).status == 503


def test_the_end_of_the_server_lets_bodies_go_that_do_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.api.server.LEAVE_S", 1)
    api = InferenceApi(made(VALUES).handlers, 4_000_000)
    with at_work(api) as (port, server), knowing(port, 1, VALUES) as (client,):
        client.send(asked(1, VALUES)[:-4])
        until(lambda: api.buffers.taken > 0, "its memory is there")
        server.stop()
        assert server.join(LONGEST_S)

    assert api.buffers.taken == 0


@pytest.mark.parametrize("more", [{}, {"id": "another"}], ids=["known", "read"])
def test_who_still_waits_when_the_server_must_end_meets_no_fault(
    more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edged.api.server.LEAVE_S", 1)
    gate = Gate()
    made_box = made(4, gate)
    with at_work(InferenceApi(made_box.handlers, 4_000_000)) as (port, server), knowing(port, 2) as (runs, waits):
        gate.shut()
        runs.send(asked(1))
        assert gate.began.wait(LONGEST_S)
        waits.send(asked(2, **more))
        until(lambda: made_box.handlers.shelf.get("m").waiting == 1, "it waits")
        server.stop()
        try:
            assert waits.hear().status == 499
        except ConnectionError:
            assert not more, "it was cut off without a word"
        gate.passes.set()
        assert server.join(LONGEST_S)


@dataclass
class Standing:
    """A transport that is closing, of which a client takes what a test says."""

    left: int = 100
    is_aborted: bool = False

    def is_closing(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return self.left

    def abort(self) -> None:
        self.is_aborted = True


def test_who_takes_nothing_while_the_connection_closes_is_cut_off_and_who_takes_is_not() -> None:
    connection = GuardedProtocol.__new__(GuardedProtocol)
    connection.transport = transport = Standing()  # type: ignore[assignment]
    connection._stood = None
    for now_s in range(100):
        transport.left -= 1
        connection.look(float(now_s))
    assert not transport.is_aborted
    connection.look(99.0 + guarded.WRITE_S)
    assert not transport.is_aborted
    connection.look(100.0 + guarded.WRITE_S)
    assert transport.is_aborted


def test_what_fails_is_told_and_the_connection_goes_on() -> None:
    fails = [False, True, False]

    def compute(tensors: Sequence[Array]) -> list[Array]:
        if fails.pop(0):
            message = "cannot run: it broke"
            raise EngineLostError(message)
        return doubled(tensors)

    with served(made(compute=compute)) as port, RawClient(port) as client:
        said = [exchanged(client, asked(1)) for _ in range(3)]

    assert [one.status for one in said] == [200, 503, 200]
    assert "it broke" in said[1].error


def test_the_end_of_the_server_waits_for_the_answer() -> None:
    gate = Gate()
    api = InferenceApi(made(compute=gate).handlers, 4_000_000)
    with at_work(api) as (port, server), knowing(port, 1) as (client,):
        gate.shut()
        client.send(asked(2))
        assert gate.began.wait(LONGEST_S)
        server.stop()
        assert not server.join(0.5)
        gate.passes.set()
        said = client.hear()

        assert number(said) == 4.0
        assert said.headers["connection"] == "close"
        assert client.is_closed()


def test_a_body_that_does_not_come_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "MESSAGE_S", 0.3)
    with served(made()) as port, RawClient(port) as client:
        assert number(exchanged(client, asked(1))) == 2.0
        client.send(asked(2)[:-4])
        assert client.is_closed()


def test_who_says_nothing_after_an_answer_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.api.server.KEEP_ALIVE_S", 1)
    with served(made()) as port, RawClient(port) as client:
        assert [number(exchanged(client, asked(1))) for _ in range(2)] == [2.0, 2.0]
        began_s = time.monotonic()
        assert client.is_closed()
        assert time.monotonic() - began_s > 0.5


def test_a_head_that_does_not_end_loses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "HEAD_S", 0.3)
    with served(made()) as port, RawClient(port) as client:
        assert [number(exchanged(client, asked(1))) for _ in range(2)] == [2.0, 2.0]
        client.send(b"POST /v2")
        assert client.is_closed()
