"""HTTP with more requests than there is room for, and clients that are refused or go away."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np

from edged.api.access import Access
from fakes.inferring import INFER, X, asked, given, infer
from fakes.raw_http import RawClient, Said, request
from fakes.serving import FakeBrought, box, served
from fakes.waiting import until


def test_access_is_asked_before_anything_else() -> None:
    reader, token = "r" * 20, "t" * 20
    with served(box(FakeBrought("m")).loaded("m"), access=Access(token.encode(), reader.encode())) as port:

        def said(method: str, path: str, **headers: str) -> Said:
            with RawClient(port) as client:
                return client.ask(method, path, **headers)

        assert said("GET", "/healthz").status == 200
        denied = said("GET", "/v2")
        assert (denied.status, denied.headers["www-authenticate"].split()[0]) == (401, "Basic")
        assert said("GET", "/nope").status == 401
        assert said("GET", "/v2", Authorization=f"Bearer {reader}").status == 200
        assert said("POST", "/v2/repository/models/m/unload", Authorization=f"Bearer {reader}").status == 403
        assert said("POST", "/v2/repository/models/m/unload", Authorization=f"Bearer {token}").status == 200
        assert said("GET", "/healthz", Host="evil.example").status == 403


def test_under_overload_each_excess_request_is_refused_at_once_and_none_is_lost() -> None:
    passes = threading.Event()

    def slow(tensors: Any) -> Any:
        assert passes.wait(60)  # the line stands still until all that find it full were refused
        time.sleep(0.02)
        return [tensors[0]]

    made = box(FakeBrought("m", compute=slow), queue=8, limit_s=60).loaded("m")
    document = json.dumps(asked()[0])
    told: list[tuple[int, str]] = []
    gate = threading.Barrier(64)

    def ask(port: int) -> None:
        client = RawClient(port, 60)
        client.ask("GET", "/healthz")
        gate.wait(60)
        for _ in range(3):
            said = client.ask("POST", INFER, document)
            told.append((said.status, said.headers.get("retry-after", "")))
            if sum(status == 429 for status, _ in list(told)) >= 64 - 1 - 8:
                passes.set()
        client.close()

    with served(made) as port:
        threads = [threading.Thread(target=ask, args=(port,)) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert len(told) == 192
    assert {status for status, _ in told} == {200, 429}
    # How long each refusal took is measured by benchmarks/serving.py; here 64 threads of this test share the processors.
    assert all(int(after) >= 1 for status, after in told if status == 429)


def test_who_would_be_refused_anyway_need_not_send_the_body() -> None:
    began, passes = threading.Semaphore(0), threading.Event()

    def waits(tensors: Any) -> Any:
        began.release()
        assert passes.wait(20)
        return [tensors[0]]

    body = json.dumps(asked()[0])
    made = box(FakeBrought("m", compute=waits), queue=1, limit_s=60).loaded("m")
    with served(made) as port:
        first, second = RawClient(port), RawClient(port)
        first.send(request("POST", INFER, body))
        assert began.acquire(timeout=20)
        second.send(request("POST", INFER, body))
        line = made.handlers.shelf.get("m")
        until(lambda: line.waiting == 1, "it waits")
        with RawClient(port) as third:
            third.send(request("POST", INFER, Content_Length="500000"))
            said = third.hear()
        passes.set()
        answered = [client.hear().status for client in (first, second)]
        first.close()
        second.close()

    assert (said.status, int(said.headers["retry-after"]) >= 1) == (429, True)
    assert answered == [200, 200]


def test_who_goes_away_while_waiting_costs_no_run() -> None:
    began, passes = threading.Semaphore(0), threading.Event()
    runs: list[float] = []

    def waits(tensors: Any) -> Any:
        runs.append(float(tensors[0][0, 1]))
        began.release()
        assert passes.wait(20)
        return [tensors[0]]

    made = box(FakeBrought("m", compute=waits), limit_s=60).loaded("m")
    body = json.dumps(asked()[0])
    with served(made) as port:
        line = made.handlers.shelf.get("m")
        with RawClient(port) as first:
            first.send(request("POST", INFER, body))
            assert began.acquire(timeout=20)
            with RawClient(port) as leaves:
                leaves.send(request("POST", INFER, body))
                until(lambda: line.waiting == 1, "it waits")
            until(lambda: line.waiting == 0, "it has gone")
            passes.set()
            assert first.hear().status == 200

    assert runs == [1.0]


def test_a_pipelines_model_is_brought_in_by_the_first_request() -> None:
    made = box(FakeBrought("m"))
    made.supplier.piped.add("m")
    with served(made) as port:
        client = RawClient(port)
        said = infer(client, asked()[0])
        client.close()

    np.testing.assert_array_equal(given(said), 2 * X)
