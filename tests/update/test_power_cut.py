"""The power fails before the n-th operation on the disk, for every n; after the restart a good model is live."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edged.update.manifest import verify
from edged.update.records import Records
from edged.update.rollout import State
from edged.update.store import Store
from edged.update.updater import Updater
from fakes.bundle import make_bundle
from fakes.clock import FakeClock
from fakes.disk import FragileDisk, PowerCutError

LOSSES = [
    (False, False),
    (True, True),
    pytest.param(True, False, marks=pytest.mark.slow),
    pytest.param(False, True, marks=pytest.mark.slow),
]


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory where there is one: a disk takes eight times as long for these thousands of files."""
    shared = Path("/dev/shm")  # noqa: S108 # a folder of our own is made in it
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def ensure(path: Path, disk: FragileDisk) -> str:
    state = path / "state"
    updater = Updater([path / "models"], Store(state, disk), Records(state, disk, FakeClock()), lambda _: None)
    bundle = updater.ensure("parts")
    assert verify(bundle) == []
    return bundle.manifest.version


def with_model_live(path: Path) -> Path:
    """Leave a box on 2.0.0, with 1.0.0 before it, so that the next update sweeps too."""
    (path / "state").mkdir(parents=True)
    for version in ("1.0.0", "2.0.0"):
        make_bundle(path / "models" / "parts", version=version, weights=version.encode())
        ensure(path, FragileDisk())
    make_bundle(path / "models" / "parts", version="3.0.0", weights=b"3.0.0")
    return path


def operations_of_an_update(path: Path) -> int:
    disk = FragileDisk()
    ensure(with_model_live(path), disk)
    return disk.operations


@pytest.mark.parametrize(("loses_content", "loses_names"), LOSSES)
def test_an_update_cut_anywhere_leaves_a_good_model_and_is_finished_later(
    memory: Path, *, loses_content: bool, loses_names: bool
) -> None:
    last = operations_of_an_update(memory / "count")
    template = with_model_live(memory / "template")
    assert last > 40

    for cut in range(1, last + 1):
        path = memory / str(cut)
        # Links stay links: a copy would hide a release folder that shares nothing with the store.
        copy_with_links(template, path)
        with pytest.raises(PowerCutError):
            ensure(path, FragileDisk(cut, loses_content, loses_names))
        shutil.move(path / "models", path / "away")
        assert ensure(path, FragileDisk()) in {"2.0.0", "3.0.0"}
        assert state_of(path) is not State.ROLLED_BACK, f"cut before {cut}: what went live was not whole"
        shutil.move(path / "away", path / "models")
        assert ensure(path, FragileDisk()) == "3.0.0"
        shutil.rmtree(path)


@pytest.mark.parametrize(("loses_content", "loses_names"), LOSSES)
def test_a_first_install_cut_anywhere_is_finished_later(
    memory: Path, *, loses_content: bool, loses_names: bool
) -> None:
    make_bundle(memory / "0" / "models" / "parts")
    (memory / "0" / "state").mkdir()
    disk = FragileDisk()
    ensure(memory / "0", disk)

    for cut in range(1, disk.operations + 1):
        path = memory / str(cut)
        make_bundle(path / "models" / "parts")
        (path / "state").mkdir()
        with pytest.raises(PowerCutError):
            ensure(path, FragileDisk(cut, loses_content, loses_names))
        assert ensure(path, FragileDisk()) == "1.0.0"


def test_an_update_that_was_reported_done_survives_the_cut_right_after_it(memory: Path) -> None:
    path = with_model_live(memory / "box")
    disk = FragileDisk(loses_content=True, loses_names=True)
    assert ensure(path, disk) == "3.0.0"

    disk.lose()
    shutil.rmtree(path / "models")

    assert ensure(path, FragileDisk()) == "3.0.0"
    assert state_of(path) is State.COMMITTED


def state_of(path: Path) -> State:
    return Records(path / "state", FragileDisk(), FakeClock()).pointer("parts").state


def copy_with_links(source: Path, target: Path) -> None:
    seen: dict[int, Path] = {}

    def copy(old: str, new: str) -> None:
        first = seen.setdefault(Path(old).stat().st_ino, Path(new))
        if first == Path(new):
            shutil.copy2(old, new)
        else:
            Path(new).hardlink_to(first)

    shutil.copytree(source, target, copy_function=copy)
