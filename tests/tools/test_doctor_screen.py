"""What ``edgectl doctor`` shows on a real pseudo-terminal: at 80 columns the page's own example, at 120 the file beside this test."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.config.share import shipped
from fakes.devicetree import build, plant
from fakes.ptyscreen import PtyScreen

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"
WIDE = Path(__file__).with_name("doctor-120.txt")
SHOWN_AS = "/mnt/card-press07"
BOX = """\
etc/os-release = PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
proc/sys/kernel/osrelease = 6.6.51-v8
etc/edged/edged.toml = [device]\\nid = "press-07"\\n[mqtt]\\nhost = "broker.plant.local"
etc/passwd = edged:x:990:990::/var/lib/edged:/usr/sbin/nologin
etc/group = edged:x:990:\\nvideo:x:44:\\nrender:x:105:\\naudio:x:29:\\ndialout:x:20:\\nplugdev:x:46:\\napex:x:47:
opt/edged/bin/edged = #!/opt/edged/bin/python3
sys/block/mmcblk0/device/life_time = 0x0a 0x01
sys/class/watchdog/watchdog0/state = inactive
"""


@pytest.fixture
def card() -> Iterator[Path]:
    """Give another box's files, in a folder whose name is as long as what stands for it."""
    folder = Path(tempfile.mkdtemp(prefix="box-", dir="/tmp"))
    assert len(str(folder)) == len(SHOWN_AS)
    build(BOX, plant("raspberry-pi-4-coral-usb3", folder))
    (folder / "etc/systemd/system").mkdir(parents=True)
    shutil.copy(shipped("systemd") / "edged-safe.service", folder / "etc/systemd/system")
    shutil.copy(shipped("systemd") / "edged.service", folder / "etc/systemd/system")
    yield folder
    shutil.rmtree(folder)


def shown(card: Path, columns: int) -> str:
    screen = PtyScreen("doctor", "--sysroot", str(card), columns=columns, lines=100)
    try:
        text = screen.until(
            lambda shown: re.search(r"^press-07: \d+ failed, .* skipped$", shown, re.MULTILINE), "the sum"
        )
        assert screen.end("") == 1
    finally:
        screen.close()
    return text.replace(str(card), SHOWN_AS)


def test_at_80_columns_it_is_the_example_of_the_page(card: Path) -> None:
    (example,) = re.findall(r"^```\n(operating system\n.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert shown(card, 80) == example


def test_at_120_columns_it_is_the_file_beside(card: Path) -> None:
    assert shown(card, 120) == WIDE.read_text("utf-8")
