from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.station import MakeStation, Station
from fakes.writerbench import Bench


@pytest.fixture
def station(tmp_path: Path) -> Iterator[MakeStation]:
    made: list[Station] = []

    def make(port: int, folder: Path = tmp_path, **settings: Any) -> Station:
        made.append(Station(folder, port, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def _benches_end_with_their_test() -> Iterator[None]:
    """Close the outboxes that a test left open, as a kill does: from Python 3.13 on, a forgotten connection is a warning."""
    yield
    while Bench.opened:
        Bench.opened.pop().writer._volume.close()
