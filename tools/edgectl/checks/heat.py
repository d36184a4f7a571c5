"""Heat and power: temperatures with their limits, whether the kernel holds the processor back, and under-voltage."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

from edgectl.checks.rows import Ground, Row
from edged.domain.device import Evidence
from edged.hardware.readings import Readings, read

HELD_BACK = 0.99
SINCE_BOOT = "Under-?voltage detected"
"""What the Raspberry Pi's driver writes to the kernel's log (raspberrypi-hwmon)."""
LOG_S = 3.0


def temperature(ground: Ground) -> Iterator[Row]:
    """Judge the hottest sensor of processor or accelerator."""
    found = [one for one in read(ground.root).temperatures if one.is_compute]
    alarms = [one for one in ground.box.inventory.warnings if one.code == "temperature-high"]
    for alarm in alarms:
        yield Row("temperature", "heat", "fail", _shown(alarm.evidence), alarm.remedy)
    if alarms:
        return
    if not found:
        yield Row("temperature", "heat", "skipped", "no sensor of the processor")
        return
    hottest = max(found, key=lambda one: one.temp_c)
    bound = hottest.soft_c if hottest.soft_c is not None else hottest.hard_c
    limit = f", slows at {bound:.0f} °C" if bound is not None else ""
    yield Row("temperature", "heat", "ok", f"{hottest.sensor} {hottest.temp_c:.0f} °C{limit}")


def throttling(ground: Ground) -> Iterator[Row]:
    """Tell whether the processor is held back now."""
    alarm = next((one for one in ground.box.inventory.warnings if one.code == "throttled"), None)
    felt = read(ground.root)
    if alarm is not None:
        yield Row("throttling", "heat", "warn", _shown(alarm.evidence), alarm.remedy)
    elif felt.cpu_frequency_cap is not None and felt.cpu_frequency_cap < HELD_BACK:
        shown = f"the highest frequency allowed is {felt.cpu_frequency_cap:.0%} of what the processor can do"
        remedy = "for one in /sys/devices/system/cpu/cpufreq/policy*; do sudo cp $one/cpuinfo_max_freq $one/scaling_max_freq; done"
        yield Row("throttling", "heat", "warn", shown, remedy)
    elif felt.throttled is None:
        yield Row("throttling", "heat", "skipped", "no cooling device of the processor")
    else:
        yield Row("throttling", "heat", "ok", _frequency(felt))


def power(ground: Ground) -> Iterator[Row]:
    """Tell of under-voltage, now and since the machine started."""
    felt = read(ground.root)
    alarm = next((one for one in ground.box.inventory.warnings if one.code == "under-voltage"), None)
    if alarm is not None:
        yield Row("under-voltage", "power", "fail", _shown(alarm.evidence), alarm.remedy)
        return
    if felt.under_voltage is None:
        yield Row("under-voltage", "power", "skipped", "the board has no alarm for it")
        return
    lines = _of_the_log() if ground.is_live else 0
    remedy = "use the board's own power supply and a short cable; unplug bus-powered devices"
    if lines:
        yield Row("under-voltage", "power", "warn", f"not now, {lines} times since the start (kernel's log)", remedy)
    else:
        yield Row("under-voltage", "power", "ok", "the board's alarm is silent")


def _of_the_log() -> int:
    command = ["journalctl", "-k", "-b", "-q", "--no-pager", "-o", "cat", "-g", SINCE_BOOT]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LOG_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return 0
    return len(done.stdout.splitlines())


def _frequency(felt: Readings) -> str:
    cap = felt.cpu_frequency_cap
    return "no cooling device holds the processor back" + (f", {cap:.0%} of its frequency" if cap is not None else "")


def _shown(evidence: tuple[Evidence, ...]) -> str:
    return ", ".join(f"{one.path} = {one.value}" for one in evidence)
