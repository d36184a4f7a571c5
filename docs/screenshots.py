"""Takes docs/pictures/dashboard.png and dashboard-phone.png: the demo's own page, when its fan has begun to knock. Needs chromium."""
# ruff: noqa: INP001 - a script, no package

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

PICTURES = Path(__file__).resolve().parent / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 1400
PHONE = {"width": 390, "height": 844}
KNOCKS = "[data-pipeline=bearing] .answer >> text=/^anomaly/"
MAX_WAIT_MS = 60_000


def main() -> int:
    """Start the demo, wait until both pipelines have something to show, and take the pictures."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        sys.stderr.write("cannot take pictures: no chromium, expected one; run: sudo apt install chromium\n")
        return 2
    with demo() as url, sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(url)
        page.wait_for_selector(KNOCKS, timeout=MAX_WAIT_MS)
        page.wait_for_timeout(5000)
        page.screenshot(path=PICTURES / "dashboard.png", clip=top_of(page))
        at_night(browser, url)
    return 0


@contextmanager
def demo() -> Iterator[str]:
    """Run the demo and give the address of its dashboard."""
    command = [sys.executable, "-c", "from edged.cli import main; raise SystemExit(main())", "demo", "--seconds", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        try:
            lines = iter(process.stdout or ())
            url = next(line.split()[1] for line in lines if line.startswith("dashboard:"))
            # Its first word of a pipeline: by then the server is up.
            next(line for line in lines if "parts" in line)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate()


def top_of(page: Page) -> dict[str, float]:
    """Give the part of the page down to the events and the box."""
    bottom: float = page.evaluate("document.querySelector('.columns').getBoundingClientRect().bottom")
    return {"x": 0, "y": 0, "width": WIDTH, "height": min(bottom + 8, HEIGHT)}


def at_night(browser: Browser, url: str) -> None:
    """Take what a phone shows in the dark."""
    context = browser.new_context(viewport=PHONE, color_scheme="dark", device_scale_factor=2)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(KNOCKS, timeout=MAX_WAIT_MS)
    page.wait_for_timeout(3000)
    page.screenshot(path=PICTURES / "dashboard-phone.png")


if __name__ == "__main__":
    sys.exit(main())
