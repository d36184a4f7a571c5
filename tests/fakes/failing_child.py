"""An update in a process whose system calls fail at random: ``fiu-run -x`` of libfiu stands between Python and the C library.

Arguments are the box's folder, the order, a seed, and how likely a call fails. Prints how each round ended, as JSON.
"""

from __future__ import annotations

import ctypes
import errno
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edged.domain.artefact import VerifiedArtefact
from edged.domain.errors import EdgedError
from edged.fleet.fetch import Wanted, download
from edged.fleet.folder import FolderTransport
from edged.fleet.pace import Pace
from edged.update.disk import LocalDisk
from edged.update.ports import Progress
from edged.update.probation import COMMIT
from edged.update.records import Ordered
from fakes.site import MODEL, Air

PROGRAM = "from fakes.failing_child import main; main()"
POINTS = {"posix/io/oc/*": 0, "posix/io/sync/*": 0, "posix/io/rw/*": 0, "posix/io/dir/*": errno.EIO}
"""Opening and closing, syncing, reading and writing (in whole and in part), folders; never memory or the network. 0: with any of the errors
that POSIX gives to the call; a folder that is there and said to be absent is no trouble of a disk's."""
ROUNDS = 3


class DownloadingAir(Air):
    """A box that fetches with edged's own code, as its child does."""

    def _fetch(
        self, _model: str, order: Ordered, progress: Progress, _cancelled: Callable[[], bool]
    ) -> VerifiedArtefact:
        self.knobs.fetched.append(order.version)
        wanted = Wanted(order.target, order.length, order.sha256)
        place = download(
            FolderTransport(self.path / "repository"), wanted, self.state / "incoming", Pace(None), progress
        )
        return VerifiedArtefact(MODEL, order.version, order.length, order.sha256, place)


@contextmanager
def failing(library: Any, probability: float) -> Iterator[None]:
    for point, number in POINTS.items():
        library.fiu_enable_random(point.encode(), 1, ctypes.c_void_p(number), 0, ctypes.c_float(probability))
    try:
        yield
    finally:
        for point in POINTS:
            library.fiu_disable(point.encode())


def main() -> None:
    """Carry the order out a few times while calls fail."""
    path, text, seed, probability = sys.argv[1:]
    library = ctypes.CDLL("libfiu.so.0")
    library.fiu_set_prng_seed(ctypes.c_uint(int(seed)))
    air, order, ended = DownloadingAir(Path(path)), Ordered.model_validate_json(text), []
    air.knobs.verdict = COMMIT
    air.live(LocalDisk())  # whatever is imported late is imported now
    for _ in range(ROUNDS):
        try:
            with failing(library, float(probability)):
                air.updater(LocalDisk()).carry(air.way(order, LocalDisk()))
        except EdgedError as error:
            ended.append(f"{type(error).__name__}: {error.code}")
        else:
            pointer = air.records(LocalDisk()).pointer(MODEL)
            ended.append(f"{pointer.state.value}: {pointer.code}: {pointer.reason}")
    sys.stdout.write(json.dumps(ended))
