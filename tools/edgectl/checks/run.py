"""Runs checks: the groups side by side, those of a group one after another, each within its time."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from edgectl.checks.rows import Check, Ground, Row, of_group
from edged.domain.errors import EdgedError

ELSEWHERE = "another machine's files say nothing of it"
UNUSABLE = "the configuration cannot be used"

_Found = queue.SimpleQueue[Row | None]


def run(checks: Sequence[Check], ground: Ground) -> Iterator[Row]:
    """Give the rows in the order of the table, as they are found.

    Whoever is asked to unplug something reads what came before: then nothing runs beside.
    """
    lanes = [list(own) for _, own in groupby(checks, key=lambda check: check.group)]
    if ground.ask is not None:
        for lane in lanes:
            yield from _in_turn(lane, ground)
        return
    found: list[_Found] = [queue.SimpleQueue() for _ in lanes]
    for lane, rows in zip(lanes, found, strict=True):
        threading.Thread(target=_fill, args=(rows, _in_turn(lane, ground)), daemon=True).start()
    for rows in found:
        while (row := rows.get()) is not None:
            yield row


def _in_turn(checks: Iterable[Check], ground: Ground) -> Iterator[Row]:
    for check in checks:
        why = _why_not(check, ground)
        rows = _timed(check, ground) if not why else iter([Row(check.name, check.group, "skipped", why)])
        yield from (of_group(row, check.group) for row in rows)


def _why_not(check: Check, ground: Ground) -> str:
    if not ground.is_live and not check.of_files:
        return ELSEWHERE
    if check.configured and not ground.is_configured:
        return UNUSABLE
    return ""


def _timed(check: Check, ground: Ground) -> Iterator[Row]:
    """Give its rows; one that hangs in the kernel is left behind on its thread, and told."""
    rows: _Found = queue.SimpleQueue()
    threading.Thread(target=_fill, args=(rows, _guarded(check, ground)), daemon=True).start()
    until_s = time.monotonic() + check.deadline_s
    while True:
        try:
            row = rows.get(timeout=max(0.0, until_s - time.monotonic()))
        except queue.Empty:
            evidence = f"no answer within {check.deadline_s:g} s"
            yield Row(check.name, check.group, "fail", evidence, f"edgectl doctor {check.group}")
            return
        if row is None:
            return
        yield row


def _guarded(check: Check, ground: Ground) -> Iterator[Row]:
    try:
        yield from check.run(ground)
    except EdgedError as error:
        yield Row(check.name, check.group, "fail", str(error.args[0]), error.remedy)
    except PermissionError as error:
        is_root = os.geteuid() == 0
        why = f"{error.strerror}: {error.filename or ''}"
        yield Row(check.name, check.group, "fail" if is_root else "skipped", why, f"sudo edgectl doctor {check.group}")
    except OSError as error:
        yield Row(check.name, check.group, "fail", str(error), "sudo edgectl doctor " + check.group)
    except Exception as error:  # noqa: BLE001 - one check that breaks must not cost the others
        yield Row(check.name, check.group, "fail", f"the check itself broke: {error!r}", "edgectl support")


def _fill(rows: _Found, found: Iterator[Row]) -> None:
    try:
        for row in found:
            rows.put(row)
    finally:
        rows.put(None)
