"""The cameras of this box: what is there, under which names, and who holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgectl.camera.v4l2 import Device, Ioctl, describe
from edgectl.holders import Holder, holders
from edged.hardware.tree import Tree

DEV = Path("/dev")
LINKS = ("v4l/by-id", "v4l/by-path")
"""In this order: a serial number stays with the camera, a path with the plug."""
CLASS, BY_ID = "sys/class/video4linux", f"dev/{LINKS[0]}"
NO_CAMERA = re.compile(r"codec|isp|hevc|rpivid|vpu|-dec|-enc|unicam|rp1-cfe|m2m", re.IGNORECASE)
"""Decoders, encoders and image processors of boards have video nodes, too; the raw receivers of a Raspberry Pi need libcamera."""
BAYER = re.compile(r"BA81|GBRG|GRBG|RGGB|BYR2|(BG|GB|BA|RG)1[0246]|p[BGgR](AA|CC|EE)")
"""The names of raw sensor formats; pictures are made of them by the sensor's own pipeline."""
RAW_ONLY = "raw sensor data: name it by GStreamer text, such as libcamerasrc ! video/x-raw,width=1280,height=720"
PLANES = "several planes: name it by GStreamer text, such as v4l2src device={node} ! video/x-raw,width=1280,height=720"


@dataclass(frozen=True, slots=True)
class Found:
    """A node. ``name`` is the one that stays with it; ``device`` is None when it may not be asked, and ``why`` then says so."""

    node: Path
    name: Path
    device: Device | None
    held: tuple[Holder, ...]
    why: str = ""

    @property
    def words(self) -> str:
        """What it calls itself."""
        return self.device.card if self.device else self.node.name

    @property
    def note(self) -> str:
        """What is to be known before it is configured; empty for a camera that just works."""
        if self.device is None:
            return self.why
        if self.device.is_planar:
            return PLANES.format(node=self.node)
        names = [one.fourcc for one in self.device.formats]
        return RAW_ONLY if names and all(BAYER.fullmatch(name) for name in names) else ""

    def told(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        device = None if self.device is None else {**asdict(self.device), "node": str(self.node)}
        return {
            "node": str(self.node),
            "name": str(self.name),
            "device": device,
            "held_by": [asdict(one) for one in self.held],
            "note": self.note,
        }


def cameras(dev: Path = DEV, ioctl: Ioctl = fcntl.ioctl) -> tuple[Found, ...]:
    """List the nodes that give pictures, and those of which nobody may ask, by number."""
    nodes = sorted(dev.glob("video[0-9]*"), key=lambda one: int(one.name.removeprefix("video")))
    found = (_found(node, dev, ioctl) for node in nodes)
    return tuple(one for one in found if one is not None)


def unasked(tree: Tree) -> Iterator[Found]:
    """List the cameras of another machine's files, where nobody can be asked: those nodes that give pictures as far as their names tell."""
    names = {real: link for name in tree.names(BY_ID) if (real := tree.resolve(link := f"{BY_ID}/{name}")) is not None}
    for node in tree.matching(CLASS, r"video\d+"):
        card = tree.text(f"{CLASS}/{node}/name") or node
        # A USB camera has one more node for its metadata, with a higher index.
        if tree.has_node(f"dev/{node}") and not tree.integer(f"{CLASS}/{node}/index") and not NO_CAMERA.search(card):
            name = Path("/", names.get(f"dev/{node}", f"dev/{node}"))
            yield Found(
                Path("/dev", node), name, Device(Path("/dev", node), card, "", "", is_planar=False, formats=()), ()
            )


def lasting(node: Path, dev: Path = DEV) -> Path:
    """Give the name that stays with a device when others are plugged in before it; the node's own where there is none."""
    for folder in LINKS:
        try:
            links = sorted((dev / folder).iterdir())
        except OSError:
            continue
        same = [link for link in links if link.resolve() == node.resolve()]
        if same:
            return same[0]
    return node


def _found(node: Path, dev: Path, ioctl: Ioctl) -> Found | None:
    try:
        device = describe(node, ioctl)
    except OSError as error:
        why = _why(node, error)
        return Found(node, lasting(node, dev), None, holders(node), why)
    return None if device is None else Found(node, lasting(node, dev), device, holders(node))


def _why(node: Path, error: OSError) -> str:
    words = os.strerror(error.errno or 0).lower()
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{words}: sudo usermod -aG video {_user()}, and log in again"
    return f"{words}: dmesg | tail says why {node.name} does not answer"


def _user() -> str:
    return os.environ.get("USER", "USER")


def by_formats(found: Sequence[Found]) -> list[tuple[object, ...]]:
    """Give a row for each size of each format: node, camera, format, size, rates, who holds it and what is to be known."""
    rows: list[tuple[object, ...]] = []
    for one in found:
        head: tuple[object, ...] = (one.node, one.device.card if one.device else "")
        tail = (", ".join(map(str, one.held)), one.note)
        shown = [
            (pixel.fourcc, f"{'up to ' if size.is_any else ''}{size.width}x{size.height}", _rates(size.rates_hz))
            for pixel in (one.device.formats if one.device else ())
            for size in pixel.sizes
        ] or [("", "", "")]
        rows += [
            (*(head if at == 0 else ("", "")), *row, *(tail if at == 0 else ("", ""))) for at, row in enumerate(shown)
        ]
    return rows


def _rates(rates_hz: Sequence[float]) -> str:
    return " ".join(f"{rate:g}" for rate in rates_hz)
