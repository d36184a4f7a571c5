"""Cases 31 and 33 on a real ext4: a disk that something else fills, and one that is mounted again for reading only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edged.domain.errors import DeviceError, RetryableError
from edged.fleet.fetch import RESERVE_BYTES, Reply, Wanted, download
from edged.fleet.pace import Pace
from edged.update.disk import LocalDisk
from edged.update.probation import COMMIT, Verdict
from fakes.ext4 import Volume, run
from fakes.site import Mounted

pytestmark = pytest.mark.slow

CONTENT = os.urandom(2_000_000)
BLOCK_BYTES = 100_000


@dataclass
class Source:
    """Gives a file in blocks; ``meanwhile`` is called before each."""

    meanwhile: Callable[[int], None]
    asked: list[int] = field(default_factory=list)

    @contextmanager
    def read(self, path: str, offset: int = 0, tag: str = "") -> Iterator[Reply]:  # noqa: ARG002 - as Transport says
        self.asked.append(offset)
        yield Reply(offset, tag, self._blocks(offset))

    def _blocks(self, offset: int) -> Iterator[bytes]:
        for at in range(offset, len(CONTENT), BLOCK_BYTES):
            self.meanwhile(at)
            yield CONTENT[at : at + BLOCK_BYTES]


@pytest.fixture
def air(tmp_path: Path, volume: Volume) -> Mounted:
    """Give a box with 1.0.0 live."""
    made = Mounted(tmp_path / "air", volume=volume.path)
    made.state.mkdir(parents=True)
    made.models.mkdir(parents=True)
    made.offer("1.0.0")
    assert made.live(LocalDisk()) == "1.0.0"
    return made


def fill(volume: Volume) -> Path:
    """Take every byte that is left, as somebody's log does; gives the file."""
    file = volume.path / "somebody.log"
    with file.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    stream.write(bytes(size))
    return file


def test_a_disk_that_fills_up_during_a_download_fails_it_and_it_goes_on_when_there_is_room(volume: Volume) -> None:
    """Case 31, during, for real: its room was there when it began."""
    taken: list[Path] = []
    # The volume is smaller than what a download leaves free elsewhere.
    wanted = Wanted("x", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert os.statvfs(volume.path).f_bavail * os.statvfs(volume.path).f_frsize > RESERVE_BYTES + len(CONTENT)
    source = Source(lambda at: taken.append(fill(volume)) if at >= len(CONTENT) // 2 and not taken else None)
    incoming = volume.path / "incoming"

    with pytest.raises(RetryableError) as failed:
        download(source, wanted, incoming, Pace())

    assert failed.value.code == "disk-full"
    taken[0].unlink()
    assert download(source, wanted, incoming, Pace()).read_bytes() == CONTENT
    assert len(CONTENT) // 2 - BLOCK_BYTES <= source.asked[1] <= len(CONTENT) // 2 + BLOCK_BYTES


def test_on_a_full_disk_an_order_fails_and_the_retry_succeeds(air: Mounted, volume: Volume) -> None:
    """Case 31, at the pointer's write, for real."""
    order, air.knobs.verdict = air.order(), COMMIT
    taken = fill(volume)

    with suppress(DeviceError, OSError):
        assert air.carry(order, LocalDisk()) == "failed"

    assert air.live(LocalDisk()) == "1.0.0"
    taken.unlink()
    assert air.carry(order, LocalDisk()) == "committed"
    assert air.live(LocalDisk()) == "2.0.0"


def test_a_release_is_taken_back_although_not_a_byte_is_left(air: Mounted, volume: Volume) -> None:
    order = air.order()
    assert air.carry(order, LocalDisk()) == "probation"
    fill(volume)
    air.knobs.verdict = Verdict("roll-back", "slow")

    assert air.carry(order, LocalDisk()) == "rolled-back"

    assert air.live(LocalDisk()) == "1.0.0"
    assert [held.reason for held in air.records().quarantine().releases] == ["slow"]


def test_a_disk_that_is_mounted_again_for_reading_only_fails_an_order_and_serves(air: Mounted, volume: Volume) -> None:
    """Case 33, for real: what a kernel does to a file system in which it found an error."""
    order, air.knobs.verdict = air.order(), COMMIT
    run("mount", "-o", "remount,ro", str(volume.path))

    with pytest.raises((DeviceError, OSError), match="Read-only"):
        air.carry(order, LocalDisk())

    assert air.live(LocalDisk()) == "1.0.0"
    run("mount", "-o", "remount,rw", str(volume.path))
    assert air.carry(order, LocalDisk()) == "committed"
