"""Case 30: a power cut at every operation on the disk, with every subset of what was not synced: a good model is live afterwards.

The reference's own simulation: python-tuf's way of writing files loses the pointer in 680 of 1,463 states.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edged.domain.errors import BundleError
from edged.update.probation import COMMIT, WATCH, Verdict
from edged.update.records import replace_file
from edged.update.rollout import State
from fakes.simulateddisk import SimulatedDisk
from fakes.site import MODEL, Air, box

LEAST_STATES = 80


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Give a folder in memory where there is one: a disk takes eight times as long for these thousands of files."""
    shared = Path("/dev/shm")  # noqa: S108 # a folder of our own is made in it
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def on_two(path: Path) -> Air:
    """Give a box on 1.1.0 with 1.0.0 before it, so that the next commit sweeps too; its folders are gone."""
    air = box(path)
    air.offer("1.1.0")
    assert air.live() == "1.1.0"
    shutil.rmtree(air.models)
    return air


def faults(air: Air, disk: SimulatedDisk, scratch: Path) -> Iterator[str]:
    """Give for every state why no good model is live from it; empty when one is."""
    for state in disk.after_cuts():
        place = scratch / "after"
        (place / "state").mkdir(parents=True)
        disk.lay_out(state, place / "state")
        after = Air(place, clock=air.clock)
        yield fault_of(after)
        shutil.rmtree(place)


def fault_of(after: Air) -> str:
    try:
        version = after.live()
    except BundleError as error:
        return str(error)
    is_damaged = after.records().pointer(MODEL).code == "damaged"
    return "what was live is damaged" if is_damaged else "" if version in {"1.1.0", "2.0.0"} else version


def committing(air: Air, disk: SimulatedDisk) -> None:
    air.knobs.verdict = COMMIT
    assert air.carry(air.order("2.0.0"), disk) == "committed"


def rolling_back(air: Air, disk: SimulatedDisk) -> None:
    air.knobs.verdict = Verdict("roll-back", "slow")
    assert air.carry(air.order("2.0.0"), disk) == "rolled-back"


@pytest.mark.parametrize("run", [committing, rolling_back])
def test_a_power_cut_anywhere_leaves_a_good_model(memory: Path, run: Callable[[Air, SimulatedDisk], None]) -> None:
    air = on_two(memory / "box")
    disk = SimulatedDisk(air.state)

    run(air, disk)

    found = list(faults(air, disk, memory))
    assert set(found) == {""}
    assert len(found) > LEAST_STATES


def test_the_same_update_with_files_written_as_python_tuf_does_loses_the_model(memory: Path) -> None:
    """Beside, then renamed, and not synced before: what the test above says of ours it could not say of that."""
    air = on_two(memory / "box")
    disk = SimulatedDisk(air.state, ignores_syncs_of=".new")
    committing(air, disk)
    disk.states = dict(list(disk.states.items())[::50])  # of some thousands

    found = list(faults(air, disk, memory))

    assert {"", "what was live is damaged"} < {*found}
    assert sum(one.startswith("cannot find model 'parts'") for one in found) > len(found) / 10


def test_from_every_state_the_order_is_carried_out_in_the_end(memory: Path) -> None:
    air = on_two(memory / "box")
    disk = SimulatedDisk(air.state)
    order = air.order("2.0.0")
    air.knobs.verdict = COMMIT
    air.carry(order, disk)

    for number, state in enumerate(disk.after_cuts()):
        if number % 5:
            continue  # each fifth, so that it takes a second
        place = memory / "after"
        (place / "state").mkdir(parents=True)
        (place / "repository").symlink_to(air.path / "repository")
        disk.lay_out(state, place / "state")
        after = Air(place, air.knobs, air.clock)
        assert (after.carry(order), after.live()) == ("committed", "2.0.0")
        shutil.rmtree(place)


@pytest.mark.parametrize(("ignores", "found"), [("", {b"old", b"new"}), (".new", {b"old", b"", b"n", b"new"})])
def test_the_simulation_finds_what_a_file_that_is_not_synced_loses(
    memory: Path, ignores: str, found: set[bytes]
) -> None:
    file = memory / "state" / "pointer.json"
    file.parent.mkdir()
    file.write_bytes(b"old")
    disk = SimulatedDisk(file.parent, ignores_syncs_of=ignores)

    replace_file(disk, file, b"new")

    assert {contents[node] for tree, contents in disk.after_cuts() if (node := tree.names[file]) is not None} == found


def test_a_release_that_is_only_watched_survives_its_own_activation_s_cut(memory: Path) -> None:
    air = on_two(memory / "box")
    disk = SimulatedDisk(air.state)
    air.knobs.verdict = WATCH
    assert air.carry(air.order("2.0.0"), disk) == "probation"

    *_, last = disk.after_cuts()
    place = memory / "after"
    (place / "state").mkdir(parents=True)
    disk.lay_out(last, place / "state")

    after = Air(place, clock=air.clock)
    assert after.live() == "2.0.0"
    assert after.records().pointer(MODEL).state is State.PROBATION
