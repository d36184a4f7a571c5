"""Memory: what is there and left, what a control group allows, and whether the pipelines of the configuration fit."""

from __future__ import annotations

from collections.abc import Iterator

from edgectl.checks.rows import Ground, Row
from edged.assembly.admitting import CODE, Admitting
from edged.assembly.box import free_mb
from edged.hardware.clock import SystemClock
from edged.hardware.readings import read

SHORT = 0.1
"""Below this share of the memory the kernel begins to drop what it will have to read again."""


def rows(ground: Ground) -> Iterator[Row]:
    """Judge what is left, and what the kernel has already had to kill."""
    felt = read(ground.root)
    total, left = felt.memory_total_mb, felt.memory_available_mb
    if total is None or left is None:
        yield Row("available", "memory", "skipped", "proc/meminfo cannot be read")
        return
    limit = f", limited to {felt.cgroup_limit_mb} MiB" if felt.cgroup_limit_mb is not None else ""
    shown = f"{left} of {total} MiB{limit}"
    remedy = "ps -eo rss,comm --sort=-rss | head -n 10  # then stop what is not needed"
    is_short = left < SHORT * total
    yield Row("available", "memory", "warn" if is_short else "ok", shown, remedy if is_short else "")
    for finding in ground.box.inventory.warnings:
        if finding.code in {"low-memory", "oom-kill"}:
            evidence = ", ".join(f"{one.path} = {one.value}" for one in finding.evidence)
            yield Row(finding.code, "memory", "warn", evidence, finding.remedy)


def budget(ground: Ground) -> Iterator[Row]:
    """Sum up what the pipelines need at least, as the daemon does before it loads anything; a daemon that runs has done so."""
    if not ground.config.pipeline:
        yield Row("budget", "pipelines", "skipped", "the configuration has none")
        return
    if ground.daemon.runs:
        yield from _told(ground)
        return
    refused = Admitting(ground.box, SystemClock())(ground.config)
    for name, reason in refused.items():
        yield Row("budget", name, "fail", reason.message, ground.edit(reason.remedy))
    room_mb = free_mb(ground.box)
    bound = f"{room_mb:.0f} MiB" if room_mb is not None else "a memory without bound"
    fitting = [one.name for one in ground.config.pipeline if one.name not in refused]
    if fitting:
        yield Row("budget", ", ".join(fitting), "ok", f"fit into {bound}")


def _told(ground: Ground) -> Iterator[Row]:
    reasons = [one for one in ground.daemon.said.get("health", {}).get("reasons", ()) if one.get("code") == CODE]
    for reason in reasons:
        yield Row("budget", str(reason["component"]), "fail", str(reason["message"]), str(reason["remedy"]))
    if not ground.daemon.said:
        yield Row(
            "budget",
            "pipelines",
            "skipped",
            f"{ground.daemon.who} has summed up: out/health tells, and with [http] so would this",
        )
    elif not reasons:
        yield Row("budget", "pipelines", "ok", f"{ground.daemon.who} runs them all")
