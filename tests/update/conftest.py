"""What the tests of updates share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.ext4 import Volume, mortal
from fakes.site import Air, box


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """Give an ext4 whose power can be cut, or skip with the reason."""
    with mortal(tmp_path) as made:
        yield made


@pytest.fixture
def air(tmp_path: Path) -> Air:
    """Give a box that installs at one moment and is ordered something a minute later."""
    return box(tmp_path)
