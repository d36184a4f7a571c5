"""What configured actions lack on this box, for ``edged check``: the same words as for sources, each with the next step."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from edged.assembly.adapters import adapter
from edged.config.actions import Action, CommandAction, GpioAction, SerialAction, WebhookAction
from edged.config.load import Fault
from edged.domain.errors import EdgedError

CHIPS, GPIO = "/dev/gpiochip*", "gpio; in the unit, the drop-in gpio.conf gives it"
PORTS, DIALOUT = "/dev/serial/by-id/*", "dialout"


def action_faults(action: Action, file: Path) -> Iterator[Fault]:
    """Give what one action would fail of; nothing is opened, and nothing done."""
    key = f"action.{action.name}"
    if action.interlock is not None and action.interlock.line is not None:
        yield from _gpio(action.interlock.chip, f"{key}.interlock.chip", file)
    if action.dry_run:
        return
    if isinstance(action, GpioAction):
        yield from _gpio(action.chip, f"{key}.chip", file)
    elif isinstance(action, SerialAction):
        yield from _library("edged.sinks.serial_text", "serial", f"{key}.kind", file)
        yield from device_faults(action.port, f"{key}.port", file, like=PORTS, group=DIALOUT)
    elif isinstance(action, CommandAction):
        yield from _program(Path(action.run[0]), f"{key}.run", file)
    elif isinstance(action, WebhookAction) and action.ca is not None:
        yield from _certificates(action.ca, f"{key}.ca", file)


def action_files(actions: Sequence[Action]) -> Iterator[tuple[str, Path | None]]:
    """Give the files that actions read, by key."""
    for action in actions:
        if isinstance(action, WebhookAction) and not action.dry_run:
            yield f"action.{action.name}.token_file", action.token_file
            yield f"action.{action.name}.ca", action.ca


def device_faults(device: Path, key: str, file: Path, *, like: str, group: str) -> Iterator[Fault]:
    """Say that a device is not there, or that it may not be opened."""
    if not os.access(device, os.F_OK):
        yield Fault(file, key, f"cannot find device {device}, expected one; run: ls {like}")
    elif not os.access(device, os.R_OK | os.W_OK):
        yield Fault(file, key, f"cannot open device {device}: no permission, expected to be in its group ({group})")


def _gpio(chip: Path, key: str, file: Path) -> Iterator[Fault]:
    yield from _library("edged.sinks.relay", "gpio", key, file)
    yield from device_faults(chip, key, file, like=CHIPS, group=GPIO)


def _library(module: str, extra: str, key: str, file: Path) -> Iterator[Fault]:
    try:
        found = adapter(module, extra)
        if extra == "gpio":
            found.gpiod()
    except EdgedError as error:
        yield Fault(file, key, str(error))


def _program(program: Path, key: str, file: Path) -> Iterator[Fault]:
    if not (program.is_file() and os.access(program, os.X_OK)):
        yield Fault(file, key, f"cannot run {program}, expected a program that edged may run; run: ls -l {program}")


def _certificates(ca: Path, key: str, file: Path) -> Iterator[Fault]:
    """Take them as a connection will; that they are not there is told with the other files."""
    try:
        if ca.is_file():
            ssl.create_default_context(cafile=ca)
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror
        yield Fault(file, key, f"cannot use {ca}: {str(why).lower().replace('_', ' ')}, expected certificates in PEM")
