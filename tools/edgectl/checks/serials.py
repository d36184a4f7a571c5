"""Serial ports: each one is opened by the daemon's own code and listened to for a while, unless the daemon holds it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from edgectl.checks.permissions import closed, device_of
from edgectl.checks.rows import Ground, Row
from edgectl.serial.ports import BY_ID, lasting
from edged.assembly.lines import opener
from edged.config import schema
from edged.domain.errors import EdgedError
from edged.hardware.clock import SystemClock

LISTEN_S = 2.5
SLOW = 0.8
LOSSY = 0.05
"""The first record is heard from its middle on; more than that is a fault of the line."""


def rows(ground: Ground) -> Iterator[Row]:
    """Judge each serial port of the configuration."""
    ports = [source for source in ground.config.source if isinstance(source, schema.SerialSource)]
    if not ports:
        yield Row("heard", "serial ports", "skipped", "the configuration has none")
    for source in ports:
        yield from _lasting(source, ground)
        if (shut := closed(source, "heard", ground)) is not None:
            yield shut
        elif ground.daemon.runs:
            yield _told(source, ground)
        else:
            yield _heard(source, ground)


def _lasting(source: schema.SerialSource, ground: Ground) -> Iterator[Row]:
    """Tell the name that stays with the adapter, for one that is named in the order of plugging in."""
    if not source.port.name.startswith(("ttyUSB", "ttyACM")):
        return
    name = lasting(source.port, ground.root)
    if name != source.port:
        shown = f"{source.port} may be another one after the next start"
        remedy = f'sudo sed -i \'s|"{source.port}"|"{name}"|\' {ground.file}'
        yield Row("name", source.name, "warn", shown, remedy)


def _told(source: schema.SerialSource, ground: Ground) -> Row:
    told = ground.daemon.pipelines(source.name, ground.config)
    reason = next((str(one["reason"]) for one in told if one.get("reason")), "")
    if reason:
        return Row("heard", source.name, "warn", reason, f"ls -l {source.port} /{BY_ID}")
    ages = [one["age_s"] for one in told if one.get("age_s") is not None]
    shown = f", the last result is {min(ages):.1f} s old" if ages else "; its health tells of it"
    return Row("heard", source.name, "ok" if ages else "skipped", f"{ground.daemon.who} holds it{shown}")


def _heard(source: schema.SerialSource, ground: Ground) -> Row:
    device = device_of(source, ground)
    if device is not None and not device[0].exists():
        names = ", ".join(ground.tree.names(BY_ID)) or "no adapter is plugged in"
        remedy = ground.edit(f"port below source {source.name!r} (/{BY_ID}: {names}), or plug it in")
        return Row("heard", source.name, "fail", f"{source.port} is not there", remedy)
    try:
        opened = opener(source, SystemClock())()
    except EdgedError as error:
        return Row("heard", source.name, "fail", str(error.args[0]), error.remedy or f"ls -l {source.port}")
    # A read waits for as long as nothing is heard; closing wakes it.
    alarm = threading.Timer(LISTEN_S, opened.close)
    alarm.daemon = True
    alarm.start()
    try:
        return _judged(source, ground, *_counted(opened))
    except EdgedError as error:
        return Row("heard", source.name, "fail", str(error.args[0]), error.remedy)
    finally:
        alarm.cancel()
        opened.close()


def _counted(opened: Any) -> tuple[int, float, dict[str, int]]:
    """Listen; gives samples after the first block, seconds between the first and the last block, and what was left out."""
    samples, first_s, last_s = 0, 0.0, 0.0
    until_s = time.monotonic() + LISTEN_S
    while time.monotonic() < until_s and (block := opened.read()) is not None:
        last_s = time.monotonic()
        if not first_s:
            first_s = last_s
            continue
        samples += len(block.values)
    return samples, last_s - first_s, dict(opened.drops)


def _judged(source: schema.SerialSource, ground: Ground, samples: int, took_s: float, drops: dict[str, int]) -> Row:
    if not samples:
        shown = f"{source.port} at {source.baud} baud: no sample in {LISTEN_S} s" + (
            f", dropped {drops}" if drops else ""
        )
        what = f"baud and format below source {source.name!r}, or look at the sensor's power and cable"
        remedy = f"edgectl serial look {source.port}; {ground.edit(what)}"
        return Row("heard", source.name, "fail", shown, remedy, {"drops": drops})
    rate = samples / max(took_s, 1e-6)
    details = {"rate_hz": round(rate, 2), "asked_hz": source.rate_hz, "drops": drops}
    shown = f"{rate:.1f} samples a second" + (f", dropped {drops}" if drops else "")
    if source.rate_hz is not None and not SLOW * source.rate_hz <= rate <= source.rate_hz / SLOW:
        remedy = ground.edit(
            f"rate_hz = {rate:.0f} below source {source.name!r}, or set the sensor to {source.rate_hz:g}"
        )
        return Row("heard", source.name, "warn", f"{shown}, {source.rate_hz:g} are named", remedy, details)
    if sum(drops.values()) > LOSSY * samples:
        return Row("heard", source.name, "warn", shown, f"edgectl serial look {source.port}", details)
    return Row("heard", source.name, "ok", shown, "", details)
