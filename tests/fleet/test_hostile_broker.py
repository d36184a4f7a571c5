"""What answers on the broker's port may be anything: another program, a broker that is broken, or somebody who means harm."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edged.fleet.session import MQTT5, MQTT311, Hooks, Session
from edged.fleet.settings import LinkSettings
from fakes.station import MakeStation
from fakes.waiting import until

ACCEPTED = {MQTT5: b"\x20\x03\0\0\0", MQTT311: b"\x20\x02\0\0"}
PACKET = st.builds(lambda head, body: bytes((head, len(body))) + body, st.integers(0, 255), st.binary(max_size=24))
BANNERS = {
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
    "http": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "tls": b"\x15\x03\x01\0\x02\x02\x46",
    "endless": b"\x30\xff\xff\xff\x7f" + bytes(4096),
}


@example(protocol=MQTT5, packets=[b"\x30\x05\0\x02\xff\xfe\0"])  # a topic that is no text
@given(protocol=st.sampled_from(sorted(ACCEPTED)), packets=st.lists(PACKET | st.binary(max_size=40), max_size=6))
def test_no_bytes_break_a_session(protocol: int, packets: list[bytes]) -> None:
    told: list[object] = []
    hooks = Hooks(
        told.append,
        told.append,
        lambda row, _: told.append(row),
        lambda row, *_: told.append(row),
        told.append,
        told.append,
    )
    session = Session(LinkSettings("127.0.0.1", 1, "press-07"), protocol, b"{}", hooks)
    ours, theirs = socket.socketpair()
    wake = os.eventfd(0)
    with closing(theirs), closing(ours):
        ours.setblocking(False)
        session._client._sock = ours
        theirs.sendall(ACCEPTED[protocol] + b"".join(packets))
        for _ in range(len(packets) + 2):
            if session.ended is None:
                session.wait(wake, 0)
        session.close()
    os.close(wake)
    assert session.accepted


class Stranger:
    """Says its word to everybody who connects, and nothing else."""

    def __init__(self, word: bytes) -> None:
        self._word = word
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.settimeout(1)
                connection.recv(4096)
                connection.sendall(self._word)


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> Iterator[Stranger]:
    made = Stranger(BANNERS[request.param])
    yield made
    made.close()


@pytest.mark.parametrize("stranger", sorted(BANNERS), indirect=True)
def test_what_is_no_broker_is_told_and_the_link_lives_on(stranger: Stranger, station: MakeStation) -> None:
    one = station(stranger.port).start()
    one.put(3)
    assert one.outbox.flush(60)

    until(lambda: one.link.state.retry_s is not None, "it waits for its next try")

    (trouble,) = one.link.troubles()
    assert trouble.code == "broker-lost"
    assert "check that the port is an MQTT broker's" in trouble.remedy
    assert one.link.alive
    assert one.outbox.pending() == 3
