"""Terminals that end with their test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes.ptyscreen import PtyScreen


@pytest.fixture
def screens() -> Iterator[list[PtyScreen]]:
    """Give a list of the terminals that a test has opened."""
    made: list[PtyScreen] = []
    yield made
    for one in made:
        one.close()
