"""The dashboard in a real browser, on a daemon that runs: what people see, and what they must not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from edged.config.share import shipped
from fakes import brokers
from fakes.daemon import DaemonProcess, write_config
from fakes.mjpeg import JpegCamera
from fakes.serving import free_port
from fakes.serving_daemon import wait_until_ready

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HOSTILE = "<img src=x onerror=document.title='owned'>"
PIPELINES = """
[http]
listen = "127.0.0.1:{port}"
[[source]]
name = "conveyor"
kind = "file"
path = "{models}/parts/demo/conveyor.mp4"
loop = true
[[source]]
name = "fan"
kind = "csv"
path = "{models}/vibration/demo/fan.csv"
columns = ["x", "y", "z"]
time = "t"
loop = true
[[source]]
name = "yard"
kind = "camera"
url = "{camera}"
[[pipeline]]
name = "parts"
source = "conveyor"
model = "parts"
[[pipeline.rule]]
name = "washer"
when = {{ label = "washer", min_score = 0.5 }}
[[pipeline]]
name = "bearing"
source = "fan"
model = "vibration"
calibrate_s = 11
[[pipeline]]
name = "gate"
source = "yard"
model = "parts"
"""


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


@dataclass(frozen=True)
class Site:
    """A daemon with three pipelines, its page's address, and the camera of one of them."""

    url: str
    camera: JpegCamera


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("dashboard"), free_port()
    shutil.copytree(
        shipped("models") / "parts", folder / "models" / "parts", ignore=shutil.ignore_patterns("*.py", "demo")
    )
    bundle = folder / "models" / "parts"
    for file in (bundle / "labels.txt", *(bundle / "golden").glob("*.json")):
        file.write_text(file.read_text().replace("bolt", HOSTILE))
    camera, broker = JpegCamera(), brokers.mosquitto(folder)
    body = PIPELINES.format(port=port, models=shipped("models"), camera=f"{camera.url}/yard")
    daemon = DaemonProcess(write_config(folder, broker.port, body)).start()
    try:
        wait_until_ready(port, daemon)
        yield Site(f"http://127.0.0.1:{port}/", camera)
    finally:
        daemon.close()
        camera.close()
        broker.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    """Give the page, opened; what it complains of in its console fails the test."""
    opened, said = browser.new_page(viewport={"width": 1300, "height": 1200}), []
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
    opened.goto(site.url)
    yield opened
    opened.close()
    assert said == []


def card(page: Any, name: str) -> Any:
    return page.locator(f'[data-pipeline="{name}"]')


def test_pictures_move(page: Any) -> None:
    page.wait_for_function(
        "() => Number(document.querySelector('[data-pipeline=parts] img')?.dataset.frames) >= 3", timeout=30_000
    )
    assert int(card(page, "parts").locator("img").get_attribute("data-width")) > 100


def test_what_was_found_is_drawn_in_colour(page: Any, site: Site) -> None:
    cv2, np = pytest.importorskip("cv2"), pytest.importorskip("numpy")
    coloured = []
    for _ in range(20):
        answer = page.request.get(f"{site.url}api/pipelines/parts/picture")
        assert answer.headers["content-type"] == "image/jpeg"
        picture = cv2.imdecode(np.frombuffer(answer.body(), np.uint8), cv2.IMREAD_COLOR).astype(int)
        # The conveyor is dark and grey; what is drawn is not.
        coloured.append(int(((picture.max(axis=2) - picture.min(axis=2)) > 70).sum()))
    assert max(coloured) > 200


def test_it_tells_what_runs_and_what_it_answers(page: Any) -> None:
    page.wait_for_function(
        "() => document.querySelector('[data-pipeline=parts] .answer')?.textContent.includes('washer')", timeout=30_000
    )
    assert "parts 2.0.0" in card(page, "parts").inner_text()
    assert page.locator("#device").inner_text() == "press-07"
    assert page.locator("#online").inner_text() == "broker connected"


def test_a_sensor_has_its_curves(page: Any) -> None:
    # Three channels, the score and its limit.
    page.wait_for_function(
        "() => document.querySelectorAll('[data-pipeline=bearing] svg path').length >= 5", timeout=60_000
    )


def test_a_hostile_label_stays_text(page: Any) -> None:
    page.wait_for_function("() => document.body.textContent.includes('onerror=document.title')", timeout=60_000)
    assert page.locator("img[src='x']").count() == 0
    assert "owned" not in page.title()


def test_the_ladder_is_told_with_its_reasons(page: Any) -> None:
    page.wait_for_selector("#models details", timeout=30_000)
    page.locator("#models summary").first.click()
    assert page.locator("#models tr.runs").count() >= 1


def test_events_are_listed(page: Any) -> None:
    page.wait_for_function(
        "() => document.querySelector('#events').textContent.includes('washer start')", timeout=60_000
    )


def test_the_past_is_drawn_for_an_hour_and_for_a_day(page: Any) -> None:
    page.wait_for_function(
        "() => document.querySelectorAll('[data-curve=rate] svg .curve').length === 3", timeout=60_000
    )
    page.click("[data-span=day]")
    page.wait_for_function("() => document.querySelector('#history').dataset.span === 'day'", timeout=30_000)
    assert "MiB" in page.locator("[data-curve=memory] .legend").inner_text()


def test_nothing_comes_from_elsewhere(page: Any, site: Site) -> None:
    policy = page.request.get(site.url).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "path", ["api/pipelines/nobody/picture", "api/pipelines/bearing/picture", "api/pipelines/parts/window"]
)
def test_what_is_not_there_is_told(page: Any, site: Site, path: str) -> None:
    answer = page.request.get(site.url + path)
    assert answer.status == 404
    assert "cannot show pipeline" in answer.json()["error"]


def test_a_killed_camera_turns_its_card(page: Any, site: Site) -> None:
    page.wait_for_function(
        "() => document.querySelector('[data-pipeline=gate]:not(.is-down)')",
        timeout=30_000,
    )
    site.camera.close()
    page.wait_for_selector('[data-pipeline="gate"].is-down', timeout=30_000)
    assert "yard" in card(page, "gate").locator(".veil").inner_text()
    page.wait_for_selector("#reasons .reason", timeout=30_000)
