from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edged.assembly import drift_files
from edged.assembly.drift_files import DriftFiles, keep, read_reference
from edged.domain.errors import BundleError, DeviceError
from edged.pipeline.drift_learning import Row, learn
from edged.pipeline.reference import Reference, to_bytes
from fakes.disk import FragileDisk, PowerCutError
from fakes.streams import leaning

ROWS = [(Row(1_800_000_000.123, 5.0, {"input.luma": 100.5, "output.class": "car"}), "gate 1.0.0")] * 3


@cache
def reference(seed: int = 1) -> Reference:
    values = 100 + 10 * leaning(400, 0.2, np.random.default_rng(seed))
    learned = learn([Row(10.0 * k, 10.0 * k, {"input.luma": float(value)}) for k, value in enumerate(values)])
    assert learned.reference is not None
    return learned.reference


def test_figures_are_read_as_they_were_written(tmp_path: Path) -> None:
    files = DriftFiles(tmp_path, "gate")
    files.append(ROWS[:1])
    files.append(ROWS[1:])
    assert list(files.rows()) == ROWS


@pytest.mark.parametrize(
    "torn", ["", "{", '{"at_s":1,"source_s":1}', '{"at_s":NaN,"source_s":1,"model":"x","figures":{}}', "[]", "[" * 9999]
)
def test_a_line_that_a_power_cut_tore_costs_that_line(tmp_path: Path, torn: str) -> None:
    files = DriftFiles(tmp_path, "gate")
    files.append(ROWS)
    with files.history.open("a") as stream:
        stream.write(torn + "\n")
    files.append(ROWS)
    assert list(files.rows()) == ROWS * 2


def test_the_history_is_bounded_and_goes_on_from_file_to_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_files, "MAX_HISTORY_BYTES", 1000)
    files = DriftFiles(tmp_path, "gate")
    for _ in range(30):
        files.append(ROWS)
    assert files.history.stat().st_size + files.older.stat().st_size < 3000
    assert len(list(files.rows())) >= 12


def test_the_sites_reference_is_read_again_and_its_age_changes(tmp_path: Path) -> None:
    files = DriftFiles(tmp_path, "gate")
    assert (files.age(), read_reference(files.reference)) == (0, None)
    files.write_reference(reference())
    read = read_reference(files.reference)
    assert read is not None
    assert to_bytes(read) == to_bytes(reference())
    assert files.age() > 0


def test_a_power_cut_leaves_one_of_two_references_whole(tmp_path: Path) -> None:
    new, old = reference(2), reference(1)
    for cut in range(1, 6):
        for loses in (False, True):
            DriftFiles(tmp_path, "gate").write_reference(old)
            disk = FragileDisk(cut_before=cut, loses_content=loses, loses_names=loses)
            with suppress(PowerCutError):
                DriftFiles(tmp_path, "gate", disk).write_reference(new)
            read = read_reference(DriftFiles(tmp_path, "gate").reference)
            assert read is not None
            assert to_bytes(read) in {to_bytes(old), to_bytes(new)}


def test_a_damaged_reference_and_one_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    for place in (tmp_path / "broken.npz", tmp_path):
        with pytest.raises(BundleError, match="cannot read"):
            read_reference(place)


def test_the_state_belongs_to_one_reference(tmp_path: Path) -> None:
    files = DriftFiles(tmp_path, "gate")
    files.write_state(reference(1), {"input.luma": {"up": 1.0}})
    assert files.read_state(reference(1)) == {"input.luma": {"up": 1.0}}
    assert files.read_state(reference(2)) == {}
    files.state.write_text("{")
    assert files.read_state(reference(1)) == {}


def test_a_disk_that_refuses_is_told_and_survived() -> None:
    def refuse() -> None:
        raise DeviceError("cannot write it", code="disk")

    assert keep("state", refuse) is False
    assert keep("state", lambda: None) is True
