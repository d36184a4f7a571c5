"""What the tests on a real file system share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.ext4 import Volume, mortal


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    """Give an ext4 whose power can be cut, or skip with the reason."""
    with mortal(tmp_path) as made:
        yield made
