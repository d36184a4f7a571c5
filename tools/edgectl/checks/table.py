"""Every check of ``edgectl doctor``, in the order of the report: one row each, and a row here is all that a new one takes."""

from __future__ import annotations

from edgectl.checks import (
    broker,
    cameras,
    clock,
    configuration,
    coral,
    disk,
    hardware,
    heat,
    memory,
    models,
    packages,
    past,
    permissions,
    serials,
    service,
    system,
    trust,
)
from edgectl.checks.rows import Check

GROUPS: dict[str, str] = {
    "system": "operating system",
    "packages": "Python and packages",
    "configuration": "configuration",
    "service": "service",
    "clock": "clock",
    "disk": "disk",
    "heat": "heat and power",
    "memory": "memory",
    "devices": "devices and permissions",
    "cameras": "cameras",
    "serial": "serial ports",
    "hardware": "accelerators",
    "models": "models",
    "trust": "trust",
    "broker": "broker",
    "past": "the last day",
}
"""By the name that the command line takes: the title on the screen."""

TABLE: tuple[Check, ...] = (
    Check("system", "system", system.rows, of_files=True),
    Check("packages", "python", system.python),
    Check("packages", "packages", packages.rows, deadline_s=30.0),
    Check("packages", "libedgetpu", coral.rows, of_files=True),
    Check("configuration", "configuration", configuration.rows, deadline_s=30.0, of_files=True),
    Check("service", "unit", service.unit, of_files=True),
    Check("service", "state", service.state),
    Check("service", "hardware watchdog", service.hardware_watchdog, of_files=True),
    Check("clock", "clock", clock.rows),
    Check("disk", "state directory", disk.rows, deadline_s=15.0, configured=True),
    Check("disk", "wear", disk.wear, of_files=True),
    Check("heat", "temperature", heat.temperature, of_files=True),
    Check("heat", "throttling", heat.throttling, of_files=True),
    Check("heat", "power", heat.power, of_files=True),
    Check("memory", "memory", memory.rows, of_files=True),
    Check("memory", "budget", memory.budget, configured=True),
    Check("devices", "permissions", permissions.rows, of_files=True),
    Check("cameras", "cameras", cameras.rows, deadline_s=60.0, configured=True),
    Check("serial", "serial ports", serials.rows, deadline_s=60.0, configured=True),
    # A model that TensorRT compiles for the first time takes minutes, on a Jetson up to an hour.
    Check("hardware", "accelerators", hardware.rows, deadline_s=3600.0, of_files=True),
    Check("models", "bundles", models.bundles),
    Check("models", "store", models.store, deadline_s=30.0, configured=True),
    Check("trust", "trust", trust.rows, configured=True),
    Check("broker", "broker", broker.rows, deadline_s=60.0, configured=True),
    Check("past", "the last day", past.rows, deadline_s=30.0, configured=True),
)
