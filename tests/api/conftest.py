"""What the API's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.serving_daemon import Serving, serving_daemon


@pytest.fixture(scope="module")
def serving(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Give a daemon that serves real models."""
    with serving_daemon(tmp_path_factory.mktemp("serving"), assets) as made:
        yield made
