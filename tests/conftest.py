"""What every test may ask for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from fakes import brokers

if TYPE_CHECKING:
    from fakes.brokers import BrokerProcess
    from fakes.mjpeg import JpegCamera
    from fakes.subscriber import Subscriber

# gRPC's own handlers around a fork may end a child before it becomes another program, and no child of a test goes on with gRPC.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
# A fresh checkout builds Hypothesis's tables of characters in its first test, and a busy box takes seconds for it.
# `make soak` looks for new examples; `make test` asks the same each time: what fails there is somebody's change.
IS_SOAK = any(name.startswith("EDGED_SOAK") for name in os.environ)
settings.register_profile("edged", suppress_health_check=[HealthCheck.too_slow], deadline=None, derandomize=not IS_SOAK)
settings.load_profile("edged")


MOST_AGAIN = 5
"""More than so many second tries in a run, and it has failed: that is no chance any more."""
AGAIN_CHARS = 3000
"""Of what a first try met: a screen of a terminal among it."""


ONCE = ("fleet/test_kill.py", "fleet/test_outbox", "e2e/test_kill_daemon.py", "e2e/test_disk.py")
"""Tests of what is lost: something that is lost in a third of the runs would pass most of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let each have a second try, but for some: on a busy machine the kernel may leave a process or a thread out for seconds."""
    for item in items:
        if not any(name in item.nodeid for name in ONCE):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where too many needed one."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and len(reporter.stats.get("rerun", ())) > MOST_AGAIN:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each, and what its first try met: it wants mending."""
    for report in terminalreporter.stats.get("rerun", ()):
        crash = getattr(report.longrepr, "reprcrash", None)
        met = crash.message[:AGAIN_CHARS] if crash is not None else "see above"
        terminalreporter.write_line(f"AGAIN {report.nodeid}: {met}")


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


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """Give mosquitto, or skip where there is none."""
    made = brokers.mosquitto(tmp_path)
    yield made
    made.close()


@pytest.fixture
def fleet(broker: BrokerProcess) -> Iterator[Subscriber]:
    """Give a client of the fleet that hears everything from the start on."""
    from fakes.subscriber import Subscriber  # noqa: PLC0415 - not every test has to do with MQTT

    made = Subscriber(broker.port)
    yield made
    made.close()


@pytest.fixture
def jpegs() -> Iterator[JpegCamera]:
    """Give an HTTP camera that sends JPEGs, well or not, by the path that is asked for."""
    from fakes.mjpeg import JpegCamera  # noqa: PLC0415 - nor with pictures

    made = JpegCamera()
    yield made
    made.close()
