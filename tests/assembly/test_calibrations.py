from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.calibrations import Kept, Records, fitting
from edged.domain.bundle import WindowInput
from edged.domain.errors import DeviceError
from fakes.disk import FragileDisk, PowerCutError

KEPT = Kept(np.arange(12, dtype=np.float32).reshape(4, 1, 3), "a" * 64, 60.0, 187, 1_800_000_000_123)
INPUT = WindowInput(kind="window", length=64, stride=64, channels=1)


def same(one: Kept | None, other: Kept) -> bool:
    if one is None:
        return False
    about = [(kept.fits, kept.seconds, kept.windows, kept.at_ms) for kept in (one, other)]
    return about[0] == about[1] and np.array_equal(one.features, other.features)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    Records(tmp_path).write("bearing", KEPT)
    assert same(Records(tmp_path).read("bearing"), KEPT)
    assert [file.name for file in (tmp_path / "calibration").iterdir()] == ["bearing.npz"]


def test_nothing_is_read_where_nothing_was_written_or_it_was_removed(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.read("bearing") is None
    records.remove("bearing")
    records.write("bearing", KEPT)
    records.remove("bearing")
    assert records.read("bearing") is None


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 torn"])
def test_a_damaged_file_is_forgotten_and_logged(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Records(tmp_path).write("bearing", KEPT)
    (tmp_path / "calibration" / "bearing.npz").write_bytes(content)
    with caplog.at_level(logging.ERROR, "edged.calibrations"):
        assert Records(tmp_path).read("bearing") is None
    assert "calibration.forgotten" in caplog.text


@pytest.mark.parametrize(("place", "value"), [(8, 1), (10, 8), (10, 99)], ids=["secret", "zip", "odd"])
def test_a_file_whose_parts_are_said_to_be_other_than_they_are_is_forgotten(
    tmp_path: Path, place: int, value: int
) -> None:
    Records(tmp_path).write("bearing", KEPT)
    file = tmp_path / "calibration" / "bearing.npz"
    damaged = bytearray(file.read_bytes())
    damaged[damaged.index(b"PK\x01\x02") + place] = value  # flags and method in the archive's list of its parts
    file.write_bytes(damaged)
    assert Records(tmp_path).read("bearing") is None


def test_a_file_of_pickles_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "calibration"
    folder.mkdir()
    np.savez(folder / "bearing.npz", features=np.array([{}], object), about=np.array("{}"))
    assert Records(tmp_path).read("bearing") is None


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "calibration").touch()
    with pytest.raises(DeviceError):
        Records(tmp_path).write("bearing", KEPT)


@pytest.mark.parametrize("loses", [{}, {"loses_content": True}, {"loses_names": True}])
def test_after_a_power_cut_at_any_step_the_old_or_the_new_is_there_whole(
    tmp_path: Path, loses: dict[str, bool]
) -> None:
    newer = Kept(KEPT.features + 1, KEPT.fits, KEPT.seconds, KEPT.windows, KEPT.at_ms + 1)
    step, is_cut = 1, True
    while is_cut:
        state = tmp_path / str(step)
        state.mkdir()
        Records(state).write("bearing", KEPT)
        try:
            Records(state, FragileDisk(cut_before=step, **loses)).write("bearing", newer)
            is_cut = False
        except PowerCutError:
            found = Records(state).read("bearing")
            assert same(found, KEPT) or same(found, newer)
            step += 1
    assert step == 5, "write, sync, rename, sync, and then it is done"


def test_what_changes_the_features_changes_what_fits() -> None:
    source = {"name": "spindle", "columns": ["x"], "rate_hz": 200.0}
    base = fitting(INPUT, source)
    assert fitting(INPUT.model_copy(update={"mean": (3.0,), "std": (2.0,), "clip": 8.0}), source) == base
    assert fitting(INPUT.model_copy(update={"stride": 32}), source) != base
    assert fitting(INPUT.model_copy(update={"steps": ("detrend",)}), source) != base
    assert fitting(INPUT, {**source, "rate_hz": 100.0}) != base
