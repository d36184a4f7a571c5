"""What every test may ask for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# gRPC's own handlers around a fork may end a child before it becomes another program: pexpect forks, and no child of a test goes on
# with gRPC.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# A fresh checkout builds Hypothesis's tables of characters in its first test, and a busy box takes seconds for it.
settings.register_profile("edged", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("edged")


@pytest.fixture(autouse=True)
def the_log_as_it_was() -> Iterator[None]:
    """Undo what a test that starts a verb in this process makes of the log: others read it through pytest."""
    log = logging.getLogger("edged")
    level, handlers, propagate = log.level, list(log.handlers), log.propagate
    yield
    log.setLevel(level)
    log.handlers[:] = handlers
    log.propagate = propagate


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
