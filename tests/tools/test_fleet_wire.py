"""The fleet's connection: what it says of a broker that is not one, and when it has heard all that is retained."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import paho.mqtt.publish as mqtt
import pytest

from edgectl.fleet import wire
from edgectl.fleet.settings import Settings
from edged.config.schema import Mqtt
from edged.domain.errors import DeviceError
from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.waiting import until


def test_a_port_that_accepts_and_says_nothing_is_no_matter_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(mqtt=Mqtt(host="127.0.0.1", port=silent.getsockname()[1]))
        with pytest.raises(DeviceError, match="no answer") as caught, wire.Wire(settings, ["edged/#"], print, "desk"):
            pass
    assert "user" not in str(caught.value)


class Resting:
    """A line to a broker that carries what comes from there up to some bytes of the retained documents, and the rest when it may."""

    def __init__(self, port: int, rests_behind: bytes) -> None:
        self._port, self._behind = port, rests_behind
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.rests, self.goes_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        near, _ = self._server.accept()
        with near, socket.create_connection(("127.0.0.1", self._port)) as far:
            back = threading.Thread(target=self._carry, args=(near, far))
            back.start()
            self._carry(far, near)
            back.join()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # one of the two has gone
            while piece := source.recv(65_536):
                place = piece.find(self._behind)
                if place >= 0:
                    target.sendall(piece[:place])
                    self.rests.set()
                    self.goes_on.wait(60.0)
                    piece = piece[place:]
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.goes_on.set()
        self._thread.join(60.0)
        self._server.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    with closing(brokers.mosquitto(tmp_path)) as made:
        yield made


@pytest.mark.slow
def test_a_line_that_rests_in_the_middle_is_no_end_of_what_is_retained(broker: BrokerProcess) -> None:
    for name in ("press-01", "press-02", "press-03"):
        mqtt.single(f"edged/v1/d/{name}/out/status", b"{}", 1, retain=True, hostname="127.0.0.1", port=broker.port)
    heard: list[str] = []
    with closing(Resting(broker.port, b"press-02")) as line:
        settings = Settings(mqtt=Mqtt(host="127.0.0.1", port=line.port))
        with wire.Wire(settings, ["edged/v1/d/+/out/status"], lambda topic, _: heard.append(topic), "desk") as desk:
            settling = threading.Thread(target=desk.settle, kwargs={"quiet_s": 0.05})
            settling.start()
            assert line.rests.wait(60.0)
            until(lambda: time.monotonic() - desk._heard_s > 0.2, "it has been quiet for long enough")
            assert settling.is_alive()
            line.goes_on.set()
            settling.join(60.0)

    assert sorted(heard) == [f"edged/v1/d/{name}/out/status" for name in ("press-01", "press-02", "press-03")]
