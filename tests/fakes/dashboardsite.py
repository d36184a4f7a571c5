"""A daemon whose dashboard there is something to see on: cameras, a still picture, a sensor, heat, and a label that is a script."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from edged.config.share import shipped
from fakes import brokers
from fakes.brokers import free_port
from fakes.daemon import DaemonProcess, write_config
from fakes.mjpeg import JpegCamera
from fakes.serving_daemon import wait_until_ready

HOSTILE = "<img src=x onerror=document.title='owned'>"
ZONE = ((0.02, 0.03), (0.98, 0.03), (0.98, 0.97), (0.02, 0.97))
HEAT_C = 61
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
[[source]]
name = "table"
kind = "images"
path = "{still}"
loop = true
fps = 5
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
[[pipeline]]
name = "still"
source = "table"
model = "parts"
[[pipeline.rule]]
name = "there"
when = {{ label = "washer", min_score = 0.5, zone = {zone} }}
"""
WARM = """
import functools
from pathlib import Path
from edged.assembly import wiring
wiring.build_daemon = functools.partial(wiring.build_daemon, sysroot=Path({root!r}))
from edged.cli import main
raise SystemExit(main())
"""
"""The program as it is, but for the root of what it feels: not every machine that tests has a thermometer."""


@dataclass(frozen=True)
class Site:
    """Its page's address, the camera of the pipeline ``gate``, and the picture that ``still`` sees over and over."""

    url: str
    camera: JpegCamera
    still: Path


@contextmanager
def dashboard_site(folder: Path) -> Iterator[Site]:
    """Run it until the end of the block."""
    shutil.copytree(
        shipped("models") / "parts", folder / "models" / "parts", ignore=shutil.ignore_patterns("*.py", "demo")
    )
    bundle, port = folder / "models" / "parts", free_port()
    for file in (bundle / "labels.txt", *(bundle / "golden").glob("*.json")):
        file.write_text(file.read_text().replace("bolt", HOSTILE))
    camera, broker, still = JpegCamera(), brokers.mosquitto(folder), _still(folder / "still.png")
    zone = [list(corner) for corner in ZONE]
    body = PIPELINES.format(port=port, models=shipped("models"), camera=f"{camera.url}/yard", still=still, zone=zone)
    program = (sys.executable, "-c", WARM.format(root=str(_warm(folder / "root"))))
    daemon = DaemonProcess(write_config(folder, broker.port, body), program=program).start()
    try:
        wait_until_ready(port, daemon)
        yield Site(f"http://127.0.0.1:{port}/", camera, still)
    finally:
        daemon.close()
        camera.close()
        broker.close()


def _still(file: Path) -> Path:
    """Write a picture of the conveyor with several parts on it."""
    video = cv2.VideoCapture(str(shipped("models") / "parts" / "demo" / "conveyor.mp4"))
    video.set(cv2.CAP_PROP_POS_FRAMES, 60)
    done, picture = video.read()
    video.release()
    assert done
    cv2.imwrite(str(file), picture)
    return file


def _warm(root: Path) -> Path:
    """Give this machine with a thermometer."""
    zone = root / "sys" / "class" / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text("cpu-thermal\n")
    (zone / "temp").write_text(f"{HEAT_C * 1000}\n")
    for folder in ("proc", "dev", "etc", "sys/devices", "sys/fs"):
        (root / folder).symlink_to(f"/{folder}")
    return root
