"""Cameras: each one is opened by the daemon's own code and read for a while, unless the daemon holds it."""

from __future__ import annotations

import errno
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

from edgectl.camera.v4l2 import Ioctl, describe
from edgectl.checks.permissions import closed, device_of
from edgectl.checks.rows import Ground, Row, Verdict
from edged.assembly.lines import opener
from edged.config import schema
from edged.domain.errors import EdgedError
from edged.hardware.clock import SystemClock

LOOK_S = 2.5
SETTLE = 3
"""Pictures that are not counted: the first ones wait in the driver, or come at once."""
SLOW = 0.8
"""Below this share of the asked rate it is told."""


def rows(ground: Ground) -> Iterator[Row]:
    """Judge each camera of the configuration."""
    cameras = [source for source in ground.config.source if isinstance(source, schema.CameraSource)]
    if not cameras:
        yield Row("rate", "cameras", "skipped", "the configuration has none")
    for source in cameras:
        device = device_of(source, ground)
        if device is not None and (shut := closed(source, "rate", ground)) is not None:
            yield shut
            continue
        if device is not None and device[0].exists():
            yield Row("formats", source.name, *formats(device[0]))
        if ground.daemon.runs:
            yield _told(source, ground)
        else:
            yield _looked(source, ground)


def formats(place: Path, ioctl: Ioctl = fcntl.ioctl) -> Verdict:
    """Judge what a node says that it gives. Takes nothing from who streams."""
    remedy = "edgectl camera list  # then name one of them"
    try:
        device = describe(place, ioctl)
    except OSError as error:
        if error.errno in {errno.ENOTTY, errno.EINVAL}:
            return "fail", f"{place} is no camera: {error.strerror}", remedy
        return "skipped", f"{place}: {error.strerror}", ""
    if device is None:
        return "fail", f"{place} gives no pictures: it is an encoder, or a camera's second node", remedy
    return "ok", ", ".join(one.fourcc for one in device.formats), ""


def _told(source: schema.CameraSource, ground: Ground) -> Row:
    """Tell what the daemon has of it: it is not opened a second time, which a camera may answer by dropping the first."""
    told = ground.daemon.pipelines(source.name, ground.config)
    if not told:
        why = f"{ground.daemon.who} holds it: out/health tells of it, and with [http] so would this"
        return Row("rate", source.name, "skipped", why)
    reason = next((str(one["reason"]) for one in told if one.get("reason")), "")
    age_s = min((one["age_s"] for one in told if one.get("age_s") is not None), default=None)
    if reason or age_s is None:
        remedy = f"curl -s http://{ground.config.http.listen if ground.config.http else ''}/api/health"
        return Row("rate", source.name, "warn", reason or f"{ground.daemon.who} has had no picture yet", remedy)
    return Row("rate", source.name, "ok", f"{ground.daemon.who} reads it, the last result is {age_s:.1f} s old")


def _looked(source: schema.CameraSource, ground: Ground) -> Row:
    try:
        opened = opener(source, SystemClock())()
    except EdgedError as error:
        return Row("rate", source.name, "fail", str(error.args[0]), _remedy(source, error, ground))
    try:
        times_s, shape = _read(opened)
    except EdgedError as error:
        return Row("rate", source.name, "fail", str(error.args[0]), _remedy(source, error, ground))
    finally:
        opened.close()
    if len(times_s) <= SETTLE + 1:
        shown = f"{len(times_s)} pictures in {LOOK_S} s"
        return Row(
            "rate", source.name, "warn", shown, f"edgectl camera look {quote(source.url)}  # or give it more light"
        )
    counted = times_s[SETTLE:]
    rate = (len(counted) - 1) / max(1e-6, counted[-1] - counted[0])
    return _rated(source, rate, shape, ground)


def _rated(source: schema.CameraSource, rate: float, shape: tuple[int, ...], ground: Ground) -> Row:
    size = f"{shape[1]}x{shape[0]}"
    shown = f"{rate:.1f} pictures a second of {size}"
    details = {"fps": round(rate, 2), "asked_fps": source.fps, "width": shape[1], "height": shape[0]}
    if source.fps is not None and rate < SLOW * source.fps:
        remedy = ground.edit(f"fps = {max(1, int(rate))} below source {source.name!r}, or give it more light")
        return Row("rate", source.name, "warn", f"{shown}, {source.fps:g} are asked for", remedy, details)
    if source.width is not None and (shape[1], shape[0]) != (source.width, source.height):
        remedy = f"v4l2-ctl -d {source.url} --list-formats-ext; {ground.edit('width and height')}"
        return Row("rate", source.name, "warn", f"{shown}, not {source.width}x{source.height}", remedy, details)
    return Row("rate", source.name, "ok", shown, "", details)


def _read(opened: Any) -> tuple[list[float], tuple[int, ...]]:
    """Read for a while; gives when each picture came, by the clock that never steps."""
    until_s, times_s, shape = time.monotonic() + LOOK_S, [], (0, 0)
    while time.monotonic() < until_s:
        frame = opened.read()
        if frame is None:
            break
        times_s.append(time.monotonic())
        shape = frame.data.shape
    return times_s, shape


def _remedy(source: schema.CameraSource, error: EdgedError, ground: Ground) -> str:
    if error.remedy:
        return error.remedy
    if source.url.startswith("/"):
        return f"ls -l {source.url} /dev/v4l/by-id/; {ground.edit(f'url below source {source.name!r}')}"
    return ground.edit(f"url below source {source.name!r}, or switch the camera on")
