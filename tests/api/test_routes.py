"""What rows share: slow work aside, and JSON that every browser reads."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edged.api import metrics, page, past
from edged.api.access import Access
from edged.api.http import MOST_LOADING
from edged.api.page import MOST_LOOKING
from edged.api.routes import MOST_KNOWN, MOST_KNOWN_CHARS, WAITING_OF_A_KIND, Application, document
from edged.api.server import HttpServer, Listening
from edged.hardware.clock import SystemClock
from fakes.brokers import free_port
from fakes.raw_http import RawClient, request
from fakes.serving import FakeBrought, box, served
from fakes.waiting import until


class Stalled:
    """What the page and its panels look at; pictures and histories come when they are let go."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.gate = threading.Event()

    def document(self, span_s: float = 0.0, points: int = 0) -> dict[str, Any]:
        if points:
            self.wait()
        return {"score": math.nan, "asked": [span_s, points]}

    def picture(self, name: str) -> bytes:
        self.wait()
        return name.encode()

    def window(self, name: str) -> dict[str, Any]:
        return {"name": name}

    def wait(self) -> None:
        self.began.release()
        assert self.gate.wait(60)


@pytest.fixture
def stalled() -> Stalled:
    return Stalled()


@pytest.fixture
def port(stalled: Stalled) -> Iterator[int]:
    rows = [*page.routes(stalled), *past.routes(stalled), *metrics.routes(lambda: "edged_info 1\n")]
    listening = Listening("127.0.0.1", free_port(), 64)
    server = HttpServer(listening, lambda: Application(rows, Access()), SystemClock())
    server.start()
    until(lambda: server.working, "it answers")
    yield listening.port
    stalled.gate.set()
    server.stop()
    assert server.join(60)


def test_cameras_that_stand_still_and_long_looks_back_hold_up_neither_the_page_nor_metrics(
    port: int, stalled: Stalled
) -> None:
    looking = [RawClient(port, 60) for _ in range(MOST_LOOKING + 4)]
    for client in looking:
        client.send(request("GET", "/api/pipelines/gate/picture"))
    for client in (back := [RawClient(port, 60) for _ in range(6)]):
        client.send(request("GET", "/api/history"))
    for _ in range(MOST_LOOKING + 1):
        assert stalled.began.acquire(timeout=30)

    with RawClient(port) as other:
        answered = [other.ask("GET", path).status for path in ("/api/overview", "/metrics", "/dashboard.js")]
    stalled.gate.set()
    pictures = [client.hear().body for client in looking]
    for client in (*looking, *back):
        client.close()

    assert answered == [200, 200, 200]
    assert pictures == [b"gate"] * len(looking)


def test_who_asks_and_goes_away_again_and_again_leaves_no_more_behind_than_may_wait(
    port: int, stalled: Stalled
) -> None:
    def waiting() -> int:
        return sum(thread.name == "edged-http-aside" for thread in threading.enumerate())

    before = waiting()
    with RawClient(port, 60) as first:
        first.send(request("GET", "/api/history"))
        assert stalled.began.acquire(timeout=30)
        for _ in range(2 * WAITING_OF_A_KIND):
            with RawClient(port) as leaves:
                leaves.send(request("GET", "/api/history"))
        until(lambda: waiting() - before > WAITING_OF_A_KIND, "as many wait as may")
        with RawClient(port) as other:
            told = other.ask("GET", "/api/history")
            answered = other.ask("GET", "/metrics").status
        most = waiting() - before
        stalled.gate.set()
        assert first.hear().status == 200

    assert (told.status, told.headers["retry-after"], answered) == (429, "1", 200)
    assert told.error.startswith("cannot do this now: too many wait for the same already")
    assert most <= WAITING_OF_A_KIND + 1


def test_a_number_that_is_none_is_null(port: int) -> None:
    with RawClient(port) as client:
        assert client.ask("GET", "/api/overview").json["score"] is None
    assert json.loads(document({"curve": [1.5, math.inf, -math.inf]}).body) == {"curve": [1.5, None, None]}


def test_models_that_take_their_time_to_load_hold_up_no_other_request() -> None:
    began, gate = threading.Semaphore(0), threading.Event()

    def slow() -> FakeBrought:
        began.release()
        assert gate.wait(60)
        return FakeBrought("late")

    names = [f"late{number}" for number in range(5)]
    made = box(make={"m": lambda: FakeBrought("m"), **dict.fromkeys(names, slow)}).loaded("m")
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}
    large = json.dumps({"inputs": [tensor]}) + " " * 100_000
    with served(made) as port:
        loading = [RawClient(port, 60) for _ in names]
        for client, name in zip(loading, names, strict=True):
            client.send(request("POST", f"/v2/repository/models/{name}/load"))
        for _ in range(MOST_LOADING):
            assert began.acquire(timeout=30)
        with RawClient(port) as other:
            answered = [
                other.ask("POST", "/v2/repository/index").status,
                other.ask("POST", "/v2/models/m/infer", large).status,
            ]
        gate.set()
        loaded = [client.hear().status for client in loading]
        for client in loading:
            client.close()

    assert answered == [200, 200]
    assert loaded == [200] * 5


def test_every_path_keeps_its_row_and_names_whoever_asked_before() -> None:
    made = box(make={"m": lambda: FakeBrought("m")}).loaded("m")
    others = [f"/v2/models/other{number}" for number in range(MOST_KNOWN + 8)]
    with served(made) as port, RawClient(port) as client:
        for _ in range(2):
            assert client.ask("GET", "/v2/models/m").json["name"] == "m"
            assert client.ask("GET", "/v2/models/m/ready").status == 200
            assert client.ask("POST", "/v2/models/m").status == 405
            for path in (*others, f"/v2/models/{'x' * 2 * MOST_KNOWN_CHARS}"):
                assert client.ask("GET", path).status == 404
            assert client.ask("GET", "/nowhere").error == "cannot find '/nowhere'"
