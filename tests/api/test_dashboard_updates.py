"""An update on the dashboard, in a real browser: its download, its probation, and its end."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import DaemonProcess, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.serving_daemon import wait_until_ready
from fakes.shop import Shop
from fakes.syncedclock import ENVIRONMENT, PROGRAM

pytestmark = pytest.mark.slow

SOON_MS = 60_000
LARGE_BYTES, KBPS = 600_000, 1200
"""Four seconds of download: on a busy machine the page looks every second or two."""


@pytest.fixture
def shop(broker: BrokerProcess, tmp_path: Path) -> Shop:
    """Give who signs."""
    return Shop(tmp_path / "shop", broker.port)


@pytest.fixture
def port(broker: BrokerProcess, shop: Shop, tmp_path: Path) -> Iterator[int]:
    """Give the port of the dashboard of a box that takes orders, on 1.0.0 from its folder."""
    sensor_bundle(tmp_path / "models" / "level-1")
    source = csv_source(write_windows(tmp_path / "spindle.csv", range(100)), more='pace = "recorded"\nloop = true')
    port = free_port()
    more = f'[http]\nlisten = "127.0.0.1:{port}"\n[updates]\nrepository = "{shop.repository}"\n'
    more += f'trust = "{shop.trust}"\nmax_kbps = {KBPS}\n'
    # However slow a busy machine makes it meanwhile.
    body = source + pipeline("a", more="objective = { latency_ms = 60000 }")
    config = write_config(tmp_path, broker.port, body, more=more)
    daemon = DaemonProcess(config, program=PROGRAM, env=ENVIRONMENT).start()
    try:
        wait_until_ready(port, daemon)
        yield port
    finally:
        daemon.close()


def large(folder: Path) -> Path:
    """Make a bundle that takes its time to come: behind a TFLite model may stand anything."""
    sensor_bundle(folder, version="2.0.0")
    model, manifest = folder / "model.tflite", folder / "model.toml"
    model.write_bytes(model.read_bytes() + random.Random(7).randbytes(LARGE_BYTES))  # noqa: S311 - no secret
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    manifest.write_text(re.sub(r'sha256 = ".*"', f'sha256 = "{digest}"', manifest.read_text("utf-8")), "utf-8")
    return folder


def test_a_download_and_a_probation_are_seen_on_their_way_and_gone_at_their_end(
    browser: Any, port: int, shop: Shop, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1300, "height": 1200})
    page.goto(f"http://127.0.0.1:{port}/")
    page.wait_for_selector("#models td", timeout=SOON_MS)
    assert page.locator(".update").count() == 0
    shop.order({"level": {**shop.offer(large(tmp_path / "2.0.0")), "probation_s": 6, "min_inferences": 20}})

    page.wait_for_function(seen("downloading", least=0.05), timeout=SOON_MS)
    downloading = page.locator("[data-update=level]").inner_text()
    page.wait_for_function(seen("probation", least=0.25), timeout=SOON_MS)
    probation = page.locator("[data-update=level]").inner_text()
    page.wait_for_function("() => !document.querySelector('.update')", timeout=SOON_MS)

    assert re.search(r"level 2\.0\.0\s+downloading \d+ %\s+0\.\d\d of 0\.6\d MB", downloading), downloading
    assert re.search(r"level 2\.0\.0\s+probation \d+ %\s+\d s of 6 s, \d+ of at least 20 results", probation), probation
    row = page.locator("#models tbody tr", has_text=re.compile("committed|rolled-back|failed"))
    row.wait_for(timeout=SOON_MS)
    assert row.inner_text().split()[:5] == ["level", "2.0.0", "1.0.0", "2.0.0", "committed"]
    page.close()


def seen(state: str, *, least: float) -> str:
    """Give what is true in the page while an update is in a state and has come so far, and not to its end."""
    return (
        "() => { const row = document.querySelector('[data-update=level]'), bar = row?.querySelector('progress');"
        f" return row?.innerText.includes('{state}') && bar.hasAttribute('value') && bar.value >= {least} && bar.value < 1; }}"
    )
