"""``edgectl fleet list``, ``show`` and ``assign``: which boxes there are, how one is, and what one or a group shall run."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from edgectl.fleet import screen
from edgectl.fleet.settings import FILE, Settings, read_settings
from edgectl.fleet.view import FILTERS, Device, Fleet, versions
from edgectl.fleet.wire import Wire
from edgectl.options import AsJson
from edgectl.ordering import Given, next_order, topic_of
from edgectl.repo.orders import sign_order
from edgectl.repo.releases import find_release
from edged.domain.errors import ConfigError
from edged.update.desired import Audience

DAY_S = 86_400.0

Config = Annotated[Path, typer.Option(help="The fleet's settings.")]


def look(settings: Settings) -> Fleet:
    """Read what the broker retains of the whole fleet."""
    fleet = Fleet()
    with Wire(settings, FILTERS, fleet.heard) as wire:
        wire.settle()
    return fleet


def list_boxes(config: Config = FILE, as_json: AsJson = False) -> None:  # noqa: FBT002 - a flag
    """List the boxes, those in trouble first, and count what runs."""
    fleet = look(read_settings(config))
    known = [one for one in fleet.devices.values() if one.is_known]
    if as_json:
        told = {"schema": "edged.fleet/1", "devices": [about(one) for one in known], "versions": versions(known)}
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    page = screen.console()
    page.print(screen.boxes(known))
    online = sum(one.is_online for one in known)
    page.print(f"{len(known)} boxes, {online} online")
    for model, counts in sorted(versions(known).items()):
        page.print(f"{model}: " + ", ".join(f"{count} run {version}" for version, count in sorted(counts.items())))


def show(
    device: Annotated[str, typer.Argument(help="The device's id.")],
    config: Config = FILE,
    as_json: AsJson = False,  # noqa: FBT002 - a flag
) -> None:
    """Show one box: why it is not well and what to do, what runs, what was ordered."""
    fleet = look(read_settings(config))
    found = fleet.devices.get(device)
    if found is None or not found.is_known:
        message = f"cannot show {device!r}: the broker retains nothing of it, expected a box that was online once"
        raise ConfigError(message, remedy="edgectl fleet list names those that are known")
    order = fleet.orders.get(Audience("device", device))
    wanted = {name: one.version if one else "folders" for name, one in order.models.items()} if order else {}
    if as_json:
        sys.stdout.write(json.dumps({**about(found), "documents": found.documents, "ordered": wanted}, indent=1) + "\n")
        return
    screen.console().print(screen.one_box(found, wanted))


def assign(
    model: Annotated[str, typer.Argument(help="The model's name.")],
    version: Annotated[
        str, typer.Argument(help="A release in the repository; `folders` for what the boxes' own folders offer.")
    ],
    device: Annotated[list[str] | None, typer.Option(help="A device; may be given several times.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group; may be given several times.")] = None,
    days: Annotated[float, typer.Option(help="How long the order may be begun.")] = 30.0,
    shadow_one_in: Annotated[
        int, typer.Option(min=0, max=10_000, help="Run it beside what is live first, on one frame in so many.")
    ] = 0,
    config: Config = FILE,
) -> None:
    """Order a release for devices or groups, at once and without stages. For more than a few boxes: `edgectl fleet rollout`."""
    audiences = [*(Audience("device", one) for one in device or ()), *(Audience("group", one) for one in group or ())]
    if not audiences:
        message = "cannot order anything for nobody, expected --device or --group"
        raise ConfigError(message)
    settings = read_settings(config)
    repository = settings.releases()
    if repository.keys is None:
        message = "cannot sign an order: [repository] has no keys, expected their folder in fleet.toml"
        raise ConfigError(message)
    wanted = None
    if version != "folders":
        wanted = replace(find_release(repository.folder, model, version), shadow_one_in=shadow_one_in)
    fleet = Fleet()
    with Wire(settings, FILTERS, fleet.heard) as wire:
        wire.settle()
        for audience in audiences:
            given = Given(repository.by, "", time.time(), days * DAY_S)
            last, asked = fleet.orders.get(audience), fleet.asked.get(audience)
            payload = next_order(audience, last, {model: wanted}, given, fleet.seen_seq(audience), asked)
            wire.publish(topic_of(audience), sign_order(payload, repository.keys), retain=True)
            sys.stdout.write(f"ordered {model} {version} for {audience}\n")


def about(device: Device) -> dict[str, Any]:
    """Give a box in short, as JSON has it."""
    return {
        "device": device.name,
        "online": device.is_online,
        "health": device.health,
        "profile": device.profile,
        "groups": list(device.groups),
        "models": device.models(),
    }
