from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.assembly.notify import SystemdNotifier
from fakes.waiting import LONGEST_S


@pytest.fixture(params=["path", "abstract"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """Give the address as NOTIFY_SOCKET writes it, and the manager's socket."""
    name = f"edged-test-{uuid.uuid4()}"
    address = str(tmp_path / "notify") if request.param == "path" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address if request.param == "path" else f"\0{name}")
        manager.settimeout(LONGEST_S)
        yield address, manager


def test_fields_arrive_as_one_datagram_of_lines(listening: tuple[str, socket.socket]) -> None:
    address, manager = listening
    SystemdNotifier(address).notify({"READY": "1", "STATUS": "ok; läuft"})
    assert manager.recv(4096).decode() == "READY=1\nSTATUS=ok; läuft"


def test_the_address_comes_from_the_environment(
    listening: tuple[str, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, manager = listening
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    SystemdNotifier().notify({"WATCHDOG": "1"})
    assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", ["/nowhere/notify", "@edged-test-nobody"])
def test_a_manager_that_does_not_listen_is_no_trouble(address: str) -> None:
    SystemdNotifier(address).notify({"READY": "1"})


def test_without_a_manager_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    SystemdNotifier().notify({"READY": "1"})


def test_a_status_of_several_lines_stays_one_field(listening: tuple[str, socket.socket]) -> None:
    address, manager = listening
    SystemdNotifier(address).notify({"STATUS": "failed:\nREADY=1"})
    assert manager.recv(4096) == b"STATUS=failed: READY=1"


def test_a_name_that_is_no_utf_8_does_not_keep_the_watchdog_from_being_fed(
    listening: tuple[str, socket.socket],
) -> None:
    address, manager = listening
    SystemdNotifier(address).notify({"STATUS": "cannot read \udcff.toml", "WATCHDOG": "1"})
    assert manager.recv(4096) == b"STATUS=cannot read ?.toml\nWATCHDOG=1"
