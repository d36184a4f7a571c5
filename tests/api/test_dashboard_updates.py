"""An update on the dashboard, in a real browser: its download, its probation, and its end."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import paho.mqtt.publish as mqtt
import pytest

from edged.update.archive import pack_into, packed_name
from edged.update.manifest import read_bundle
from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.daemon import DEVICE, DaemonProcess, write_config
from fakes.repository_simulator import Simulator, desired, ordered, written
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.serving import free_port
from fakes.serving_daemon import wait_until_ready
from fakes.syncedclock import ENVIRONMENT, PROGRAM

pytestmark = pytest.mark.slow

SOON_MS = 60_000
LARGE_BYTES, KBPS = 600_000, 2400
"""Two seconds of download."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    made = brokers.mosquitto(tmp_path)
    yield made
    made.close()


@pytest.fixture
def shop(tmp_path: Path) -> Simulator:
    """Give who signs; a repository in a folder, and the root of trust."""
    made = Simulator(expires=datetime.now(timezone.utc) + timedelta(days=30))
    (tmp_path / "root.json").write_bytes(made.provisioned)
    made.write(tmp_path / "repository")
    return made


@pytest.fixture
def port(broker: BrokerProcess, shop: Simulator, tmp_path: Path) -> Iterator[int]:
    """Give the port of the dashboard of a box that takes orders, on 1.0.0 from its folder."""
    del shop
    sensor_bundle(tmp_path / "models" / "level-1")
    source = csv_source(write_windows(tmp_path / "spindle.csv", range(100)), more='pace = "recorded"\nloop = true')
    port = free_port()
    more = f'[http]\nlisten = "127.0.0.1:{port}"\n[updates]\nrepository = "{tmp_path / "repository"}"\n'
    more += f'trust = "{tmp_path / "root.json"}"\nmax_kbps = {KBPS}\n'
    config = write_config(tmp_path, broker.port, source + pipeline("a"), more=more)
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


def order(shop: Simulator, broker: BrokerProcess, folder: Path) -> None:
    """Publish 2.0.0, and order it with a probation of four seconds."""
    bundle, packed = read_bundle(large(folder / "2.0.0")), BytesIO()
    pack_into(bundle, packed)
    name = packed_name(bundle.manifest)
    shop.add(name, packed.getvalue(), name="level", version="2.0.0")
    shop.publish()
    shop.write(folder / "repository")
    wanted = ordered(name, packed.getvalue(), version="2.0.0", probation_s=4, min_inferences=20)
    now = datetime.now(timezone.utc)
    document = desired(seq=1, models={"level": wanted}, issued=written(now), not_after=written(now + timedelta(days=7)))
    topic = f"edged/v1/d/{DEVICE}/in/desired"
    mqtt.single(topic, shop.desire(document), 1, retain=True, hostname="127.0.0.1", port=broker.port)


def test_a_download_and_a_probation_are_seen_on_their_way_and_gone_at_their_end(
    browser: Any, port: int, shop: Simulator, broker: BrokerProcess, tmp_path: Path
) -> None:
    page = browser.new_page(viewport={"width": 1300, "height": 1200})
    page.goto(f"http://127.0.0.1:{port}/")
    page.wait_for_selector("#models td", timeout=SOON_MS)
    assert page.locator(".update").count() == 0
    order(shop, broker, tmp_path)

    page.wait_for_function(seen("downloading", least=0.05), timeout=SOON_MS)
    downloading = page.locator("[data-update=level]").inner_text()
    page.wait_for_function(seen("probation", least=0.25), timeout=SOON_MS)
    probation = page.locator("[data-update=level]").inner_text()
    page.wait_for_function("() => !document.querySelector('.update')", timeout=SOON_MS)

    assert re.search(r"level 2\.0\.0\s+downloading \d+ %\s+0\.\d\d of 0\.6\d MB", downloading), downloading
    assert re.search(r"level 2\.0\.0\s+probation \d+ %\s+\d s of 4 s, \d+ of at least 20 results", probation), probation
    row = page.locator("#models tbody tr", has_text="committed")
    row.wait_for(timeout=SOON_MS)
    assert row.inner_text().split()[:5] == ["level", "2.0.0", "1.0.0", "2.0.0", "committed"]
    page.close()


def seen(state: str, *, least: float) -> str:
    """Give what is true in the page while an update is in a state and has come so far, and not to its end."""
    return (
        "() => { const row = document.querySelector('[data-update=level]'), bar = row?.querySelector('progress');"
        f" return row?.innerText.includes('{state}') && bar.hasAttribute('value') && bar.value >= {least} && bar.value < 1; }}"
    )
