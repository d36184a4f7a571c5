"""What the fleet's connection says of a broker that is not one."""

from __future__ import annotations

import socket

import pytest

from edgectl.fleet import wire
from edgectl.fleet.settings import Settings
from edged.config.schema import Mqtt
from edged.domain.errors import DeviceError


def test_a_port_that_accepts_and_says_nothing_is_no_matter_of_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = Settings(mqtt=Mqtt(host="127.0.0.1", port=silent.getsockname()[1]))
        with pytest.raises(DeviceError, match="no answer") as caught, wire.Wire(settings, ["edged/#"], print, "desk"):
            pass
    assert "user" not in str(caught.value)
