"""What the figures were measured on, without names or paths."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

LIBRARIES = ("numpy", "opencv-python-headless", "ai-edge-litert", "av", "paho-mqtt", "pydantic")


def describe(load_before: float) -> list[str]:
    """Give the lines; ``load_before`` is the load average from before the run, which the run itself raises."""
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6
    return [
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory_mb / 1000:.0f} GB, {platform.machine()}",
        f"load average {load_before:.1f} before the run and {os.getloadavg()[0]:.1f} at its end (one minute)",
        f"Python {platform.python_version()}; {', '.join(f'{name} {_version(name)}' for name in LIBRARIES)}",
        f"broker: {_broker()}",
    ]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Model"}:
            return value.strip()
    return platform.processor() or "a processor that does not tell its name"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _broker() -> str:
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        return f"amqtt {_version('amqtt')}"
    told = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout
    return told.splitlines()[0] if told else "mosquitto"
