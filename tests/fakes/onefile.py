"""A repository with one file of a megabyte and a half, and how it is asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.domain.errors import RetryableError
from edged.fleet.fetch import Transport, Wanted, download
from edged.fleet.pace import Pace
from fakes.repository_simulator import Simulator, desired, ordered

NAME = "parts-1.3.0.edgemodel"
CONTENT = os.urandom(1_500_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WANTED = Wanted(f"targets/{DIGEST}.{NAME}", len(CONTENT), DIGEST)


def made_in(folder: Path) -> Path:
    """Write the repository, an order for the file and the root of trust into a folder; gives the repository's own."""
    simulator = Simulator()
    simulator.add(NAME, CONTENT)
    simulator.publish()
    simulator.write(folder / "repository")
    (folder / "order").write_bytes(simulator.desire(desired(models={"parts": ordered(NAME, CONTENT)})))
    (folder / "root.json").write_bytes(simulator.provisioned)
    return folder / "repository"


def fetch(transport: Transport, incoming: Path) -> Path:
    return download(transport, WANTED, incoming, Pace())


def failure(attempt: Callable[[], object]) -> str:
    with pytest.raises(RetryableError) as failed:
        attempt()
    return failed.value.code
