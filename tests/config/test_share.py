from __future__ import annotations

from pathlib import Path

import pytest

from edged.config.share import shipped
from edged.domain.errors import DeviceError


def test_a_wheel_carries_its_folders_inside_the_package(tmp_path: Path) -> None:
    (tmp_path / "edged" / "share" / "models").mkdir(parents=True)
    (tmp_path / "models").mkdir()

    assert shipped("models", tmp_path / "edged") == tmp_path / "edged" / "share" / "models"


def test_a_checkout_has_them_beside_the_package(tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()

    assert shipped("systemd", tmp_path / "edged") == tmp_path / "systemd"


def test_a_damaged_installation_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        DeviceError, match=r"cannot find the shipped device-profiles: no folder at .*; install edged again"
    ):
        shipped("device-profiles", tmp_path / "edged")


def test_this_installation_is_whole() -> None:
    assert shipped("models").is_dir()
