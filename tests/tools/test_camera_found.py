"""The list of cameras: from a driver's answers, and from a real process whose calls umockdev answers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgectl.camera.found import by_formats, cameras, lasting
from edgectl.camera.v4l2 import Device, describe
from fakes.daemon import edged
from fakes.v4l2 import MockedCamera
from fakes.webcam import Webcam

EDGECTL = (sys.executable, "-c", "from edgectl.cli import main; raise SystemExit(main())")


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """Give a /dev with a camera that has two nodes, and the names that stay with it."""
    for node in ("video0", "video1", "video10"):
        (tmp_path / node).touch()
    for folder, name in (
        ("v4l/by-id", "usb-046d_HD_Webcam_C270-video-index0"),
        ("v4l/by-path", "pci-0-usb-0:2-index0"),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).symlink_to("../../video0")
    return tmp_path


def told(camera: Webcam, dev: Path) -> Device:
    device = describe(dev / "video0", camera.ioctl)
    assert device is not None
    return device


def test_every_format_size_and_rate_is_told(dev: Path) -> None:
    device = told(Webcam(), dev)
    assert (device.card, device.driver, device.bus) == ("HD Webcam C270", "uvcvideo", "usb-0000:00:14.0-2")
    assert [(one.fourcc, one.words) for one in device.formats] == [("MJPG", "Motion-JPEG"), ("YUYV", "YUYV 4:2:2")]
    sizes = {(one.fourcc, size.width, size.height): size.rates_hz for one in device.formats for size in one.sizes}
    assert sizes == {
        ("MJPG", 1280, 720): (60, 30),
        ("MJPG", 1920, 1080): (30,),
        ("YUYV", 640, 480): (30, 7.5),
        ("YUYV", 1280, 720): (10,),
    }


def test_a_driver_that_takes_any_size_tells_its_largest(dev: Path) -> None:
    camera = Webcam(formats={"YUYV": {(2592, 1944): ((1, 15),)}}, stepwise=(2592, 1944))
    ((size,),) = (one.sizes for one in told(camera, dev).formats)
    assert (size.width, size.height, size.rates_hz, size.is_any) == (2592, 1944, (15,), True)


def test_a_node_without_pictures_is_no_camera(dev: Path) -> None:
    assert describe(dev / "video1", Webcam(device_caps=0x04A0_0000).ioctl) is None
    assert cameras(dev, Webcam(device_caps=0x04A0_0000).ioctl) == ()


@pytest.mark.parametrize(
    ("camera", "note"),
    [
        (Webcam(), ""),
        (Webcam(formats={"pBAA": {(1920, 1080): ()}, "BG10": {(1920, 1080): ()}}), "libcamerasrc"),
        (Webcam(device_caps=0x0420_1000), "v4l2src device="),
    ],
)
def test_what_needs_gstreamer_says_so(dev: Path, camera: Webcam, note: str) -> None:
    first = cameras(dev, camera.ioctl)[0]
    assert note in first.note
    assert bool(first.note) == bool(note)


def test_a_camera_goes_by_the_name_that_stays_with_it(dev: Path) -> None:
    assert lasting(dev / "video0", dev).name == "usb-046d_HD_Webcam_C270-video-index0"
    assert lasting(dev / "video10", dev) == dev / "video10"
    assert [one.node.name for one in cameras(dev, Webcam().ioctl)] == ["video0", "video1", "video10"]


def test_what_is_no_device_of_that_kind_is_listed_with_the_reason(dev: Path) -> None:
    first = cameras(dev)[0]
    assert first.device is None
    assert "inappropriate ioctl" in first.note
    assert by_formats([first]) == [(dev / "video0", "", "", "", "", "", first.note)]


@pytest.fixture
def mocked() -> Iterator[MockedCamera]:
    made = MockedCamera()
    yield made
    made.close()


@pytest.mark.slow
def test_the_verb_asks_the_kernel_itself(mocked: MockedCamera) -> None:
    said = edged("camera", "list", program=EDGECTL, env={**os.environ, **mocked.env})
    assert (said.status, said.err) == (0, "")
    rows = [line.split() for line in said.out.splitlines()]
    assert ["/dev/video0", "HD", "Webcam", "C270", "MJPG", "1280x720", "60", "30"] in rows
    assert ["YUYV", "640x480", "30", "7.5"] in rows
    assert "edgectl camera look /dev/video0" in said.out

    told = json.loads(edged("camera", "list", "--json", program=EDGECTL, env={**os.environ, **mocked.env}).out)
    (camera,) = told["cameras"]
    assert (camera["node"], camera["held_by"], camera["device"]["driver"]) == ("/dev/video0", [], "uvcvideo")
    assert camera["device"]["formats"][0]["sizes"][0] == {
        "width": 1280,
        "height": 720,
        "rates_hz": [60, 30],
        "is_any": False,
    }
