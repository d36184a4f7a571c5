from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edged.assembly.state import KEPT_CONFIG, LOCK, Lock, keep_config, kept_config
from edged.assembly.wiring import load_or_fall_back
from edged.config.load import RejectedConfigError, load
from edged.config.schema import Config
from edged.domain.errors import DeviceError
from fakes.daemon import write_config
from fakes.sensor import csv_source, pipeline

RULE = '[[pipeline.rule]]\nname = "several"\nwhen = { count = ">= 2", zone = [[0, 0], [1, 0], [1, 1]] }\n'


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Give a configuration with a bit of everything; its state is where the service manager keeps it."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    body = csv_source(tmp_path / "spindle.csv") + pipeline("a") + RULE
    return load(write_config(tmp_path, 1883, body, more='[mqtt.tls]\nca = "/etc/ca.pem"')).config


def test_a_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first = Lock(tmp_path / "state")

    with pytest.raises(DeviceError, match=r"cannot start: another edged uses .*state, expected to be the only one"):
        Lock(tmp_path / "state")

    first.release()
    first.release()
    Lock(tmp_path / "state").release()


def test_a_refused_second_one_leaves_the_first_its_lock(tmp_path: Path) -> None:
    first = Lock(tmp_path)
    for _ in range(2):
        with pytest.raises(DeviceError):
            Lock(tmp_path)
    first.release()


def test_a_directory_is_made_with_those_above_it(tmp_path: Path) -> None:
    Lock(tmp_path / "a" / "b").release()
    assert (tmp_path / "a" / "b" / LOCK).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_directory_that_cannot_be_is_told_with_the_way_out(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeviceError, match=r"cannot use state directory .*; name one in \[state\] directory"):
        Lock(tmp_path / place)


def test_what_is_kept_is_what_ran(config: Config) -> None:
    keep_config(config)
    assert kept_config() == config


def test_the_same_configuration_is_not_written_twice(config: Config) -> None:
    file = config.state.directory / KEPT_CONFIG
    keep_config(config)
    inode = file.stat().st_ino
    keep_config(config)
    assert file.stat().st_ino == inode


def test_without_a_kept_one_there_is_none(config: Config) -> None:
    assert not (config.state.directory / KEPT_CONFIG).exists()
    assert kept_config() is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"device": {"id": "UPPER"}}', b'{"unheard": 1}'])
def test_a_damaged_one_counts_as_none(config: Config, content: bytes) -> None:
    (config.state.directory / KEPT_CONFIG).write_bytes(content)
    assert kept_config() is None


def test_only_the_first_of_the_service_managers_directories_counts(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_config(config)
    monkeypatch.setenv("STATE_DIRECTORY", f"{config.state.directory}:/elsewhere")
    assert kept_config() == config


def test_with_a_state_directory_of_its_own_it_is_kept_where_the_service_manager_looks_too(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "usual").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "usual"))

    keep_config(config)

    assert (config.state.directory / KEPT_CONFIG).exists()
    assert kept_config() == config


def test_a_disk_that_takes_nothing_costs_the_note_and_nothing_else(
    config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    state = config.state.model_copy(update={"directory": tmp_path / "file" / "state"})
    with caplog.at_level(logging.WARNING, "edged.state"):
        keep_config(config.model_copy(update={"state": state}))
    assert "config.unkept" in caplog.text


def test_a_file_that_cannot_be_read_falls_back_on_what_was_kept(config: Config, tmp_path: Path) -> None:
    keep_config(config)
    (tmp_path / "edged.toml").write_text("[device")

    loaded, (reason,) = load_or_fall_back(tmp_path / "edged.toml")

    assert loaded.config == config
    assert (reason.code, reason.component, reason.remedy) == ("config-fallback", "config", "mend the file and reload")
    assert "edged.toml" in reason.message


def test_a_sound_file_needs_no_fallback(config: Config, tmp_path: Path) -> None:
    loaded, reasons = load_or_fall_back(tmp_path / "edged.toml")
    assert (loaded.config, reasons) == (config, ())


def test_with_nothing_kept_the_fault_stands(config: Config, tmp_path: Path) -> None:
    assert kept_config() is None
    (tmp_path / "edged.toml").write_text("[device")
    with pytest.raises(RejectedConfigError, match=r"edged\.toml"):
        load_or_fall_back(tmp_path / "edged.toml")
    assert config.state.directory.is_dir()
