"""``edgectl watch``: a live view of one box or many, over MQTT."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl.fleet.wire import Wire
from edgectl.options import alone
from edgectl.page import Page, console
from edgectl.plain import print_json
from edgectl.watch.boxes import STREAMS, Boxes
from edgectl.watch.columns import STATE, ordered
from edgectl.watch.live import look_on
from edgectl.watch.page import table_page
from edgectl.watch.terminal import Terminal
from edgectl.watch.where import FLEET, broker_of
from edged.domain.errors import DeviceError
from edged.fleet.topics import out, rfc3339

LOOK_S = 0.05
QUIET_S = 1.0
"""So long nothing may have come before a broker counts as one without boxes."""

app = alone("Look at one box or many, live, over MQTT.")


@app.callback()
def run(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="DEVICE", help="Device ids. Default: every box.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help=f"The fleet's settings, or a box's. Default: {FLEET}, then the box's own.")
    ] = None,
    broker: Annotated[str, typer.Option(help="A broker without users, as HOST or HOST:PORT.")] = "",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds from one look to the next.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end; so does a pipe.")] = False,  # noqa: FBT002 - a flag
    wait: Annotated[
        float, typer.Option(min=0.0, help="With --once: how many seconds figures may take to come.")
    ] = 12.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output, and end.")] = False,  # noqa: FBT002 - a flag
) -> None:
    """Look at boxes: rate, age, latency, drops, temperature, rung, model, and the latest events."""
    settings = broker_of(config, broker)
    where = f"{settings.mqtt.host}:{settings.mqtt.port}"
    boxes = Boxes()
    client_id = f"watch-{os.getpid()}-{os.urandom(3).hex()}"
    with Wire(settings, filters(devices or []), _into(boxes), client_id) as wire:
        if not once and not as_json and _is_terminal():
            with Terminal() as terminal:
                _until_interrupted(terminal, boxes, wire, where, every)
            return
        _wait(boxes, wait, where)
    if as_json:
        print_json(document(boxes))
        return
    page = console()
    for line in table_page(boxes.rows(time.monotonic()), boxes.happenings(), page.width):
        page.print(line, no_wrap=True, crop=False)


def filters(devices: list[str]) -> list[str]:
    """Give the topics that are listened to."""
    return [out(device, stream) for device in devices or ["+"] for stream in STREAMS]


def document(boxes: Boxes) -> dict[str, Any]:
    """Give what is known as JSON has it: a row a pipeline, and the latest events and alerts."""
    return {
        "schema": "edged.watch/1",
        "at": rfc3339(time.time_ns()),
        "rows": [asdict(row) for row in ordered(boxes.rows(time.monotonic()), STATE)],
        "latest": [asdict(one) for one in boxes.happenings()],
    }


def _into(boxes: Boxes) -> Any:
    return lambda topic, payload: boxes.heard(topic, payload, time.monotonic())


def _is_terminal() -> bool:
    """Whether there is a terminal that can be drawn on, with somebody at its keys."""
    return sys.stdin.isatty() and sys.stdout.isatty() and not Page().is_dumb_terminal


def _until_interrupted(terminal: Terminal, boxes: Boxes, wire: Wire, where: str, every_s: float) -> None:
    # The usual word to end, too: the terminal has to be given back as it was.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        look_on(terminal, boxes, lambda: wire.is_connected, where, every_s)
    except KeyboardInterrupt:
        # The usual way to end what runs until it is stopped.
        return


def _wait(boxes: Boxes, most_s: float, where: str) -> None:
    """Wait until every box that is online has told its figures. Raises DeviceError when there is none at all."""
    began_s = time.monotonic()
    known: list[str] = []
    changed_s = began_s
    while (now_s := time.monotonic()) - began_s < most_s:
        if boxes.names() != known:
            known, changed_s = boxes.names(), now_s
        is_quiet = now_s - changed_s > QUIET_S
        if is_quiet and (boxes.is_complete() or not known):
            break
        time.sleep(LOOK_S)
    if not boxes.names():
        message = f"cannot watch anything at {where}: no box told anything in {time.monotonic() - began_s:.0f} s"
        raise DeviceError(message, remedy="look at the ids, and whether the boxes report to this broker")
