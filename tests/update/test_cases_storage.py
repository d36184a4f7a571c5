"""The cases of storage: what a disk, a power cut or a kill does to an update."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from edged.assembly.state import Lock
from edged.domain.errors import DeviceError, RetryableError
from edged.update.disk import LocalDisk
from edged.update.probation import COMMIT, WATCH, Verdict
from edged.update.rollout import Event, State
from edged.update.store import Store
from edged.update.updater import Updater
from fakes.bundle import make_bundle
from fakes.disk import FragileDisk
from fakes.faultydisk import FaultyDisk
from fakes.site import MODEL, OTHER_BOOT, Air

FAULTY_RUNS = 6
ONE_IN = 60


def blob(air: Air, content: bytes) -> Path:
    (found,) = [file for file in (air.state / "store").rglob("*") if file.is_file() and file.read_bytes() == content]
    return found


def committed(air: Air, version: str = "2.0.0") -> None:
    air.knobs.verdict = COMMIT
    assert air.carry(air.order(version)) == "committed"
    air.knobs.verdict = WATCH


class FullDisk(FragileDisk):
    """Takes no file any more below one folder."""

    def __init__(self, below: str) -> None:
        super().__init__()
        self.below = below

    def write(self, file: Path, blocks: object, *, append: bool = False) -> None:
        if self.below in file.parts or self.below == file.name:
            message = f"cannot write {file}: No space left on device, expected a disk that takes it"
            raise DeviceError(message, code="disk")
        super().write(file, blocks, append=append)  # type: ignore[arg-type] # the port's own type, handed through


def test_no_space_before_a_download_fails_it_and_keeps_a_reserve(air: Air) -> None:
    """Case 31, before: FAILED, the old model serves, nothing was fetched into the reserve."""
    air.knobs.free = 1 << 20

    assert air.carry(air.order()) == "failed"

    assert (air.live(), air.knobs.fetched, air.records().pointer(MODEL).code) == ("1.0.0", [], "disk-full")


def test_no_space_during_a_download_fails_it_until_there_is_room(air: Air) -> None:
    """Case 31, during: FAILED, the old model serves, and with room again it goes on."""
    order = air.order()
    air.knobs.fails = RetryableError("cannot write: No space left on device", code="disk-full")
    assert (air.carry(order), air.live()) == ("failed", "1.0.0")

    air.knobs.fails = None

    assert air.carry(order) == "probation"


@pytest.mark.parametrize("below", ["store", ".pointer.json.new", "journal.ndjson"])
def test_no_space_in_the_store_or_at_the_pointer_leaves_the_old_model(air: Air, below: str) -> None:
    """Case 31, at the pointer's write: FAILED (nothing can even be noted), the old model serves, the second try succeeds."""
    order = air.order()
    try:
        state = air.carry(order, FullDisk(below))
    except DeviceError:
        state = "failed"

    assert (state, air.live()) == ("failed", "1.0.0")
    assert air.carry(order) == "probation"


@pytest.mark.parametrize("seed", range(FAULTY_RUNS))
def test_whatever_calls_fail_a_later_try_succeeds_and_a_good_model_is_live_in_between(air: Air, seed: int) -> None:
    """Case 32: EIO, ENOSPC, short writes and failing syncs at random calls → a later try succeeds."""
    disk = FaultyDisk(Random(seed), ONE_IN)  # noqa: S311 - a seeded chance
    order, air.knobs.verdict = air.order(), COMMIT
    updater, way = air.updater(disk), air.way(order, disk)
    while updater.slots.pointer(MODEL).state is not State.COMMITTED or updater.slots.pointer(MODEL).order != order:
        with suppress(DeviceError):
            updater.carry(way)
        assert updater.ensure(MODEL).manifest.version in {"1.0.0", "2.0.0"}
        assert disk.calls < 5_000

    assert (disk.calls > 50, air.live()) == (True, "2.0.0")


class ForgettingDisk(FragileDisk):
    """Gives a release's manifest no more, once it was put in its place."""

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        if new.parent.name == "releases":
            (new / "model.toml").unlink()


def test_a_release_that_the_disk_does_not_give_back_is_not_to_blame(air: Air) -> None:
    """Case 32: found by libfiu; the order was rejected for good."""
    order = air.order()

    assert air.carry(order, ForgettingDisk()) == "failed"

    pointer = air.records().pointer(MODEL)
    assert (pointer.code, pointer.finished, air.live()) == ("disk", False, "1.0.0")
    assert air.carry(order) == "probation"


def test_a_read_only_disk_fails_an_order_and_serves(air: Air) -> None:
    """Case 33: a read-only remount → FAILED, serving."""
    order = air.order()
    disk = FaultyDisk(Random(0), 1)  # noqa: S311 - a seeded chance

    with pytest.raises(DeviceError):
        air.carry(order, disk)

    assert air.live(disk) == "1.0.0"
    assert air.carry(order) == "probation"


@pytest.mark.parametrize("damage", [b"", b"\0" * 200, b'{"active": 3}'])
def test_a_pointer_that_is_no_more_is_read_from_its_copy(air: Air, damage: bytes) -> None:
    """Case 34: the pointer is empty or garbage → its copy."""
    committed(air)
    (air.state / "slots" / MODEL / "pointer.json").write_bytes(damage)

    assert air.live() == "2.0.0"


def test_without_a_pointer_and_its_copy_the_folder_s_model_runs_and_the_order_is_taken_up_again(air: Air) -> None:
    """Case 34: neither pointer nor copy → what edged was shipped with."""
    committed(air)
    for name in ("pointer.json", "pointer.json~"):
        (air.state / "slots" / MODEL / name).write_bytes(b"")

    assert air.live() == "1.0.0"

    committed(air)
    assert air.live() == "2.0.0"


def test_a_bit_that_flipped_in_the_live_model_costs_that_model_only(air: Air) -> None:
    """Case 35: bit rot at the start → hash mismatch ⇒ the previous one, told; what is damaged never runs again, and is fetched anew."""
    air.knobs.verdict = COMMIT
    order = air.order()
    air.carry(order)
    blob(air, b"2.0.0").write_bytes(b"2.0.1")
    air.seen.clear()

    assert air.live() == "1.0.0"

    assert air.seen == ["rolled-back"]
    pointer = air.records().pointer(MODEL)
    assert (pointer.code, "2.0.0 is damaged" in pointer.reason) == ("damaged", True)
    assert (air.carry(order), air.live(), air.knobs.fetched) == ("committed", "2.0.0", ["2.0.0", "2.0.0"])


def test_a_sweep_never_takes_the_release_that_a_rollback_needs(air: Air) -> None:
    """Case 38: sweeping while another model rolls back → the previous release is never removed."""
    air.carry(air.order())
    air.updater().slots.advance(MODEL, Event.CONDEMNED, reason="slow")
    other = air.order("1.0.0", name="other")

    disk = FragileDisk()
    updater = air.updater(disk)
    air.knobs.verdict = COMMIT
    updater.carry(air.way(other, disk, model="other"))

    assert updater.slots.pointer("other").state is State.COMMITTED
    assert air.live() == "1.0.0"
    assert air.records().pointer(MODEL).state is State.ROLLED_BACK


def test_what_an_order_waits_with_is_not_swept_away(air: Air) -> None:
    order = air.order()
    air.knobs.trial = None  # type: ignore[assignment] # it is not reached
    air.knobs.waits = "later"
    disk = FragileDisk()
    updater, way = air.updater(disk), air.way(order, disk)
    with pytest.raises(TypeError):
        updater.carry(way)
    updater.slots.advance(MODEL, Event.HINDERED)

    committed_other(air)

    assert blob(air, b"2.0.0")


def committed_other(air: Air) -> None:
    make_bundle(air.models / "other", name="other", weights=b"other")
    disk = LocalDisk()
    Updater([air.models], Store(air.state, disk), air.records(disk), lambda _: None).ensure("other")


def test_a_power_cut_while_it_rolls_back_is_made_up_for_at_the_start(air: Air) -> None:
    """Case 45: a power cut during ROLLING_BACK → it completes, before anything of the model runs and without a network.

    The cut at each operation of it is in test_crash_simulation.
    """
    air.carry(air.order())
    air.updater().slots.advance(MODEL, Event.CONDEMNED, reason="slow")
    air.knobs.fails = RetryableError("cannot reach it: no network", code="network")
    air.boot = OTHER_BOOT

    assert air.live() == "1.0.0"

    pointer = air.records().pointer(MODEL)
    assert (pointer.state, pointer.finished) == (State.ROLLED_BACK, True)
    assert [held.reason for held in air.records().quarantine().releases] == ["slow"]


def test_without_the_release_before_it_a_rollback_ends_at_what_the_folders_offer_and_says_so(air: Air) -> None:
    """Case 46: the previous release was deleted by hand → the factory's model, and it is told."""
    order = air.order()
    air.carry(order)
    previous = air.records().pointer(MODEL).previous
    assert previous is not None
    shutil.rmtree(air.state / "slots" / MODEL / "releases" / previous.digest)
    blob(air, b"1.0.0").unlink()
    air.knobs.verdict = Verdict("roll-back", "slow")
    updater = air.updater()
    updater.carry(air.way(order))

    assert (updater.slots.pointer(MODEL).state, air.seen[-1]) == (State.IDLE, "idle")
    assert air.live() == "1.0.0"


def test_a_part_that_was_tampered_with_costs_one_more_download(air: Air) -> None:
    """Case 36, the flow's half: a poisoned part is discarded by the courier (FAILED, to be tried again), and the clean retry succeeds."""
    order = air.order()
    air.knobs.fails = RetryableError(
        "cannot use what came: its digest is another, expected the signed one", code="digest"
    )
    assert (air.carry(order), air.records().pointer(MODEL).finished) == ("failed", False)
    air.knobs.fails = None

    assert air.carry(order) == "probation"


def test_a_second_edged_is_refused_its_state_directory(air: Air) -> None:
    """Case 37: two daemons → the second refuses (flock)."""
    first = Lock(air.state)

    with pytest.raises(DeviceError, match="another edged uses"):
        Lock(air.state)

    first.release()
    Lock(air.state).release()


def test_a_link_in_place_of_a_stored_file_is_damage_and_what_it_leads_to_is_not_touched(air: Air) -> None:
    """Case 26: a symlink in the store."""
    committed(air)
    secret = air.path / "secret"
    secret.write_bytes(b"of somebody else")
    place = blob(air, b"2.0.0")
    place.unlink()
    place.symlink_to(secret)

    assert air.live() == "1.0.0"

    assert air.records().pointer(MODEL).code == "damaged"
    assert secret.read_bytes() == b"of somebody else"


def test_a_link_where_a_release_is_unpacked_leads_nothing_out_of_the_state_directory(air: Air) -> None:
    """Case 26."""
    order, outside = air.order(), air.path / "outside"
    (outside / "golden").mkdir(parents=True)
    (outside / "kept").write_bytes(b"kept")
    (air.state / "incoming").mkdir()
    (air.state / "incoming" / f"{order.sha256}.files").symlink_to(outside)
    air.knobs.verdict = COMMIT

    assert air.carry(order, LocalDisk()) == "committed"

    assert sorted(file.name for file in outside.iterdir()) == ["golden", "kept"]
