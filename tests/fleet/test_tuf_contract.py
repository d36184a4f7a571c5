"""What edged relies on of python-tuf beyond its public interface: a new version that changes it fails here, not in the field."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.exceptions import ExpiredMetadataError
from tuf.ngclient import Updater
from urllib3.connection import HTTPConnection

from edged.domain.errors import RetryableError
from edged.fleet import repository
from edged.fleet.repository import Repository, _Fetcher
from fakes.repository_simulator import NOW, NOW_MS, Simulator


@pytest.fixture
def updater(tmp_path: Path) -> Updater:
    simulator = Simulator()
    return Updater(str(tmp_path), "metadata/", fetcher=_Fetcher(simulator), bootstrap=simulator.provisioned)


def test_dates_are_judged_by_the_reference_time_that_is_set(updater: Updater) -> None:
    updater._trusted_set.reference_time = NOW + timedelta(days=31)
    with pytest.raises(ExpiredMetadataError):
        updater.refresh()


def test_the_trusted_set_tells_versions_and_keys(updater: Updater) -> None:
    updater._trusted_set.reference_time = NOW
    updater.refresh()
    trusted = updater._trusted_set
    assert [trusted[role].version for role in ("root", "timestamp", "snapshot", "targets")] == [1, 1, 1, 1]
    assert trusted.root.roles["timestamp"].threshold == 1
    assert trusted.targets.delegations is not None


def test_the_fetcher_may_be_changed(updater: Updater) -> None:
    assert isinstance(updater._fetcher, _Fetcher)


def test_metadata_lies_where_the_offline_way_looks_for_it(updater: Updater, tmp_path: Path) -> None:
    updater._trusted_set.reference_time = NOW
    updater.refresh()
    names = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.json"))
    assert names == ["root.json", "root_history/1.root.json", "snapshot.json", "targets.json", "timestamp.json"]


def test_the_search_for_newer_roots_ends_at_an_absent_file_and_at_nothing_else(tmp_path: Path) -> None:
    simulator = Simulator()

    def broken(path: str) -> None:
        if "2.root" in path:
            message = "cannot read: the server answers 500"
            raise RetryableError(message, code="network")

    simulator.before = broken
    with pytest.raises(RetryableError, match="answers 500"):
        Repository(tmp_path, simulator.provisioned, simulator, NOW_MS)


def test_its_own_download_is_never_used() -> None:
    for file in Path(repository.__file__).parents[1].rglob("*.py"):
        assert "download_target(" not in file.read_text(encoding="utf-8")


def test_requests_are_not_held_back_for_the_answers_before_them() -> None:
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in HTTPConnection.default_socket_options
