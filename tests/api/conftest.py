"""What the API's tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edged.domain.tensor import TensorSpec
from fakes.raw_http import RawClient
from fakes.repeating import Reads, made
from fakes.serving import Box, FakeBrought, box, served
from fakes.serving_daemon import Serving, serving_daemon

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def serving(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Give a daemon that serves real models."""
    with serving_daemon(tmp_path_factory.mktemp("serving"), assets) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Give a headless Chromium, or skip with the reason."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("needs chromium: it is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def http_box() -> Box:
    """Give a box with the models m and wide, and one that is not loaded, idle."""
    wide = TensorSpec("x", (1, -1), "float32")
    return box(FakeBrought("m"), FakeBrought("idle"), FakeBrought("wide", inputs=(wide,)), queue=64).loaded("m", "wide")


@pytest.fixture(scope="module")
def http_port(http_box: Box) -> Iterator[int]:
    with served(http_box) as port:
        yield port


@pytest.fixture
def http(http_port: int) -> Iterator[RawClient]:
    """Give a client of that box."""
    with RawClient(http_port) as client:
        yield client


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Count the requests that are read the long way."""
    return Reads(monkeypatch)


@pytest.fixture
def port() -> Iterator[int]:
    """Give the port of a box whose one model, m, doubles four numbers."""
    with served(made()) as port:
        yield port
