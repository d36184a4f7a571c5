"""The dashboard in a real browser, on a daemon that runs: what people see, and what they must not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import cv2
import numpy as np
import pytest

from edged.hardware.inventory import take_inventory, to_document
from edged.sinks.drawing import COLOURS, within
from edged.sinks.drawing import ZONE as ZONE_COLOUR
from fakes.dashboardsite import HEAT_C, ZONE, Site, dashboard_site
from fakes.raw_http import RawClient, request

pytestmark = pytest.mark.slow

SOON_MS = 60_000
PIXELS = """name => {
  const picture = document.querySelector(`[data-pipeline=${name}] img`);
  if (!picture.complete || !picture.naturalWidth) return null;  // the next one is on its way
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  canvas.getContext('2d').drawImage(picture, 0, 0);
  return canvas.toDataURL('image/png');
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with dashboard_site(tmp_path_factory.mktemp("dashboard")) as made:
        yield made


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    """Give the page, opened; what it complains of in its console, and what it asks of others, fails the test."""
    opened, said = browser.new_page(viewport={"width": 1300, "height": 1200}), []
    opened.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith(site.url) else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
    opened.goto(site.url)
    yield opened
    opened.close()
    assert said == []


def card(page: Any, name: str) -> Any:
    return page.locator(f'[data-pipeline="{name}"]')


def seen(page: Any, name: str, frames: int = 1) -> np.ndarray[Any, Any]:
    """Give the pixels that a pipeline's card shows, (H, W, 3) uint8 BGR, once it has shown so many pictures."""
    page.wait_for_function(
        f"() => Number(document.querySelector('[data-pipeline={name}] img')?.dataset.frames) >= {frames}",
        timeout=SOON_MS,
    )
    url = page.wait_for_function(PIXELS, arg=name, timeout=SOON_MS).json_value()
    encoded = base64.b64decode(url.partition(",")[2])
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)


def test_pictures_move(page: Any) -> None:
    first, later = seen(page, "parts", 1), seen(page, "parts", 6)

    assert first.shape[1] > 100
    assert float(np.abs(first.astype(int) - later.astype(int)).mean()) > 0.5


def is_drawn(
    picture: np.ndarray[Any, Any],
    plain: np.ndarray[Any, Any],
    points: np.ndarray[Any, Any],
    colour: tuple[int, int, int],
) -> float:
    """Give at which part of ``points``, (N, 2) x and y as fractions, within a pixel, the ``plain`` picture was drawn into with a colour.

    JPEG gives a thin line a part of its colour alone: a third of the way from the ground to it is enough.
    """
    height, width = picture.shape[:2]
    way = np.array(colour, float) - plain
    far = ((picture - plain.astype(float)) * way).sum(axis=2) / (way * way).sum(axis=2)
    near = cv2.dilate((far > 1 / 3).astype(np.uint8), np.ones((3, 3)))
    places = np.clip((points * [width, height]).round().astype(int), 0, [width - 1, height - 1])
    return float(near[places[:, 1], places[:, 0]].mean())


def outline(corners: Any) -> np.ndarray[Any, Any]:
    """Give points along a closed line."""
    corners = np.array(corners, float)
    steps = np.linspace(0, 1, 50, endpoint=False)[:, np.newaxis]
    return np.concatenate([a + steps * (b - a) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)])


def test_boxes_and_zones_are_drawn_where_the_result_and_the_configuration_say(page: Any, site: Site) -> None:
    url = f"{site.url}v2/models/parts/infer"
    answer = page.request.post(url, data=site.still.read_bytes(), headers={"Content-Type": "image/png"}).json()
    found = [one for one in json.loads(answer["outputs"][0]["data"][0])["detections"] if one["score"] > 0.5]
    picture = seen(page, "still", 2)
    plain = within(cv2.imread(str(site.still)), picture.shape[1])

    assert len(found) >= 2
    for one in found:
        x1, y1, x2, y2 = one["box"]
        edges = outline([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
        colour = COLOURS[crc32(one["label"].encode()) % len(COLOURS)]
        assert is_drawn(picture, plain, edges, colour) > 0.9, one
        # And not just anywhere: nothing of it half a box away.
        away = edges + np.array([(x2 - x1) / 2, (y2 - y1) / 2])
        assert is_drawn(picture, plain, away[(away < 1).all(axis=1)], colour) < 0.5, one
    assert is_drawn(picture, plain, outline(ZONE), ZONE_COLOUR) > 0.8


def test_it_tells_what_runs_and_what_it_answers(page: Any) -> None:
    page.wait_for_function(
        "() => document.querySelector('[data-pipeline=parts] .answer')?.textContent.includes('washer')", timeout=SOON_MS
    )
    assert "parts 2.0.0" in card(page, "parts").inner_text()
    assert page.locator("#device").inner_text() == "press-07"
    page.wait_for_function(
        "() => document.querySelector('#online').textContent === 'broker connected'", timeout=SOON_MS
    )


def test_a_sensor_has_its_curves(page: Any) -> None:
    # Three channels, the score and its limit.
    page.wait_for_function(
        "() => document.querySelectorAll('[data-pipeline=bearing] svg path').length >= 5", timeout=60_000
    )


def test_a_card_tells_rate_age_drops_and_where_the_time_goes(page: Any) -> None:
    figures = "[...document.querySelectorAll('[data-pipeline=parts] .figures b')].map(one => one.textContent)"
    page.wait_for_function(
        f"() => parseFloat({figures}[0]) > 0 && {figures}.every(one => /[0-9]/.test(one))", timeout=SOON_MS
    )
    rate, p95, age, unknown = page.evaluate(f"() => {figures}")
    widths = "[...document.querySelectorAll('[data-pipeline=parts] .stack div')].map(one => one.style.width)"
    shares = [float(one.rstrip("%")) for one in page.evaluate(f"() => {widths}")]
    told = card(page, "parts").inner_text()

    assert rate.endswith("/s")
    assert float(p95.removesuffix(" ms")) > 0
    assert (age.split()[1:], unknown) == (["s", "ago"], "0")
    assert len(shares) == 4
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert max(shares) < 100
    for words in ("results a second, last two minutes", "inference", "preprocess", "dropped"):
        assert words in told
    page.wait_for_selector("[data-pipeline=parts] .curve", state="attached", timeout=SOON_MS)


def test_drops_are_told_by_their_causes(page: Any) -> None:
    def with_drops(route: Any) -> None:
        answer = route.fetch()
        told = answer.json()
        for one in told["pipelines"]:
            one["drops"] = {"stale": 3, "replaced": 0, "governor": 2}
        route.fulfill(response=answer, json=told)

    page.route("**/api/overview", with_drops)
    page.wait_for_function(
        "() => document.querySelector('[data-pipeline=parts]')?.textContent.endsWith('dropped: 3 stale, 2 governor')",
        timeout=SOON_MS,
    )
    page.unroute_all(behavior="ignoreErrors")


def test_the_hardware_and_its_heat_are_told(page: Any) -> None:
    page.wait_for_function("() => document.querySelector('#box').textContent.includes('MiB')", timeout=SOON_MS)
    told = page.locator("#box").inner_text()
    assert all(word in told for word in ("board", "profile", "processors", "memory", "accelerators", "to the fleet"))
    page.wait_for_selector("[data-curve=temperature] .curve", state="attached", timeout=SOON_MS)
    assert f"{HEAT_C} °C" in page.locator("[data-curve=temperature] .legend").inner_text()
    page.wait_for_selector("[data-curve=pressure] .curve", state="attached", timeout=SOON_MS)


def test_what_is_unknown_of_the_hardware_is_not_told_as_none(page: Any, tmp_path: Path) -> None:
    def of_nothing(route: Any) -> None:
        answer = route.fetch()
        told = answer.json()
        told["inventory"]["hardware"] = to_document(take_inventory(tmp_path), "generic", ())
        route.fulfill(response=answer, json=told)

    page.route("**/api/overview", of_nothing)
    page.wait_for_function("() => document.querySelector('#box').textContent.includes('int8 unknown')", timeout=SOON_MS)
    told = page.locator("#box").inner_text()
    page.unroute_all(behavior="ignoreErrors")
    assert "unknown: no sys/bus/usb/devices, no sys/bus/pci/devices" in told
    assert not [word for word in ("null", "none found", "no int8 instructions") if word in told]


LEAST_CONTRAST = 4.5
"""WCAG 2.2, success criterion 1.4.3: what people with weak eyes, and people in the sun, can read."""
CONTRASTS = """() => {
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = colour => colour.slice(0, 3).map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')]
    .filter(one => one.checkVisibility() && [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
    .filter(one => !one.closest('.veil'))
    .map(one => {
      const [a, b] = [light(rgb(getComputedStyle(one).color)), light(ground(one))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.tagName + '.' + one.className, one.textContent.slice(0, 30)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_by_day_and_by_night_every_word_can_be_read(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.wait_for_selector("#models details", timeout=SOON_MS)
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    weak = [row for row in page.evaluate(CONTRASTS) if row[0] < LEAST_CONTRAST]

    assert (sum(map(int, ground[4:-1].split(","))) < 3 * 128) == (scheme == "dark")
    assert weak == []


def test_on_a_phone_nothing_lies_beside_the_screen_and_fingers_find_what_they_press(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.wait_for_selector("#models details", timeout=SOON_MS)
    wide = page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    columns = page.evaluate(
        "() => getComputedStyle(document.querySelector('#pipelines')).gridTemplateColumns.split(' ').length"
    )
    least = page.evaluate(
        "() => Math.min(...[...document.querySelectorAll('button, summary')].filter(one => one.checkVisibility())"
        ".map(one => one.getBoundingClientRect().height))"
    )
    small = page.evaluate(
        "() => Math.min(...[...document.querySelectorAll('body *')].map(one => parseFloat(getComputedStyle(one).fontSize)))"
    )

    assert wide[0] <= wide[1]
    assert columns == 1
    assert least >= 24  # WCAG 2.2, success criterion 2.5.8
    assert small >= 10.5


def test_browsers_that_take_no_picture_cost_the_pipeline_nothing(page: Any, site: Site) -> None:
    told = {one["name"]: one for one in page.request.get(f"{site.url}api/overview").json()["pipelines"]}
    port = int(site.url.rstrip("/").rpartition(":")[2])
    # Each asks for many pictures and reads none of them.
    slow = [RawClient(port) for _ in range(12)]
    for client in slow:
        client.send(request("GET", "/api/pipelines/still/picture") * 12)

    def later() -> Any:
        return next(
            one for one in page.request.get(f"{site.url}api/overview").json()["pipelines"] if one["name"] == "still"
        )

    page.wait_for_function(
        f"""async () => (await (await fetch('api/overview')).json()).pipelines
          .find(one => one.name === 'still').results >= {told["still"]["results"] + 30}""",
        timeout=SOON_MS,
    )
    after = later()
    for client in slow:
        client.close()

    assert after["state"] == "running"
    assert after["unknown"] == told["still"]["unknown"]
    assert after["latency_ms"]["postprocess"]["p50"] < 5


def test_a_hostile_label_stays_text(page: Any) -> None:
    page.wait_for_function("() => document.body.textContent.includes('onerror=document.title')", timeout=60_000)
    assert page.locator("img[src='x']").count() == 0
    assert "owned" not in page.title()


def test_the_ladder_is_told_with_its_reasons(page: Any) -> None:
    page.wait_for_selector("#models details", timeout=SOON_MS)
    page.locator("#models summary").first.click()
    runs = page.locator("#models tr.runs").first.locator("td").all_inner_texts()
    assert runs[1].startswith("cpu")
    assert all(runs), "the rung that runs has its figures and its reason"


def test_events_are_listed(page: Any) -> None:
    page.wait_for_function(
        "() => document.querySelector('#events').textContent.includes('washer start')", timeout=60_000
    )


def test_the_past_is_drawn_for_an_hour_and_for_a_day(page: Any) -> None:
    page.wait_for_function(
        "() => document.querySelectorAll('[data-curve=rate] svg .curve').length === 4", timeout=60_000
    )
    page.click("[data-span=day]")
    page.wait_for_function("() => document.querySelector('#history').dataset.span === 'day'", timeout=SOON_MS)
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
        timeout=SOON_MS,
    )
    site.camera.close()
    page.wait_for_selector('[data-pipeline="gate"].is-down', timeout=SOON_MS)
    assert "yard" in card(page, "gate").locator(".veil").inner_text()
    page.wait_for_selector("#reasons .reason", timeout=SOON_MS)
    assert "What to do: " in page.locator("#reasons .reason", has_text="yard").first.inner_text()
