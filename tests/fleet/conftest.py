from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.station import MakeStation, Station


@pytest.fixture
def station(tmp_path: Path) -> Iterator[MakeStation]:
    made: list[Station] = []

    def make(port: int, folder: Path = tmp_path, **settings: Any) -> Station:
        made.append(Station(folder, port, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()
