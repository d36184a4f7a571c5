"""Calls and streams whose message never comes: they are ended in time, or when there is need, and their places are free again."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient import grpc as triton

from edged.api import grpc as server
from edged.api.access import Access
from edged.api.grpc_messages import SERVICE
from fakes.serving import FakeBrought, box
from fakes.serving_grpc import served
from fakes.waiting import until

pytestmark = pytest.mark.slow

TOKEN = "a-token-that-nobody-guesses"  # noqa: S105 - of this test alone
MOST, STREAMS = 8, 2
MESSAGE_S = 1.0


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(server, "MOST_CALLS", MOST)
    monkeypatch.setattr(server, "MOST_STREAMS", STREAMS)
    monkeypatch.setattr(server, "MESSAGE_S", MESSAGE_S)
    with served(box(FakeBrought("double")).loaded("double"), Access(TOKEN.encode())) as where:
        yield int(where.rpartition(":")[2])


@pytest.fixture
def channel(port: int) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as made:
        yield made


def begun(channel: grpc.Channel, call: str, token: str = TOKEN) -> Any:
    """Begin a call and never send its message."""
    silent: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    metadata = (("authorization", f"Bearer {token}"),)
    return channel.stream_unary(f"/{SERVICE}/{call}").future(iter(silent.get, b""), metadata=metadata)


@pytest.mark.parametrize(("call", "token"), [("ModelInfer", TOKEN), ("ModelMetadata", TOKEN), ("ServerLive", "")])
def test_a_call_whose_message_does_not_come_is_ended_and_told_so(channel: grpc.Channel, call: str, token: str) -> None:
    began_s = time.monotonic()

    held = begun(channel, call, token)

    until(held.done, "it is ended")
    assert held.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "expected it within 1 s" in held.details()
    assert time.monotonic() - began_s > MESSAGE_S


def test_who_takes_every_place_gives_them_back(channel: grpc.Channel, port: int) -> None:
    held = [begun(channel, "ModelInfer") for _ in range(MOST)]

    until(lambda: all(call.done() for call in held), "all are ended")

    with triton.InferenceServerClient(f"127.0.0.1:{port}") as other:
        tensor = triton.InferInput("x", [1, 4], "FP32")
        tensor.set_data_from_numpy(np.array([[1, 2, 3, 4]], np.float32))
        told = other.infer("double", [tensor], headers={"authorization": f"Bearer {TOKEN}"})
        assert told.as_numpy("y").tolist() == [[2.0, 4.0, 6.0, 8.0]]


def test_a_call_that_ends_without_a_message_is_told_what_is_missing(channel: grpc.Channel) -> None:
    metadata = (("authorization", f"Bearer {TOKEN}"),)

    with pytest.raises(grpc.RpcError) as refused:
        channel.stream_unary(f"/{SERVICE}/ModelMetadata")(iter([]), metadata=metadata)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "without a message" in refused.value.details()


class Talk:
    """A stream that asks when it is told to."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        stream = channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")
        self.call = stream(iter(self._asked.get, None), metadata=(("authorization", f"Bearer {TOKEN}"),))

    def is_answered(self) -> bool:
        """Ask for nothing; whether it is told so."""
        self._asked.put(b"")
        try:
            return bool(next(self.call))
        except grpc.RpcError:
            return False


def test_a_stream_may_be_silent_until_another_needs_its_place_and_who_talks_stays(channel: grpc.Channel) -> None:
    silent, talks = Talk(channel), Talk(channel)
    assert silent.is_answered()
    assert talks.is_answered()
    began_s = time.monotonic()

    until(lambda: talks.is_answered() and Talk(channel).is_answered(), "another has its place")

    assert time.monotonic() - began_s > MESSAGE_S
    assert silent.call.code() is grpc.StatusCode.UNAVAILABLE
    assert "said nothing for 1 s" in silent.call.details()
    assert talks.is_answered()
