"""Power cuts of a real ext4 under the outbox: nothing behind the durable mark is lost, and nothing comes twice or with a gap."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from fakes import durable
from fakes.ext4 import LOGFLUSH, NOLOGFLUSH, Volume, mortal
from fakes.waiting import until

pytestmark = pytest.mark.slow

CUTS = 60 if os.environ.get("EDGED_SOAK_FRAMES") else 4
LONGEST_S = 0.6


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    with mortal(tmp_path) as made:
        yield made


def kept(path: Path) -> list[int]:
    """Give the numbers that are there after the restart, in the order in which they would be sent."""
    seqs: list[int] = []
    with closing(durable.opened(path)) as outbox:
        pending = outbox.pending()

        def is_all() -> bool:
            seqs.extend(row.seq for row in outbox.claim(1000) if row.stream == durable.STREAM)
            return len(seqs) >= pending

        until(is_all, "every document is claimed")
    return seqs


def durable_in(ledger: Path) -> int:
    """Give the durable mark that was noted last; 0 before the first."""
    lines = ledger.read_text("ascii").splitlines() if ledger.exists() else []
    return int(lines[-1].split()[0]) if lines else 0


def test_no_document_behind_the_durable_mark_is_lost_in_power_cuts(tmp_path: Path, volume: Volume) -> None:
    chance, ledger, outbox = Random(20261121), tmp_path / "ledger", volume.path / "outbox.sqlite3"  # noqa: S311 - a seeded choice
    lost_behind, lost_at_all, whole = 0, 0, 0
    for number in range(CUTS):
        ledger.unlink(missing_ok=True)
        program = subprocess.Popen([sys.executable, durable.__file__, str(outbox), str(ledger)])
        try:
            until(lambda: durable_in(ledger) > whole + 20, "some more are durable")  # noqa: B023 - asked at once
            time.sleep(chance.uniform(0.0, LONGEST_S))
            volume.cut((NOLOGFLUSH, LOGFLUSH)[number % 2])
        finally:
            program.kill()
            program.wait()
        volume.restart()
        mark, committed = (int(word) for word in ledger.read_text("ascii").splitlines()[-1].split())
        seqs = kept(outbox)
        whole = len(seqs)
        lost_behind += len({*range(1, mark + 1)} - {*seqs})
        lost_at_all += max(0, committed - whole)
        assert seqs == list(range(1, whole + 1))
    print(f"{CUTS} cuts, {whole} documents kept; behind the mark {lost_behind} lost, younger than it {lost_at_all}")  # noqa: T201
    assert lost_behind == 0
    assert whole > 20 * CUTS
