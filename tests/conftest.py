"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A fresh checkout builds Hypothesis's tables of characters in its first test, and a busy box takes seconds for it.
settings.register_profile("edged", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("edged")


@pytest.fixture(scope="session")
def assets() -> Path:
    """Give the folder of real models, pictures and recordings, or skip with the reason."""
    named = os.environ.get("EDGED_ASSETS")
    if not named:
        pytest.skip("needs the reference assets: set EDGED_ASSETS to their folder")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"EDGED_ASSETS names {folder}, which is no folder")
    return folder
